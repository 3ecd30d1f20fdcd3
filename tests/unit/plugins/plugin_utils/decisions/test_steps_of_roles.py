# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What role maintenance_steps makes of what its tasks registered."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.day2.ops.plugins.plugin_utils.decisions import backup, certificates, processes, upkeep

SKIPPED = {"skipped": True, "changed": False}


def shown(**properties: str) -> dict[str, Any]:
    known = {"LoadState": "loaded", "ActiveState": "active", "MainPID": "7", "ConditionResult": "yes", **properties}
    return {"rc": 0, "stdout": "\n".join(f"{name}={value}" for name, value in known.items())}


@pytest.mark.parametrize(
    ("given", "loaded", "ran", "active"),
    [
        (shown(), True, True, True), (shown(ActiveState="inactive"), True, False, False),
        (shown(ActiveState="failed"), True, True, False), (shown(ActiveState="activating"), True, True, False),
        (shown(LoadState="not-found", ActiveState="inactive"), False, False, False),
        (shown(LoadState="masked"), False, True, True), (SKIPPED, False, True, False),
    ],
)  # fmt: skip
def test_the_unit_before(given: dict[str, Any], loaded: bool, ran: bool, active: bool) -> None:
    found = processes.seen(given)
    assert (found["loaded"], found["ran"], found["active"]) == (loaded, ran, active)


@pytest.mark.parametrize(
    ("now", "gone", "replaced"),
    [
        (shown(), False, False), (shown(MainPID="8"), False, True),
        (shown(ActiveState="inactive", MainPID="0"), True, False),
        (shown(ActiveState="failed", MainPID="0"), True, False),
        (shown(ActiveState="activating", MainPID="8"), False, False),
        # Within maintenance mode a condition keeps it down.
        (shown(ActiveState="inactive", MainPID="0", ConditionResult="no"), True, True),
        ({"failed": True, "msg": "no systemctl"}, False, False), (SKIPPED, False, False),
        ({"stdout": "ActiveState=active"}, False, False),
    ],
)  # fmt: skip
def test_whether_its_processes_are_other_ones(now: dict[str, Any], gone: bool, replaced: bool) -> None:
    assert (processes.gone(now), processes.replaced(shown(), now)) == (gone, replaced)


@pytest.mark.parametrize(
    ("ran", "task", "result", "queued", "said"),
    [
        (False, "Ask", {"msg": "no"}, SKIPPED, "(Ask: no). It is failed; it did not run before"),
        (True, "Ask", {"msg": "m", "stderr": "no bus"}, {"rc": 0},
         "(Ask: no bus). It is failed; systemd starts it as soon as it has stopped - systemctl status u"),
        (True, "Wait", {}, {"rc": 1}, "(Wait). It is failed; it could not be started - systemctl start u"),
        (True, "Wait", {}, {"failed": True}, "it could not be started - systemctl start u"),
    ],
)  # fmt: skip
def test_why_they_are_not(ran: bool, task: str, result: dict[str, Any], queued: dict[str, Any], said: str) -> None:
    told = processes.failure("u", ran, task, result, shown(ActiveState="failed"), queued)
    assert told.startswith("The processes of u could not be replaced (") and told.endswith(said), told


@pytest.mark.parametrize(
    ("planning", "stopped", "again", "said"),
    [
        (True, SKIPPED, SKIPPED, "would end the processes of u"), (True, {}, {}, "would end the processes of u"),
        (False, {"rc": 0}, shown(MainPID="8"), "ended the processes of u; it is active again"),
        (False, {"rc": 124}, shown(MainPID="8"),
         "ended the processes of u by SIGKILL, because it did not stop within 2s; it is active again"),
        (False, {"rc": 0}, shown(ActiveState="inactive", ConditionResult="no"),
         "ended the processes of u; it is kept from starting (maintenance mode)"),
        (False, {"rc": 0}, SKIPPED, "ended the processes of u; it did not run before, and does not now"),
    ],
)  # fmt: skip
def test_the_line_of_processes(planning: bool, stopped: dict[str, Any], again: dict[str, Any], said: str) -> None:
    line = processes.outcome("u", "2s", planning, shown(), {"stdout": "a\nb"}, stopped, again)
    assert line["message"] == said and line["status"] == ("skipped" if planning else "ok")
    assert line["evidence"][0] == "MainPID=7" and line["evidence"][-2:] == ["a", "b"]


FOUND = {"results": [{"item": "/usr/bin/certbot", "stat": {"exists": False}}, {"item": "/snap/bin/certbot",
         "stat": {"exists": True}}, {"item": "/x", "failed": True}]}  # fmt: skip


def test_what_renews() -> None:
    assert certificates.renewal(["own", "renew"], FOUND) == ["own", "renew"]
    assert certificates.renewal([], FOUND)[:2] == ["/snap/bin/certbot", "renew"]
    assert certificates.renewal([], {"results": FOUND["results"][:1]}) == [] == certificates.renewal([], SKIPPED)


