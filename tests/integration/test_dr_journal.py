# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The journal of failovers on a real host: controllers at the same time, a module that acts, files that are damaged."""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from lab.waiting import wait_for

PLACE, SYSTEM = "/var/lib/day2/dr", "journal_test"
FILE = f"{PLACE}/{SYSTEM}.json"
ENTRY = {
    "n": 1, "epoch": 5, "run": "run-5", "step": "fence", "phase": "intent", "host": "db1",
    "about": {"layer": "service", "lsn": "0/3000060", "more": [1, None]}, "at": "2026-02-01T04:00:00Z",
}  # fmt: skip


@pytest.fixture
def host(lab_host: Any) -> Iterator[Any]:
    lab_host.run("rm", "-rf", PLACE)
    yield lab_host
    lab_host.run("rm", "-rf", PLACE)


def journal(host: Any, state: str = "read", **given: Any) -> Any:
    return host.direct.answer("dr_journal", {"system": SYSTEM, "state": state, **given})


def test_of_controllers_at_the_same_time_one_has_the_epoch(host: Any) -> None:
    runs = [f"run-{number}" for number in range(6)]
    with ThreadPoolExecutor(len(runs)) as beside:
        answers = list(beside.map(lambda run: journal(host, "claimed", epoch=5, run=run), runs))
    (winner,) = [run for run, answer in zip(runs, answers, strict=True) if answer["accepted"]]
    assert {answer["promised"]["run"] for answer in answers} == {winner}
    assert json.loads(host.run("cat", FILE))["promised"] == {"epoch": 5, "run": winner}
    assert host.run("stat", "-c", "%U %a", FILE, PLACE).split("\n") == ["root 600", "root 755"]


def test_entries_come_back_as_they_were_written(host: Any) -> None:
    asked = {"system": SYSTEM, "state": "written", "epoch": 5, "run": "run-5", "entries": [ENTRY]}
    tried = host.task("day2.ops.dr_journal", asked, check_mode=True, by_ansible=True)
    assert tried["accepted"] is True and tried["changed"] is True
    assert host.run("sh", "-c", f"[ -e {PLACE} ] || echo none") == "none"
    written = host.task("day2.ops.dr_journal", asked, by_ansible=True)
    assert (written["changed"], written["accepted"], written["entries"]) == (True, True, [ENTRY]), written
    read = journal(host)
    assert (read["changed"], read["entries"]) == (False, [ENTRY])
    assert read["written"] == read["promised"] == {"epoch": 5, "run": "run-5"}
    late = journal(host, "written", epoch=4, run="run-4", entries=[])
    assert (late["changed"], late["accepted"], late["entries"]) == (False, False, [ENTRY]), late


def test_what_was_seen_of_a_primary_is_kept_beside_the_journal(host: Any) -> None:
    seen = {"at": "2026-02-01T04:00:00Z", "primary": "db1", "system_identifier": "7", "timeline": 1,
            "lsn": "0/3000060", "standbys": {"db2": {"lsn": "0/3000060", "seconds": 0.0}}}  # fmt: skip
    before = journal(host)["clock"]
    asked = {"system": SYSTEM, "state": "observed", "observed": seen, "clock": before}
    tried = host.task("day2.ops.dr_journal", asked, check_mode=True, by_ansible=True)
    assert tried["changed"] is True and host.run("sh", "-c", f"[ -e {PLACE} ] || echo none") == "none"
    for changed in (True, False):
        done = host.task("day2.ops.dr_journal", asked, by_ansible=True)
        assert (done["changed"], done["accepted"]) == (changed, True), done
    assert host.run("stat", "-c", "%U %a", f"{PLACE}/{SYSTEM}.observed") == "root 600"
    read = journal(host)
    assert read["observed"] == {**seen, "clock": before} and read["clock"] > before and read["entries"] == [], read
    older = journal(host, "observed", observed={**seen, "timeline": 2}, clock=before - 1)
    assert older["accepted"] is False and journal(host)["observed"]["timeline"] == 1


def test_a_claim_waits_for_what_acts_and_the_act_is_the_last_of_its_run(host: Any) -> None:
    acting, done = "/run/day2-acting", "/run/day2-done"
    host.run("rm", "-f", done)
    script = f"touch {acting}; while [ -e {acting} ]; do sleep 0.1; done; touch {done}"
    act = {"kind": "command", "argv": ["sh", "-c", script], "check": ["test", "-e", done],
           "limit": "50s", "system": SYSTEM, "epoch": 5, "run": "run-5"}  # fmt: skip
    with ThreadPoolExecutor(2) as beside:
        fenced = beside.submit(host.direct.answer, "dr_fence", act)
        wait_for(lambda: host.run("sh", "-c", f"ls {acting} || true"), bool, 30, "it acts")
        late = journal(host, "claimed", epoch=6, run="run-6", wait="0.5s")
        assert late["failed"] and "run run-5, epoch 5" in late["msg"], late
        claimed = beside.submit(journal, host, "claimed", epoch=6, run="run-6", wait="50s")
        host.run("rm", acting)
        assert fenced.result()["proven"] is True and claimed.result()["accepted"] is True
    host.run("rm", done)
    again = host.direct.answer("dr_fence", act)
    assert again["failed"] and "run run-6 has taken over with epoch 6" in again["msg"], again


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (f"truncate -s 60 {FILE}", "cannot be read"),
        (f"truncate -s 0 {FILE}", "cannot be read"),
        (f'sed -i \'s/"schema": 1/"schema": 9/\' {FILE}', "its schema is 9"),
        (f"chown nobody {FILE}", "belongs to nobody"),
        (f"chmod 666 {FILE}", "can be written by others"),
        (f"mv {FILE} /run/x.json; ln -s /run/x.json {FILE}", "is a symbolic link"),
    ],
)
def test_a_damaged_journal_is_none_and_not_an_empty_one(host: Any, damage: str, said: str) -> None:
    journal(host, "claimed", epoch=5, run="run-5")
    host.run("sh", "-euc", damage)
    act = {"kind": "command", "argv": ["touch", "/run/day2-acted"], "check": ["false"], "limit": "1s"}
    for asked in (
        journal(host),
        journal(host, "claimed", epoch=9, run="run-9"),
        host.direct.answer("dr_fence", {**act, "system": SYSTEM, "epoch": 9, "run": "run-9"}),
    ):
        assert asked["failed"] and said in asked["msg"], asked
    assert host.run("sh", "-c", "[ -e /run/day2-acted ] || echo none") == "none"
