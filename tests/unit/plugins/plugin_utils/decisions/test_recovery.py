# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a recovery that failed reverts and starts again, whatever its tasks registered."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.day2.ops.plugins.plugin_utils.decisions import recovery

NOTHING: dict[str, Any] = {"results": []}
NOT_RUN = {"skipped": True, "changed": False}
# Two units ran, the one between them was down.
STOPPED = {"results": [{"item": "web", "changed": True}, {"item": "mail", "changed": False},
                       {"item": "queue", "changed": True}]}  # fmt: skip
ETC, OPT = ({"item": name, "changed": True, "paths": [{"path": f"/{name}"}], "msg": f"{name} put back"}
            for name in ("etc", "opt"))  # fmt: skip
BROKEN = {"item": "opt", "failed": True, "changed": False, "msg": "no space"}
REPLACED = {"changed": True, "old": "shop_old_2026", "msg": "shop is again"}
NEW = {"changed": True, "old": None}
RUN_AGAIN = "; these units run again"


def undo(**given: Any) -> dict[str, Any]:
    facts: dict[str, Any] = {
        "task": "Do it", "result": {"msg": "no"}, "stop": NOTHING, "start": NOTHING, "files": NOTHING, "database": {},
        "name": "shop", **given,
    }  # fmt: skip
    return recovery.undo(**facts)


@pytest.mark.parametrize(
    ("registered", "stopped", "series", "database", "said"),
    [
        # Nothing was begun, and the loops registered nothing, or that they were skipped.
        ({}, [], [], False, "everything is as it was before"),
        ({"stop": NOT_RUN, "files": NOT_RUN, "database": NOT_RUN, "start": {}}, [], [], False, "everything is"),
        ({"stop": STOPPED}, ["queue", "web"], [], False,
         "everything is as it was before, and these units run again: queue, web, and these units are down as they"
         " were: mail"),
        # The second unit could not be stopped: it still runs, and the third was not asked.
        ({"stop": {"results": [STOPPED["results"][0], {"item": "mail", "failed": True}]}}, ["web"], [], False,
         "and these units run again: web"),
        # In reverse order; a series that failed was not replaced, one that was the same was not either.
        ({"stop": STOPPED, "files": {"results": [ETC, OPT]}}, ["queue", "web"], ["opt", "etc"], False, "everything is"),
        ({"stop": STOPPED, "files": {"results": [ETC, BROKEN]}}, ["queue", "web"], ["etc"], False, "everything is"),
        ({"files": {"results": [{**ETC, "changed": False}, {"item": "opt"}]}}, [], [], False, "everything is"),
        ({"files": {"results": [ETC]}, "database": REPLACED}, [], ["etc"], True, "everything is as it was before"),
        # There was none before: it stays. One that failed, or was not begun, is not there.
        ({"database": NEW}, [], [], False,
         "the restored shop stays, for there was none before; everything else is as it was before"),
        ({"database": {"changed": True}}, [], [], False, "the restored shop stays"),
        ({"database": {**REPLACED, "failed": True}}, [], [], False, "everything is as it was before"),
        ({"database": {**NEW, "failed": True}}, [], [], False, "everything is as it was before"),
        ({"database": {**REPLACED, "unreachable": True}}, [], [], False, "everything is as it was before"),
    ],
)  # fmt: skip
def test_what_is_reverted(
    registered: dict[str, Any], stopped: list[str], series: list[str], database: bool, said: str
) -> None:
    found = undo(**registered)
    assert (found["stopped"], found["series"], found["database"]) == (stopped, series, database)
    assert found["reverted"].startswith("Do it: no - ") and said in found["reverted"], found["reverted"]
    assert found["paths"] == {name: [f"/{name}"] for name in series}
    assert ("run again" in found["reverted"]) == bool(stopped) and not found["uncertain"]


