# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Units on the control node: read them, have systemd verify them, put them in place, arm the timers."""

from __future__ import annotations

import os
import pwd
import shlex
import stat
import tempfile
from typing import Mapping, Sequence

from ansible_collections.day2.ops.plugins.module_utils.maintenance.place import BASE
from ansible_collections.day2.ops.plugins.module_utils.process.files import write_atomic
from ansible_collections.day2.ops.plugins.module_utils.process.programs import run
from ansible_collections.day2.ops.plugins.module_utils.schedule.units import Node, Plan, UnitsError

DIRECTORY = "/etc/systemd/system"


def check_node(node: Node) -> None:
    """Refuse a node on which no job could run."""
    if not os.path.isdir("/run/systemd/system"):
        raise UnitsError("systemd does not run the control node, and timers of systemd start the jobs")
    try:
        user = pwd.getpwnam(node.user)
    except KeyError:
        raise UnitsError(f"there is no user '{node.user}' on the control node: set schedule_user") from None
    wanted = {
        node.program: "the jobs run it (schedule_ansible_playbook)",
        "/usr/bin/flock": "it keeps jobs apart (util-linux)",
    }
    for path, why in wanted.items():
        if not os.access(path, os.X_OK):
            raise UnitsError(f"{path} is no program on the control node; {why}")
    for path, variable in (
        (node.inventory, "schedule_inventory"),
        (node.environment_file, "schedule_environment_file"),
    ):
        if path and not os.path.exists(path):
            raise UnitsError(f"{path} does not exist on the control node ({variable})")
    _check_directory(node.directory, node.system, user)


def _check_directory(directory: str, system: str, user: pwd.struct_passwd) -> None:
    """The directory is given to the user: it must hold nothing that root or somebody else relies on."""
    path = os.path.realpath(directory)
    if path == BASE or path.startswith(f"{BASE}/"):
        raise UnitsError(
            f"{directory} is root's (maintenance mode and baselines keep their state below {BASE}), and the user who"
            " runs the playbooks could change it: set schedule_directory to a directory of its own, such as"
            f" /var/lib/day2-schedule/{system}"
        )
    try:
        status = os.stat(path)
    except FileNotFoundError:
        return
    except OSError as exc:
        raise UnitsError(f"{directory} on the control node: {exc.strerror} (schedule_directory)") from exc
    if not stat.S_ISDIR(status.st_mode):
        raise UnitsError(f"{directory} on the control node is no directory (schedule_directory)")
    if status.st_uid != user.pw_uid:
        raise UnitsError(
            f"{directory} is there and belongs to another user than {user.pw_name}, who would get it: set"
            " schedule_directory to a directory that is not there yet, or, if nobody else needs it, type on the control"
            f" node: chown {user.pw_name} {shlex.quote(directory)}"
        )


def read_present(directory: str = DIRECTORY) -> dict[str, str]:
    """The text of every unit whose name begins like ours."""
    found = {}
    for name in sorted(os.listdir(directory)):
        path = os.path.join(directory, name)
        if name.startswith("day2-") and name.endswith((".service", ".timer")):
            try:
                with open(path, encoding="utf-8", errors="replace") as stream:
                    found[name] = stream.read()
            except FileNotFoundError:
                # A link to nowhere: a masked or a lost unit of somebody's.
                found[name] = ""
            except OSError as exc:
                raise UnitsError(f"{path} cannot be read: {exc.strerror}") from exc
    return found


def verify(units: Mapping[str, str]) -> None:
    """Have systemd read them, beside those that are in place."""
    with tempfile.TemporaryDirectory(prefix="day2-") as folder:
        paths = [os.path.join(folder, name) for name in units]
        for path, text in zip(paths, units.values()):
            write_atomic(path, text)
        answer = run(["systemd-analyze", "verify", "--man=no", "--", *paths]) if paths else None
    if answer is None:
        return
    said = [line for line in answer.stderr.decode("utf-8", "replace").split("\n") if folder in line or "day2-" in line]
    if answer.code != 0 or said:
        raise UnitsError(f"systemd refuses the units: {'; '.join(said) or answer.complaint}")


def unarmed(timers: Sequence[str]) -> list[str]:
    """Those that are not enabled, not active, or not what systemd has loaded."""
    return [name for name, state in states(timers).items() if state != ("enabled", "active", "no")]


def states(timers: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """Of each timer: whether it is enabled, whether it is active, whether systemd has an older text of it."""
    properties = ("UnitFileState", "ActiveState", "NeedDaemonReload")
    found = {}
    for name in timers:
        fields = dict(line.partition("=")[::2] for line in _systemctl("show", "--", name).split("\n"))
        found[name] = tuple(fields.get(key, "") for key in properties)
    return found


def apply(plan: Plan, timers: Sequence[str], directory: str = DIRECTORY) -> None:
    """Carry out a plan. What a killed run leaves half done, the next one finds unarmed or different, and ends."""
    gone = [name for name in plan.remove if name.endswith(".timer")]
    moved = _moved(plan)
    if gone:
        # A run that goes on is left to its end: its service is a process already.
        _systemctl("disable", "--now", "--", *gone)
        _systemctl("clean", "--what=state", "--", *gone)
    if moved:
        # A timer makes up for what it missed, as soon as systemd reads its new time. By that it has missed nothing.
        _systemctl("stop", "--", *moved)
    try:
        for name in plan.remove:
            os.unlink(os.path.join(directory, name))
        for name, text in plan.write.items():
            write_atomic(os.path.join(directory, name), text, 0o644)
    except OSError as exc:
        raise UnitsError(f"{directory} cannot be written: {exc.strerror}") from exc
    _systemctl("daemon-reload")
    begin_anew = [*moved, *(name for name in plan.write if name.endswith(".timer") and name not in plan.before)]
    if begin_anew:
        _systemctl("clean", "--what=state", "--", *begin_anew)
    if timers:
        _systemctl("enable", "--now", "--", *timers)


def _moved(plan: Plan) -> list[str]:
    """Timers that are there and get another time."""

    def calendar(text: str) -> list[str]:
        return [line for line in text.split("\n") if line.startswith("OnCalendar=")]

    return [name for name, text in plan.write.items() if calendar(text) != calendar(plan.before.get(name, text))]


def _systemctl(*words: str) -> str:
    answer = run(["systemctl", *words])
    if answer.code != 0:
        raise UnitsError(f"systemctl {' '.join(words)}: {answer.complaint}")
    return answer.stdout.decode("utf-8", "replace")
