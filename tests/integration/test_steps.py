# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Steps that the checklists take: what the report says of them, and what is refused before any begins."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from site_of_hosts import DISK, Site

RAN = {"ansible.builtin.file": {"path": "{{ mark }}", "state": "touch"}, "name": "Leave a mark"}
TELL = {
    "ansible.builtin.set_fact": {
        "telling_step_outcome": {"status": "warning", "message": "two left", "evidence": ["a", "b"]}
    }
}
OWN = {"id": "mine", "title": "Mine", "probe": "step", "status": "ok", "message": "made", "ref": ["X-2"]}


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path)


def role(site: Site, name: str, *tasks: dict[str, Any], entry_point: str = "main") -> str:
    folder = site.folder / "roles" / name / "tasks"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{entry_point}.yml").write_text(json.dumps(tasks))
    return str(folder.parent)


def weekly(site: Site, *steps: dict[str, Any], options: tuple[str, ...] = (), **variables: Any) -> int:
    site.host("a", day2_weekly_checks=[DISK], day2_weekly_steps=list(steps), mark=str(site.folder / "mark"))
    return int(site.run(*options, playbook="day2.ops.weekly", day2_steps=True, **variables))


def test_what_roles_told_stands_in_the_report(site: Site) -> None:
    collected = {"ansible.builtin.set_fact": {"counting_step_outcome": [OWN]}}
    steps = [
        {"id": "plain", "role": role(site, "plain", RAN), "ref": "X-1"},
        {"id": "told", "title": "It tells", "role": role(site, "telling", TELL, entry_point="half"),
         "entry_point": "half", "duration": "20m", "ref": ["X-3", "X-4"]},
        {"id": "own", "role": role(site, "counting", collected), "ref": "X-1"},
        # What the second one told is not taken for this one's.
        {"id": "after", "role": role(site, "plain", RAN)},
    ]  # fmt: skip
    assert weekly(site, *steps, day2_fail_on="critical") == 0, site.output
    rows = site.results("a")
    assert set(rows) == {"disk", "plain", "told", "mine", "after"}
    plain, told = rows["plain"], rows["told"]
    assert (plain["status"], plain["message"], plain["ref"], plain["probe"]) == ("ok", "done", ["X-1"], "step")
    assert plain["duration"] > 0 and plain["started"].endswith("Z") and plain["title"] == "plain"
    assert (told["status"], told["message"], told["evidence"]) == ("warning", "two left", ["a", "b"])
    assert told["title"] == "It tells" and told["ref"] == ["X-3", "X-4"]
    assert rows["mine"]["ref"] == ["X-2", "X-1"] and rows["after"]["status"] == "ok" and not rows["after"]["evidence"]


def test_a_step_that_fails_is_told_once_and_is_the_last_one(site: Site) -> None:
    bad = {"name": "Mend it", "ansible.builtin.command": {"argv": ["sh", "-c", "echo first; echo worse >&2; exit 3"]}}
    steps = [
        {"id": "mend", "role": role(site, "broken", bad), "ref": "X-1"},
        {"id": "next", "role": role(site, "plain", RAN)},
    ]  # fmt: skip
    site.host("b", day2_weekly_checks=[DISK], day2_weekly_steps=[steps[1]], mark=str(site.folder / "b"))
    assert weekly(site, *steps) == 2
    rows = site.results("a")
    assert set(rows) == {"disk", "mend"} and not (site.folder / "mark").exists(), site.output
    assert rows["mend"]["status"] == "critical" and rows["mend"]["message"] == "Mend it: exit status 3: worse"
    assert rows["mend"]["evidence"] == ["worse", "first"] and rows["mend"]["ref"] == ["X-1"]
    assert site.results("b")["next"]["status"] == "ok" and (site.folder / "b").exists()