@pytest.mark.parametrize(
    ("result", "uncertain", "why"),
    [
        ({"msg": "no"}, False, "Do it: no"), ({"msg": "lost", "uncertain": True}, True, "Do it: lost"),
        ({"rc": 3, "msg": "non-zero return code", "stderr": "a\nb"}, False, "Do it: exit status 3: b"),
        ({"results": [{"msg": "fine"}, {"failed": True, "msg": "second"}]}, False, "Do it: second"),
        ({}, False, "Do it: it did not say why"),
    ],
)  # fmt: skip
def test_why_it_failed(result: dict[str, Any], uncertain: bool, why: str) -> None:
    found = undo(result=result, stop=STOPPED)
    assert (found["uncertain"], found["why"]) == (uncertain, why)
    assert found["unknown"] == (
        f"{why} - nothing was put back, because nobody knows what there is. Look, then start these units by hand:"
        " queue, web"
    )
    assert undo()["unknown"].endswith("by hand: none was stopped")
    assert recovery.stuck(found, "Revert", {"msg": "gone"}) == (
        f"{why} - and going back failed as well (Revert: gone). Look at what there is before these units are started by"
        " hand: queue, web"
    )
    assert recovery.stuck(undo(), "Revert", {}).endswith("by hand: none")


def test_units_that_were_started_are_stopped_in_reverse_also_one_that_failed() -> None:
    start = {"results": [{"item": "queue", "changed": True}, {"item": "web", "failed": True}]}
    assert undo(start=start)["started"] == ["web", "queue"]


ROWS = [{"id": f"restore-{name}", "status": "ok", "message": "made"} for name in ("etc", "opt", "shop")]


def test_rows_of_what_was_reverted_are_not_ok() -> None:
    found = undo(files={"results": [ETC, BROKEN]}, database=REPLACED)
    after = {"results": [{"item": "etc", "changed": True, "msg": "/etc is again"}]}
    rows = recovery.taken_back(ROWS, found, after, REPLACED, "shop")
    assert [(row["id"], row["status"], row["message"]) for row in rows] == [
        ("restore-opt", "ok", "made"), ("restore-etc", "warning", "taken back: /etc is again"),
        ("restore-shop", "warning", "taken back: shop is again"),
    ]  # fmt: skip


@pytest.mark.parametrize("files", [NOTHING, NOT_RUN, {}, {"results": [ETC]}])
def test_what_stays_keeps_its_row(files: dict[str, Any]) -> None:
    """Also where the loop was not run, and what an earlier one registered is still there."""
    assert recovery.taken_back(ROWS, undo(database=NEW), files, NEW, "shop") == ROWS
    assert recovery.taken_back([], undo(database=REPLACED), files, REPLACED, "shop") == []


LOOK = "Look at what there is before these units are started by hand: web, queue"


@pytest.mark.parametrize(
    ("given", "start", "said"),
    [
        ({}, ["queue", "web"], "Do it: no - nothing was reverted, and these units run again: queue, web"),
        ({"stop": NOTHING}, [], "Do it: no - nothing was reverted"),
        ({"stop": NOT_RUN, "files": NOT_RUN}, [], "Do it: no - nothing was reverted"),
        # It skipped what nothing has to be done for.
        ({"stop": {"results": [{"item": "web", "skipped": True}]}}, [], "Do it: no - nothing was reverted"),
        ({"database": {"changed": False, "msg": "x"}}, ["queue", "web"], "Do it: no - nothing was reverted, and"),
        ({"database": REPLACED}, [], f"Do it: no - shop is again. {LOOK}"),
        ({"database": REPLACED, "files": {"results": [ETC, BROKEN]}}, [],
         f"Do it: no - shop is again; etc put back. {LOOK}"),
        ({"database": {**REPLACED, "failed": True}}, ["queue", "web"], "Do it: no - nothing was reverted, and"),
        ({"result": {"msg": "lost", "uncertain": True}}, [],
         f"Do it: lost - nobody knows whether the names were exchanged. {LOOK}"),
    ],
)  # fmt: skip
def test_which_units_start_after_a_revert_that_failed(given: dict[str, Any], start: list[str], said: str) -> None:
    facts: dict[str, Any] = {
        "task": "Do it", "result": {"msg": "no"}, "stop": STOPPED, "files": NOTHING, "database": {},
        "services": ["web", "queue"], **given,
    }  # fmt: skip
    found = recovery.unreverted(**facts)
    assert found["start"] == start and found["message"].startswith(said)


