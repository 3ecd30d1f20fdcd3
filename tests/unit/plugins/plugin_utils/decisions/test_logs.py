# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What role log_management asks of its hosts, and what it refuses before it asks them."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.day2.ops.plugins.plugin_utils.decisions import logs

KEY = "age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p"
SHOP = {"name": "shop", "paths": ["/var/log/shop/*.log"], "reopen": {"service": "shop", "signal": "HUP"}}
AUDIT = {**SHOP, "name": "trail", "log_class": "audit"}
OTHERS: dict[str, Any] = {"encrypt_to": [KEY], "copy_to": "", "host": "db1"}


def test_a_log_has_what_its_class_and_the_role_say() -> None:
    classes = {"application": {"max_age": "7d", "max_size": "1GB"}}
    shop, trail = logs.logs([{**SHOP, "max_age": "9d"}, AUDIT], classes, **{**OTHERS, "copy_to": "/away"})
    assert (shop["max_age"], shop["max_size"], shop["copy_to"], shop["host"]) == ("9d", "1GB", "/away", "db1")
    assert "encrypt_to" not in shop and trail["encrypt_to"] == [KEY] and "max_size" not in trail
    assert "copy_to" not in logs.logs([SHOP], {}, **OTHERS)[0]
    assert logs.problems([{**SHOP, "max_age": "9d"}, AUDIT], classes, [], **OTHERS) == []


@pytest.mark.parametrize(
    ("entries", "classes", "journals", "said"),
    [
        ([{**SHOP, "path": "/x"}], {}, [], "log 'shop': 'path' is no field of a log; did you mean 'paths'?"),
        ([{**SHOP, "max_size": "1GB"}], {}, [], "'max_size' is no field of a log"),
        ([SHOP, SHOP], {}, [], "log 'shop': two logs have this name"),
        ([{**SHOP, "paths": "/var/log/x.log"}], {}, [], "'paths' a list"),
        ([{"name": "shop"}], {}, [], "log 'shop': 'paths' is missing"),
        ([{**SHOP, "max_age": "-1d"}], {}, [], "log 'shop': 'max_age': '-1d' is not longer than nothing"),
        ([{**SHOP, "log_class": "adit"}], {}, [], "did you mean 'audit'?"),
        ([SHOP], {"application": {"max_size": "10"}}, [], "'max_size': 10 has no unit"),
        ([SHOP], {"apps": {}}, [], "log_management_classes: 'apps' is no class of logs"),
        ([SHOP], {"audit": {"age": "1d"}}, [], "log_management_classes.audit: 'age' is no field of a class"),
        ([], {}, [{"max_age": "1d", "max_size": "50"}], "field 'max_size': 50 has no unit; write 50GB"),
        ([], {}, [{"max_age": "1d"}], "field 'max_size': is missing"),
        ([], {}, [{"max_age": "1d", "max_size": "1GB", "namespace": "../x"}], "is no name of a namespace"),
        ([], {}, [{"max_age": "1d", "max_size": "1GB", "storage": "disk"}], "field 'storage'"),
    ],
)
def test_what_cannot_be_meant(entries: list[Any], classes: dict[str, Any], journals: list[Any], said: str) -> None:
    assert any(said in problem for problem in logs.problems(entries, classes, journals, **OTHERS)), logs.problems(
        entries, classes, journals, **OTHERS
    )


def test_an_audit_log_without_a_key() -> None:
    (problem,) = logs.problems([AUDIT], {}, [], **{**OTHERS, "encrypt_to": []})
    assert "'encrypt_to' is missing: class audit is encrypted" in problem


def test_who_is_rotated_more_than_once_a_day() -> None:
    often = [{**SHOP, "name": "a", "frequency": "hourly"}, {**SHOP, "name": "b", "size": "1MB"}, SHOP]
    assert logs.often(often) == ["a", "b"]


def test_journals() -> None:
    system, shop = logs.journals(
        [{"max_age": "90d", "max_size": "50GB"},
         {"max_age": "1d", "max_size": "1Gi", "namespace": "shop", "storage": "persistent"}]
    )  # fmt: skip
    assert system["unit"] == "systemd-journald.service" and "Storage" not in system["text"]
    assert "SystemMaxUse=50000000000\n" in system["text"] and "MaxRetentionSec=7776000s\n" in system["text"]
    assert shop["path"] == "/etc/systemd/journald@shop.conf.d/day2.conf" and "Storage=persistent\n" in shop["text"]


def test_outcomes_of_steps() -> None:
    result = {"pieces": ["/l/a-1.zst"], "lines": {"before": {"/l/a": 7}, "after": {"/l/a": 8}}}
    outcome = logs.rotated([result, {"pieces": []}])
    assert outcome["status"] == "ok" and outcome["message"] == "1 piece of 2 logs, 7 lines, none missing"
    head = {"number": 3, "digest": "5f0c", "at": 1.0}
    assert "record 3 is the last, 5f0c" in logs.verified([{"item": {"name": "trail"}, "head": head}])["evidence"][0]