def test_in_check_mode_nothing_is_done(site: Site) -> None:
    steps = [{"id": "plain", "role": role(site, "plain", RAN)}, {"id": "told", "role": role(site, "telling", TELL)}]
    assert weekly(site, *steps, options=("--check",)) == 0, site.output
    assert not (site.folder / "mark").exists() and site.report is None
    assert "this role does not tell its plan" in site.output and "two left" in site.output


def test_without_being_asked_for_nothing_is_done(site: Site) -> None:
    site.host("a", day2_weekly_checks=[DISK], day2_weekly_steps=[{"id": "plain", "role": role(site, "plain", RAN)}],
              mark=str(site.folder / "mark"))  # fmt: skip
    assert site.run(playbook="day2.ops.weekly") == 0 and set(site.results("a")) == {"disk"}
    assert not (site.folder / "mark").exists()


def test_lists_of_groups_and_hosts_join(site: Site) -> None:
    more = {"day2_weekly_steps_later": [{"id": "later", "role": role(site, "plain", RAN)}]}
    assert weekly(site, {"id": "plain", "role": role(site, "plain", RAN)}, **more) == 0, site.output
    assert {"plain", "later"} < set(site.results("a"))


@pytest.mark.parametrize(
    ("step", "said"),
    [
        ({"role": "PLAIN"}, "step 2, field 'id': is missing"),
        ({"id": "x"}, "step 'x', field 'role': is missing"),
        ({"id": "x", "role": "PLAIN", "entrypoint": "y"}, "field 'entrypoint': is unknown; did you mean 'entry_point'"),
        ({"id": "x", "role": "day2.ops.nosuch"}, "step 'x', field 'role': the role 'day2.ops.nosuch' was not found"),
        ({"id": "x", "role": "PLAIN", "entry_point": "nope"}, "has no tasks 'nope'"),
        ({"id": "x", "role": "PLAIN", "duration": "soon"}, "step 'x', field 'duration'"),
        ({"id": "first", "role": "PLAIN"}, "is also the id of step 1"),
        ("packages", "step 2: 'packages' is not a mapping"),
    ],
)
def test_malformed_steps_are_refused_before_any_begins(site: Site, step: Any, said: str) -> None:
    plain = role(site, "plain", RAN)
    if isinstance(step, dict):
        step = {name: plain if value == "PLAIN" else value for name, value in step.items()}
    # Another host's list is fine, and is not begun either.
    site.host("b", day2_weekly_checks=[DISK], day2_weekly_steps=[{"id": "plain", "role": plain}],
              mark=str(site.folder / "mark"))  # fmt: skip
    assert weekly(site, {"id": "first", "role": plain}, step, in_full=True) == 2
    assert said in " ".join(site.output.replace("\\n", " ").replace("\\'", "'").split()), site.output
    assert not (site.folder / "mark").exists() and "TASK [Run the checks]" not in site.output
    assert site.run(playbook="day2.ops.inventory_lint") == 2 and said in " ".join(site.output.split()), site.output


def test_an_outcome_that_nobody_can_read_fails_the_step(site: Site) -> None:
    tell = {"ansible.builtin.set_fact": {"telling_step_outcome": {"status": "fine"}}}
    assert weekly(site, {"id": "told", "role": role(site, "telling", tell)}) == 2
    assert "telling_step_outcome has status 'fine', which is none of" in site.results("a")["told"]["message"]


def test_a_host_that_is_lost_meanwhile_did_not_end_its_step(site: Site) -> None:
    lose = {"name": "Lose it", "ansible.builtin.set_fact": {"ansible_connection": "ssh", "ansible_host": "127.0.0.1",
            "ansible_port": 1, "ansible_ssh_common_args": "-o ConnectTimeout=2"}}  # fmt: skip
    steps = [{"id": "lose", "role": role(site, "losing", lose, RAN)}, {"id": "next", "role": role(site, "plain", RAN)}]
    assert weekly(site, *steps) == 2
    row = site.results("a")["lose"]
    assert row["status"] == "critical" and "cannot be reached any more" in row["message"], row
    assert "next" not in site.results("a")