PLAN: dict[str, Any] = {
    "state": "present", "scope": "full", "services": ["web", "queue"], "migrate": ["m", "up"],
    "checks": [{"id": "h", "title": "Health"}, {"id": "x"}], "files": {"results": [ETC, OPT]},
    "database": {"changed": True, "steps": ["load", "exchange"], "msg": "planned"},
}  # fmt: skip


@pytest.mark.parametrize(
    ("given", "due", "wanted"),
    [
        ({}, True, ["stop web, queue", "etc put back", "opt put back", "load", "exchange", "run m up",
                    "start queue, web", "wait until this is ok: Health, x"]),
        # A revert runs no migrations, and stops nothing for nothing.
        ({"state": "reverted"}, True, ["stop web, queue", "etc put back", "opt put back", "load", "exchange",
                                       "start queue, web", "wait until this is ok: Health, x"]),
        ({"state": "reverted", "files": NOT_RUN, "database": {"changed": False, "msg": "is what it was"}}, False,
         ["is what it was", "start queue, web", "wait until this is ok: Health, x"]),
        # What an earlier plan of the same host registered is not in scope.
        ({"state": "reverted", "scope": "configuration", "files": NOT_RUN}, False,
         ["start queue, web", "wait until this is ok: Health, x"]),
        ({"services": [], "migrate": [], "checks": [], "files": NOTHING}, True, ["load", "exchange"]),
        ({"services": [], "migrate": [], "checks": [], "files": NOTHING, "database": {"msg": "one"}}, True, ["one"]),
    ],
)  # fmt: skip
def test_the_plan(given: dict[str, Any], due: bool, wanted: list[str]) -> None:
    assert recovery.plan(**{**PLAN, **given}) == {"due": due, "lines": wanted}


BACK: dict[str, Any] = {
    "scope": "database", "system": "shop", "source": "latest", "database": "shop", "usual": "shop", "files": NOTHING,
    "now": "2026-01-31T02:00:00Z", "inventories": ["inv/a b"], "host": "db1",
}  # fmt: skip
RUNS = {"results": [{"item": "a", "set": {"run_id": "night"}}, {"item": "b", "set": {"run_id": "night"}}]}


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        ({}, "restore -i 'inv/a b' -l db1 -e recovery_state=reverted -e day2_confirm=shop"),
        ({"inventories": [], "system": "the shop", "database": "other"},
         "restore -l db1 -e recovery_state=reverted -e recovery_database=other -e '{\"day2_confirm\": \"the shop\"}'"),
        ({"scope": "full", "files": RUNS},
         "recover -i 'inv/a b' -l db1 -e recovery_state=reverted -e recovery_scope=full -e recovery_run_id=night"
         " -e day2_confirm=shop"),
        # Of several runs, or of none, the moment selects the sets.
        ({"scope": "full", "inventories": [], "files": {"results": [*RUNS["results"], {"item": "c", "set": None}]}},
         "recover -l db1 -e recovery_state=reverted -e recovery_scope=full -e recovery_source=2026-01-31T02:00:00Z"
         " -e day2_confirm=shop"),
        ({"scope": "configuration", "inventories": [], "source": "2026-01-30 02:00"},
         "recover -l db1 -e recovery_state=reverted -e recovery_scope=configuration"
         " -e '{\"recovery_source\": \"2026-01-30 02:00\"}' -e day2_confirm=shop"),
    ],
)  # fmt: skip
def test_the_command_that_goes_back(given: dict[str, Any], wanted: str) -> None:
    assert recovery.command(**{**BACK, **given}) == f"ansible-playbook day2.ops.{wanted}"


def test_what_is_announced() -> None:
    rows = [{"message": "restored"}, {}]
    told = recovery.announcement("present", "db1", "2 min", rows, ["web"], [{"title": "Health"}])
    assert told == {
        "subject": "db1 was restored in 2 min",
        "text": "restored\n\nThese units run again: web\nThese checks are ok: Health",
    }
    assert recovery.announcement("reverted", "db1", "1 s", [], [], []) == {
        "subject": "The restore of db1 was reverted in 1 s", "text": "",
    }  # fmt: skip


def test_other_hosts_that_failed() -> None:
    assert recovery.failed_elsewhere({"a": "no", "b": "", "c": None, "d": "no"}, "d") == ["a"]
