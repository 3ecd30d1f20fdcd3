# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Times that playbooks read: the same in every zone of the controller, and over nights when clocks change."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import datetime, timezone
from zoneinfo import ZoneInfo

import pytest
from ansible.errors import AnsibleError
from ansible_collections.day2.ops.plugins.action.maintenance_procedure import _admitted
from ansible_collections.day2.ops.plugins.lookup import clock
from ansible_collections.day2.ops.plugins.plugin_utils.maintenance.procedure import ProcedureError

ZONES = ["UTC", "America/New_York", "Asia/Tokyo", "Asia/Kolkata", "Pacific/Kiritimati", "America/St_Johns", "EST5EDT"]


@pytest.fixture(params=ZONES)
def zone(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    monkeypatch.setenv("TZ", request.param)
    time.tzset()
    yield request.param
    monkeypatch.undo()
    time.tzset()


@pytest.mark.parametrize(
    ("since", "until", "words", "wanted"),
    [
        (None, None, False, 1000.0), (400.0, None, False, 600.0), (None, 8200.0, False, 7200.0),
        (1500.0, None, False, 0.0), (None, 999.0, False, 0.0), (0.0, None, False, 1000.0), (None, 0.0, False, 0.0),
        (755.0, None, True, "4 min 5 s"), (999.6, None, True, "400 ms"), (None, 8200.0, True, "2 h"),
    ],
)  # fmt: skip
def test_a_reading(since: float | None, until: float | None, words: bool, wanted: object) -> None:
    assert clock.measure(1000.0, since, until, words) == pytest.approx(wanted)


def test_words_are_of_a_duration() -> None:
    with pytest.raises(AnsibleError, match="'words' is for a duration"):
        clock.measure(1000.0, None, None, True)


def admit(now: float, window: dict[str, object], **more: object) -> dict[str, object]:
    arguments = {
        "system": "shop", "emergency": None, "steps": [], "reserve": "15m", "duration": None, "windows": [window],
        "reason": "", "approved_by": "", "approvers": [], "planning": False, **more,
    }  # fmt: skip
    return _admitted(arguments, now)


def moment(text: str, zone: str) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone)).timestamp()


WINDOW = {"name": "night", "rrule": "FREQ=DAILY", "start": "01:00", "duration": "4h"}


@pytest.mark.parametrize(
    ("night", "where", "hours"),
    [
        # Plain nights; clocks go forward; clocks go back. `duration` is elapsed time.
        ("2026-01-12 01:30", "America/New_York", 3.5), ("2026-03-08 01:30", "America/New_York", 3.5),
        ("2026-11-01 00:59", "America/New_York", None), ("2026-10-25 01:30", "Europe/Berlin", 3.5),
        ("2026-03-29 01:30", "Europe/Berlin", 3.5), ("2026-06-01 01:30", "Asia/Tokyo", 3.5),
        ("2026-04-05 01:30", "Australia/Lord_Howe", 3.5), ("2026-06-01 01:30", "UTC", 3.5),
    ],
)  # fmt: skip
def test_a_lease_is_as_long_as_the_window_in_every_zone_of_the_controller(
    zone: str, night: str, where: str, hours: float | None
) -> None:
    window = {**WINDOW, "timezone": where}
    now = moment(night, where)
    if hours is None:
        with pytest.raises(ProcedureError):
            admit(now, window)
        return
    admission = admit(now, window)
    left = clock.measure(now, None, float(str(admission["deadline"])), False)
    assert left == pytest.approx(hours * 3600), zone
    said = datetime.fromisoformat(str(admission["until"])[:-1]).replace(tzinfo=timezone.utc).timestamp()
    assert said == pytest.approx(now + left)


def test_an_emergency_lasts_as_long_as_was_said(zone: str) -> None:
    admission = admit(1e9, WINDOW, emergency="security", reason="hole", approved_by="A", approvers=["A"], duration="2h")
    assert admission["deadline"] == 1e9 + 7200 and admission["until"] == "2001-09-09T03:46:40Z", zone
