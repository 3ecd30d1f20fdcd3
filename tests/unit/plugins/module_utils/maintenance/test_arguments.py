# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What of the arguments of maintenance_mode is kept out of the invocation, and which are refused."""

from __future__ import annotations

from typing import Any

import pytest
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator
from ansible_collections.day2.ops.plugins.module_utils.maintenance.arguments import SPEC, _targets, secret_values
from ansible_collections.day2.ops.plugins.module_utils.maintenance.leases import LeaseError
from ansible_collections.day2.ops.plugins.module_utils.maintenance.targets.base import OptionError
from ansible_collections.day2.ops.plugins.module_utils.maintenance.targets.registry import TARGETS
from ansible_collections.day2.ops.plugins.module_utils.maintenance.targets.units import read_unit


@pytest.mark.parametrize("way", ["pause", "resume"])
@pytest.mark.parametrize(
    "argv",
    [
        ["sudo", "redis-cli", "-a", "hunter22"],
        ["env", "REDISCLI_AUTH=hunter22", "redis-cli"],
        ["sh", "-c", "redis-cli -a hunter22"],
        ["psql", "host=h password=hunter22"],
        ["curl", "-H", "Authorization: Bearer hunter22"],
        ["curl", "-sSu", "me:hunter22", "https://x"],
        ["app", "pause", "--token=hunter22"],
        ["curl", "https://me:hun/ter22@example.com/x"],
        "redis-cli -a hunter22",
    ],
)
def test_secrets_of_commands(argv: Any, way: str) -> None:
    found = secret_values({"units": ["cron.service", {"name": "web.service", way: argv}]})
    shown = " ".join(argv) if isinstance(argv, list) else argv
    for secret in sorted(found, key=len, reverse=True):
        shown = shown.replace(secret, "***")
    assert "hunter22" not in shown and "ter22" not in shown


@pytest.mark.parametrize(
    "argv", [["app", "pause"], ["systemctl", "stop", "web"], ["docker", "run", "-p", "8080:80", "x"]]
)
def test_what_is_no_secret_is_shown(argv: list[str]) -> None:
    assert secret_values({"units": [{"name": "web.service", "pause": argv}]}) == []


@pytest.mark.parametrize(
    "params",
    [
        {"web": {"probe": "http://bob:hun/ter22@web/x"}},
        {"web": {"ready": "http://bob:hunter22@web/x"}},
        {"alerts": {"alertmanager": "http://bob:hun/ter22@am"}},
        {"alerts": {"pagerduty": {"url": "http://bob:hunter22@pd/x"}}},
    ],
)
def test_secrets_of_addresses(params: dict[str, Any]) -> None:
    shown = str(params)
    for secret in secret_values(params):
        shown = shown.replace(secret, "***")
    assert "ter22" not in shown


@pytest.mark.parametrize(
    "entry",
    ["web", "web@1.2", {"name": "web"}, {"name": "web", "pause": ["kill", "-STOP", 7], "resume": ["kill", "-CONT", 7]},
     {"name": "web", "pause": [], "resume": None}],
)  # fmt: skip
def test_units_that_are_read(entry: Any) -> None:
    assert read_unit(entry)["name"].startswith("web")


@pytest.mark.parametrize(
    ("entry", "words"),
    [
        (5, "has 5: the name of a unit"), (None, "has None"), (["web"], r"has \['web'\]"), (True, "has True"),
        ({"unit": "web"}, "a mapping without a name"), ({"name": 5}, "a mapping without a name"),
        ({"pause": ["redis-cli", "-a", "hunter22"]}, "a mapping without a name"),
        ({"name": "web", "stop": ["x"]}, "web: 'stop' is no option; there are name, pause, resume"),
        # A shell's line, of which each letter would be a word.
        ({"name": "web", "pause": "redis-cli save", "resume": ["true"]}, "'pause' is a list of words"),
        ({"name": "web", "pause": ["sh", ["-c"]], "resume": ["true"]}, "'pause' is a list of words"),
    ],
)  # fmt: skip
def test_units_that_cannot_be_meant(entry: Any, words: str) -> None:
    with pytest.raises(OptionError, match=words) as refused:
        read_unit(entry)
    assert "hunter22" not in str(refused.value)