def test_each_certificate_is_checked_once() -> None:
    checks = certificates.checks(["/a", "/b", "/a"], "21d")
    assert checks == [
        {"id": path, "title": path, "path": path, "probe": "certificate", "warning": "< 21d"} for path in ("/a", "/b")
    ]


OLD = {"results": [{"item": "/a", "stat": {"exists": True, "checksum": "1"}}, {"item": "/b", "stat": {"exists": True,
       "checksum": "2"}}, {"item": "/c", "stat": {"exists": False}}]}  # fmt: skip


@pytest.mark.parametrize(
    ("path", "checksum", "wanted"),
    # The second has become what the first was: it was exchanged.
    [("/a", "1", False), ("/a", "3", True), ("/b", "1", True), ("/c", None, False), ("/c", "1", True),
     ("/a", None, True), ("/d", None, False)],
)  # fmt: skip
def test_which_certificate_is_another(path: str, checksum: str | None, wanted: bool) -> None:
    assert certificates.differs(path, OLD, {"stat": {"checksum": checksum} if checksum else {}}) is wanted


WARNS, BAD, WELL = (
    {"id": f"/{word}", "title": f"/{word}", "status": word, "message": "m"} for word in ("warning", "critical", "ok")
)
NEW = {"results": [{"item": "/a", "changed": True}, {"item": "/b", "changed": False}, {"item": "/c", "failed": True}]}


@pytest.mark.parametrize(
    ("given", "status", "said"),
    [
        ({}, "ok", "1 of 2 certificates renewed"), ({"planning": True}, "skipped", "would run certbot renew"),
        ({"argv": []}, "skipped", "nothing renews certificates here: there is no certbot, and no command is named"),
        # The worst of the findings, whichever is the first.
        ({"checked": {"results": [WELL, WARNS, BAD]}}, "critical",
         "1 of 2 certificates renewed; /warning: m; /critical: m"),
        ({"planning": True, "checked": {"results": [WARNS]}}, "warning", "would run certbot renew; /warning: m"),
        ({"paths": [], "reload": ["web"], "checked": SKIPPED, "new": SKIPPED}, "warning",
         "certbot renew ran; whether it renewed anything is not known, and web was not reloaded:"
         " maintenance_steps_certificates names no file"),
        ({"paths": [], "checked": SKIPPED, "new": SKIPPED}, "ok",
         "certbot renew ran; whether it renewed anything is not known, and no unit was reloaded:"
         " maintenance_steps_certificates names no file"),
    ],
)  # fmt: skip
def test_the_line_of_certificates(given: dict[str, Any], status: str, said: str) -> None:
    facts: dict[str, Any] = {
        "planning": False, "argv": ["certbot", "renew"], "paths": ["/a", "/b"], "reload": [],
        "checked": {"results": [WELL]}, "new": NEW, "ran": {"stdout": "done"}, **given,
    }  # fmt: skip
    line = certificates.outcome(**facts)
    assert (line["status"], line["message"]) == (status, said)
    assert line["evidence"][-1] == "done"


def test_certificates_that_were_renewed() -> None:
    assert certificates.renewed(NEW) == ["/a"] and certificates.renewed(SKIPPED) == []


def test_units_that_do_not_run() -> None:
    asked = [{"item": "a", "rc": 0}, {"item": "b", "rc": 3, "failed": True}, {"item": "c", "failed": True}]
    assert upkeep.down({"results": asked}) == ["b", "c"]
    # Check mode asks nothing.
    assert upkeep.down({"results": [{"item": "a", "skipped": True}]}) == [] == upkeep.down(SKIPPED)


def test_the_line_of_logs() -> None:
    removed = {"outcome": {"status": "ok", "message": "m", "evidence": ["/a"]}}
    said = {"stderr": "Deleted archived journal x\nVacuuming done, freed 1B"}
    assert upkeep.logs(removed, said)["evidence"] == ["Vacuuming done, freed 1B", "/a"]
    assert upkeep.logs(removed, SKIPPED) == removed["outcome"]


@pytest.mark.parametrize(
    ("databases", "files", "wanted"),
    [
        ({"made": True}, SKIPPED, []), ({"made": False}, {"results": []}, ["databases"]), (SKIPPED, SKIPPED, []),
        (SKIPPED, {"results": [{"made": False, "postgres_backup_group": {"series": "a"}}, {"failed": True},
                               {"made": True, "postgres_backup_group": {"series": "b"}}]}, ["a"]),
    ],
)  # fmt: skip
def test_sets_that_were_not_due(databases: dict[str, Any], files: dict[str, Any], wanted: list[str]) -> None:
    assert backup.not_due(databases, files) == wanted


def test_directories_that_were_not_there() -> None:
    results = [{"item": "/a", "stat": {"exists": False}}, {"item": "/b", "stat": {"exists": True}}, {"item": "/c"}]
    assert backup.new_directories({"results": results}) == ["/a"]
    assert backup.new_directories({"results": []}) == backup.new_directories({}) == []
