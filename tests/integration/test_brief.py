# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The callback `brief` under a real ansible-playbook on this machine: what a person sees, and what nobody may see."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from lab_host import ROOT, ansible

SECRET = "t0p-s3cret"
Task = dict[str, Any]


class Site:
    """Three hosts that are this machine."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.code = 0

    def run(self, *tasks: Task, options: tuple[str, ...] = (), hosts: str = "a,b,c", **environment: str) -> str:
        """What a play of these tasks prints on standard output."""
        return self.play(
            [{"name": "A play", "hosts": "all", "tasks": list(tasks)}], *options, hosts=hosts, **environment
        )

    def play(self, plays: list[Any], *options: str, hosts: str = "a,b,c", **environment: str) -> str:
        file = self.folder / "site.json"
        file.write_text(json.dumps([{"gather_facts": False, **play} for play in plays]))
        python = f"ansible_python_interpreter={sys.executable}"
        command = ["ansible-playbook", "-i", f"{hosts},", "-c", "local", "-e", python, str(file), *options]
        done = ansible(command, ANSIBLE_STDOUT_CALLBACK=environment.pop("ANSIBLE_STDOUT_CALLBACK", "day2.ops.brief"),
                       **environment)  # fmt: skip
        self.code, self.errors = done.returncode, done.stderr
        return done.stdout


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path)


def lines(said: str, word: str) -> list[str]:
    """The lines that begin with a word, without it."""
    return [" ".join(line.split()[1:]) for line in said.split("\n") if line.split()[:1] == [word]]


def fails(message: str, **more: Any) -> Task:
    return {"name": "Fail", "ansible.builtin.fail": {"msg": message}, **more}


def changes(name: str, **more: Any) -> Task:
    return {"name": name, "ansible.builtin.command": "true", **more}


def test_changes_are_a_line_for_all_hosts_and_what_is_fine_is_none(site: Site) -> None:
    said = site.run(
        changes("Change it"),
        changes("Look at it", changed_when=False),
        changes("Change one", loop=["shop", "admin"], changed_when="item == 'admin' and inventory_hostname == 'b'"),
        changes("Skip it", when=False),
        {"name": "Remember", "ansible.builtin.set_fact": {"x": 1}},
    )
    changed = lines(said, "changed")
    assert len(changed) == 2 and changed[1] == "b Change one (admin)"
    assert sorted(changed[0].removesuffix(" Change it").split(", ")) == ["a", "b", "c"]
    assert not any(word in said for word in ("TASK", "PLAY", "Look at it", "Skip it", "Remember", "*"))
    assert lines(said, "done") == ["a ok=4 changed=1", "b ok=4 changed=2", "c ok=4 changed=1"] and site.code == 0


@pytest.mark.parametrize("hosts", ["a", "a,b"])
def test_a_failure_says_all_of_it(site: Site, hosts: str) -> None:
    script = "for n in $(seq 60); do echo out $n; done; echo the cause >&2; exit 3"
    run = {"name": "Run it", "ansible.builtin.shell": script}
    said = site.run({**run, "when": "inventory_hostname == 'a'"}, hosts=hosts)
    failed, recap = lines(said, "FAILED")
    assert failed.startswith("a Run it (") and failed.endswith("site.json:1)")
    assert "exit status: 3" in said and "the cause" in said and "out 60" in said and "out 19\n" not in said
    assert recap == "a ok=0 changed=0 failed=1" and site.code == 2
    verbose = site.run(run, options=("-v",), hosts="a")
    assert "out 1\n" in verbose


def test_a_message_of_many_lines_is_printed_whole(site: Site) -> None:
    message = "\n".join(f"problem {number} is {'long ' * 40}" for number in range(100))
    said = site.run(fails(message), hosts="a")
    printed = [line.strip() for line in said.split("\n")]
    assert all(line.strip() in printed for line in message.split("\n"))


def test_a_rescued_failure_is_none(site: Site) -> None:
    block = {"block": [fails("the disk is full")], "rescue": [changes("Make room")]}
    said = site.run(block, hosts="a")
    assert "FAILED" not in said and site.code == 0
    (rescued,) = lines(said, "rescued")
    assert rescued.startswith("a Fail: the disk is full")


def test_a_word_that_was_said_hides_no_failure_that_has_it(site: Site) -> None:
    said = site.run(
        {"ansible.builtin.debug": {"msg": "done"}},
        {"block": [fails("the migration was not done: disk full")], "rescue": [changes("Go back")]},
        hosts="a",
    )
    (rescued,) = lines(said, "rescued")
    assert "the migration was not done: disk full" in rescued and site.code == 0


_JUDGE = """
from ansible.plugins.action import ActionBase


