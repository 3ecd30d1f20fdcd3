# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Arguments of probes that are refused before anything runs, by check and field."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.day2.ops.plugins.module_utils.checks.request import parse_checks
from ansible_collections.day2.ops.plugins.module_utils.errors import CheckError
from ansible_collections.day2.ops.plugins.module_utils.probes import registry
from ansible_collections.day2.ops.plugins.module_utils.probes.runner import find_spec


@pytest.mark.parametrize(
    ("check", "words"),
    [
        ({"probe": "directory", "path": "/etc", "mode": 416}, "quotes"),
        ({"probe": "directory", "path": "/etc", "metric": "offenders"}, "mode, owner or group"),
        ({"probe": "attestation", "done_on": "yesterday", "by": "X", "every": "90d"}, "not a day"),
        ({"probe": "attestation", "done_on": "2026-01-31", "every": "90d"}, "who did it"),
        ({"probe": "attestation", "by": "X"}, "how often"),
        ({"probe": "certificate", "path": "/x", "host": "y"}, "exactly one"),
        ({"probe": "certificate", "path": "/x", "starttls": "smtp"}, "needs 'host'"),
        ({"probe": "ping", "host": "-f"}, "not a host"),
        ({"probe": "dns", "name": "x", "type": "ANY"}, "none of"),
        ({"probe": "backup", "path": "x/*.dump"}, "absolute path"),
        ({"probe": "prometheus", "url": "localhost:9090", "query": "up"}, "no http"),
        ({"probe": "prometheus", "url": "http://x", "query": "up", "critical": "> 5s"}, "add `unit: s`"),
    ],
)
def test_refused_by_name(check: dict[str, Any], words: str) -> None:
    with pytest.raises(CheckError) as refused:
        parse_checks([{"id": "mine", "title": "x", **check}], find_spec, registry.PROBES, 10)
    assert "check 'mine'" in str(refused.value) and words in str(refused.value)