PAGER = {"services": ["PIJ90N7"], "from": "ops@example.com", "token_file": "/etc/day2/pagerduty"}


def faults(**alerts: Any) -> str:
    return "; ".join(ArgumentSpecValidator({"alerts": SPEC["alerts"]}).validate({"alerts": alerts}).error_messages)


@pytest.mark.parametrize(
    ("alerts", "words"),
    [
        # Names that Alertmanager and other tools have for the same: unread, the silence would be of nothing.
        ({"matchers": [{"name": "service", "value": "shop.*", "isRegex": True}]}, "isRegex"),
        ({"matchers": [{"name": "service", "value": "shop.*", "is_regex": True}]}, "is_regex"),
        ({"matchers": [{"label": "service", "value": "shop"}]}, "label"), ({"matchers": ["service=shop"]}, "service"),
        ({"matchers": ["service"]}, "dictionary requested"), ({"matchers": [{"name": "service"}]}, "value"),
        ({"matchers": [{"name": "service", "value": "shop", "regex": "perhaps"}]}, "regex"),
        ({"pagerduty": {**PAGER, "service_ids": ["PX"]}}, "service_ids"),
        ({"pagerduty": {**PAGER, "token": "x"}}, "token"),
        ({"pagerduty": {**PAGER, "uri": "https://api.eu.pagerduty.com"}}, "uri"),
        ({"pagerduty": {key: PAGER[key] for key in ("services", "from")}}, "token_file"),
    ],
)  # fmt: skip
def test_options_of_alerts_that_nobody_reads_are_refused(alerts: dict[str, Any], words: str) -> None:
    assert words in faults(**alerts)


@pytest.mark.parametrize(
    ("said", "is_regex"), [("no", False), ("false", False), ("yes", True), (0, False), ("True", True), (1, True)]
)
def test_words_for_yes_and_no(said: Any, is_regex: bool) -> None:
    """As an inventory in INI or `-e` gives them: text."""
    given = {"alerts": {"matchers": [{"name": "service", "value": 7, "regex": said}], "pagerduty": PAGER}}
    read = ArgumentSpecValidator({"alerts": SPEC["alerts"]}).validate(given)
    (matcher,) = read.validated_parameters["alerts"]["matchers"]
    assert not read.error_messages and (bool(matcher["regex"]), matcher["value"]) == (is_regex, "7")


@pytest.mark.parametrize(
    ("given", "order"),
    [
        (["units", "haproxy", "web", "alerts"], ["alerts", "web", "haproxy", "units"]),
        (["web", "units", "web"], ["web", "units"]),
        ([], []),
    ],
)
def test_targets_are_entered_in_one_order(given: list[str], order: list[str]) -> None:
    assert _targets({"targets": given}) == order


@pytest.mark.parametrize("name", ["webb", "haproxi", "Web", ""])
def test_targets_that_are_none(name: str) -> None:
    with pytest.raises(LeaseError, match=f"'targets' has '{name}'; (did you mean|there are)"):
        _targets({"targets": ["web", name]})


def test_options_are_those_of_the_targets() -> None:
    """And what a target makes of their defaults can be asked for at once."""
    read = ArgumentSpecValidator(dict(SPEC)).validate({"service": "shop"})
    assert not read.error_messages and set(SPEC) >= {*TARGETS, "units_timeout", "units_stable"}
    for target in TARGETS.values():
        assert target.config(read.validated_parameters) is not None and target.meaning


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"web": {"drain": "soon"}}, "'web.drain'"), ({"haproxy": {"drain": "soon"}}, "'haproxy.drain'"),
        ({"units_timeout": "soon"}, "'units_timeout'"), ({"units_stable": "1 parsec"}, "'units_stable'"),
    ],
)  # fmt: skip
def test_durations_are_named_that_cannot_be_meant(given: dict[str, Any], words: str) -> None:
    read = ArgumentSpecValidator(dict(SPEC)).validate({"service": "shop", **given})
    with pytest.raises(OptionError, match=words):
        [target.config(read.validated_parameters) for target in TARGETS.values()]