class ActionModule(ActionBase):
    def run(self, tmp=None, task_vars=None):
        return {**super().run(None, task_vars), "changed": True, "verdict": self._task.args["verdict"]}
"""


@pytest.mark.parametrize("verdict", ["", "the disk is full"])
def test_a_verdict_of_another_module_is_not_the_report(site: Site, verdict: str) -> None:
    (site.folder / "plugins").mkdir()
    (site.folder / "plugins" / "judge.py").write_text(_JUDGE)
    said = site.run({"name": "Judge", "judge": {"verdict": verdict}}, fails(verdict or " "), hosts="a",
                    ANSIBLE_ACTION_PLUGINS=str(site.folder / "plugins"))  # fmt: skip
    assert lines(said, "changed") == ["a Judge"] and site.code == 2
    # That, and the host's recap.
    assert [line.split()[:2] for line in lines(said, "FAILED")] == [["a", "Fail"], ["a", "ok=1"]]
    assert "day2_fail_on" not in said


@pytest.mark.parametrize("depth", ["include", "nested", "role", "loop"])
def test_a_rescue_further_out_counts(site: Site, depth: str) -> None:
    inner = site.folder / "roles" / "inner" / "tasks" / "main.yml"
    inner.parent.mkdir(parents=True)
    inner.write_text(json.dumps([fails("the disk is full")]))
    task: Task = {
        "include": {"name": "Include", "ansible.builtin.include_tasks": str(inner)},
        "role": {"name": "Include", "ansible.builtin.include_role": {"name": "inner"}},
        "nested": {"block": [fails("the disk is full")], "rescue": [fails("the disk is full")]},
        "loop": {"name": "Include", "ansible.builtin.include_tasks": str(inner), "loop": [1, 2]},
    }[depth]
    said = site.run({"block": [task], "rescue": [changes("Make room")]}, hosts="a")
    assert "FAILED" not in said and len(lines(said, "rescued")) == 1 and site.code == 0


def test_what_fails_in_a_rescue_is_a_failure(site: Site) -> None:
    said = site.run({"block": [fails("first")], "rescue": [fails("second")]}, hosts="a")
    assert len(lines(said, "FAILED")) == 2 and "second" in said and site.code == 2
    # What led to it is there as well.
    assert len(lines(said, "rescued")) == 1


def test_a_rescued_failure_that_the_report_has_is_not_printed_twice(site: Site) -> None:
    remember = {"ansible.builtin.set_fact": {"day2_step_failed": "Fail: {{ ansible_failed_result.msg }}"}}
    said = site.run({"block": [fails("the disk is full")], "rescue": [remember]}, hosts="a")
    assert "the disk is full" not in said and site.code == 0


def test_ignored_and_retried(site: Site) -> None:
    said = site.run(
        {"name": "Try", "ansible.builtin.command": "false", "ignore_errors": True},
        {"name": "Retry", "ansible.builtin.command": "false", "ignore_errors": True, "retries": 1, "delay": 0,
         "register": "tried", "until": "tried is succeeded"},
        hosts="a",
    )  # fmt: skip
    assert [line.partition(":")[0] for line in lines(said, "ignored")] == ["a Try", "a Retry"]
    assert "FAILED" not in said and site.code == 0


def test_entries_of_a_loop_fail_each_once(site: Site) -> None:
    said = site.run(fails("{{ item }} is bad", loop=["shop", "admin"]), hosts="a")
    assert said.count("shop is bad") == 1 and said.count("admin is bad") == 1
    assert [line.partition(" (/")[0] for line in lines(said, "FAILED")][:2] == ["a Fail (shop)", "a Fail (admin)"]


def test_secrets_stay_secret_however_much_is_asked_for(site: Site) -> None:
    echo = {"ansible.builtin.command": f"echo {SECRET}"}
    tasks = (
        {"name": "Say it", **echo, "no_log": True},
        {"name": "Say them", "ansible.builtin.command": "echo {{ item }}", "loop": [SECRET], "no_log": True},
        {"name": "Fail with it", **fails(SECRET), "no_log": True, "ignore_errors": True},
        {"name": "Rescue it", "block": [{**fails(SECRET), "no_log": True}], "rescue": [changes("Go on")]},
        {"name": "Debug it", "ansible.builtin.debug": {"msg": SECRET}, "no_log": True},
        {"name": "Write it", "ansible.builtin.copy": {"content": SECRET, "dest": str(site.folder / "file")},
         "no_log": True, "diff": True},
    )  # fmt: skip
    for options in ((), ("-v",), ("-vv",), ("--diff",)):
        said = site.run(*tasks, options=options, hosts="a")
        assert site.code == 0 and SECRET not in said, options
    # The arguments of modules, at any verbosity. (What modules log beside it is Ansible's own.)
    look = {"name": "Look", "ansible.builtin.stat": {"path": "{{ item }}"}, "loop": ["/", "/etc"]}
    said = site.run(look, fails("bad"), options=("-vvv",), hosts="a")
    assert "invocation" not in said and "/etc" in said


def test_what_debug_says_is_printed(site: Site) -> None:
    said = site.run(
        {"name": "Say", "ansible.builtin.debug": {"msg": "for {{ inventory_hostname }}"}},
        {"name": "Say once", "ansible.builtin.debug": {"msg": ["line one", "line two"]}, "run_once": True},
        {"name": "Say a value", "ansible.builtin.debug": {"var": "answer"}, "vars": {"answer": 42}, "run_once": True},
        {"name": "Say nothing", "ansible.builtin.debug": {"msg": "quiet", "verbosity": 1}},
    )
    for host in "abc":
        assert f"{host}  for {host}\n" in said
    assert said.count("line two") == 1 and "answer: 42" in said and "quiet" not in said


def test_times_are_utc_and_plays_are_not_counted(site: Site) -> None:
    plays = [{"name": f"({number}/3) {name}", "hosts": "all", "tasks": [task]} for number, name, task in (
        (1, "Look", changes("Look at it", changed_when=False)),
        # Nothing is printed of it: the count would have a gap.
        (2, "Remember", {"ansible.builtin.set_fact": {"x": 1}}),
        (3, "Change (1/2) of it", changes("Change it")),
    )]  # fmt: skip
    before = datetime.now(timezone.utc).replace(microsecond=0)
    said = site.play(plays, hosts="a", TZ="Asia/Kolkata")
    headings = re.findall(r"^(\d\d:\d\d:\d\d)Z +(.+)$", said, re.MULTILINE)
    assert [name for _time, name in headings] == ["Look", "Change (1/2) of it"], said
    shown = datetime.strptime(headings[0][0], "%H:%M:%S").replace(tzinfo=timezone.utc)
    assert (shown - before) % timedelta(days=1) < timedelta(minutes=30)
    # Asked for more, all of them are there.
    verbose = site.play(plays, "-v", hosts="a")
    assert all(f"({number}/3) " in verbose for number in (1, 2, 3))


def test_a_diff_and_check_mode(site: Site) -> None:
    file = site.folder / "file"
    write = {"name": "Write it", "ansible.builtin.copy": {"content": "new\n", "dest": str(file)}}
    said = site.run(write, options=("--check", "--diff"), hosts="a")
    assert "+new" in said and said.startswith("CHECK MODE") and "nothing was changed" in said
    assert "would change  a  Write it" in said and not file.exists()
    planned = site.run({**write, "check_mode": True}, hosts="a")
    assert "Write it" not in planned and "CHECK" not in planned
    twice = site.run({**write, "check_mode": True}, options=("--check",), hosts="a")
    assert "would change" not in twice, "who plans within a run that plans says itself what it planned"
    anyhow = site.run({**write, "check_mode": False}, options=("--check",), hosts="a")
    assert "changed      a  Write it" in anyhow


def test_unreachable_hosts_once(site: Site) -> None:
    unreachable = {"name": "Ask", "ansible.builtin.ping": {}, "ignore_unreachable": True,
                   "vars": {"ansible_connection": "ssh", "ansible_port": 1, "ansible_host": "127.0.0.1"}}  # fmt: skip
    said = site.run(unreachable, {**unreachable, "name": "Ask again"}, changes("Go on"), hosts="a")
    (line,) = lines(said, "UNREACHABLE")
    assert line == "a Ask" and said.count("Connection refused") == 1 and site.code == 0


def test_warnings_once(site: Site) -> None:
    module = site.folder / "library" / "warns.py"
    module.parent.mkdir()
    module.write_text(
        "#!/usr/bin/python\nfrom ansible.module_utils.basic import AnsibleModule\n"
        "module = AnsibleModule({})\nmodule.warn('it is odd')\nmodule.exit_json()\n"
    )
    said = site.run({"name": "Warn", "warns": {}}, {"name": "Warn again", "warns": {}, "loop": [1, 2]})
    assert (said + site.errors).count("it is odd") == 1 and site.code == 0


def test_asynchronous_tasks_end(site: Site) -> None:
    said = site.run(changes("Wait for it", **{"async": 20, "poll": 1}), hosts="a")
    assert lines(said, "changed") == ["a Wait for it"] and site.code == 0


def test_a_play_over_nobody_says_so(site: Site) -> None:
    said = site.play([{"name": "Nobody", "hosts": "!all", "tasks": [changes("Change it")]}])
    assert "Nobody: no host of the inventory is meant" in said


def test_many_hosts_are_counted_together(site: Site) -> None:
    hosts = ",".join(f"h{number:02}" for number in range(12))
    said = site.run(fails("bad", when="inventory_hostname == 'h07'"), hosts=hosts)
    assert lines(said, "FAILED")[1:] == ["h07 ok=0 changed=0 failed=1", "12 hosts ok=0 changed=0 failed=1"]
    assert "h06" not in said


def test_verbose_shows_every_task(site: Site) -> None:
    said = site.run(changes("Look", changed_when=False), changes("Skip it", when=False), options=("-v",), hosts="a")
    assert '"rc": 0' in said and lines(said, "ok")[0].startswith("a Look =>")
    assert lines(said, "skipped")[0].startswith("a Skip it =>")


def test_other_commands_are_as_they_were(site: Site) -> None:
    assert "Change it" in site.run(changes("Change it"), options=("--list-tasks",))
    said = site.run(changes("Change it"), hosts="a", ANSIBLE_STDOUT_CALLBACK="default")
    assert "TASK [Change it]" in said and "PLAY RECAP" in said


def test_steps_are_asked_for_by_name(site: Site) -> None:
    file = site.folder / "site.json"
    site.run(changes("Change it"), hosts="a")
    command = ["ansible-playbook", "-i", "a,", "-c", "local", "-e", f"ansible_python_interpreter={sys.executable}",
               "--step", str(file)]  # fmt: skip
    done = subprocess.run(["script", "-qec", " ".join(command), "/dev/null"], input="y\n", cwd=ROOT, text=True,
                          capture_output=True, check=False)  # fmt: skip
    assert "Perform task: TASK: Change it" in done.stdout and "\x1b[" in done.stdout, done.stdout


def test_colours_are_for_terminals(site: Site) -> None:
    assert "\x1b" not in site.run(changes("Change it"), hosts="a")
    assert "\x1b[0;33mchanged" in site.run(changes("Change it"), hosts="a", ANSIBLE_FORCE_COLOR="1")


def test_this_repository_uses_it() -> None:
    own = {name: value for name, value in os.environ.items() if not name.startswith("ANSIBLE_")}
    done = subprocess.run(["ansible-config", "dump", "--only-changed"], cwd=ROOT, capture_output=True, text=True,
                          env={**own, "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg")}, check=True)  # fmt: skip
    assert "DEFAULT_STDOUT_CALLBACK" in done.stdout and "day2.ops.brief" in done.stdout
