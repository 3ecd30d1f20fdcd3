# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Updates that wait, by lists that are recent enough, and whether a reboot is due. Refreshes nothing."""

from __future__ import annotations

import os
import re
import shutil
import time
from dataclasses import dataclass, field, replace
from typing import Sequence

from ansible_collections.day2.ops.plugins.module_utils.checks.result import Observation
from ansible_collections.day2.ops.plugins.module_utils.checks.spec import Argument, Check, Metric, ProbeSpec
from ansible_collections.day2.ops.plugins.module_utils.errors import Undetermined
from ansible_collections.day2.ops.plugins.module_utils.packages.lists import apt_lists, dnf_lists, oldest
from ansible_collections.day2.ops.plugins.module_utils.process.programs import run
from ansible_collections.day2.ops.plugins.module_utils.units.quantity import counted, format_duration

SPEC = ProbeSpec(
    doc="Package updates that wait, by the lists that the host has (apt, dnf); those of packages on hold count, and are"
    " named. Lists older than `max_age`, or of a repository that was never read, tell nothing: that is unknown. The"
    " oldest repository decides. One whose lists are old because it has published nothing since (a release that only"
    " point releases change) is as recent as apt's `update-success-stamp`, or as its list was written on the host;"
    " where only others were looked at since, that is unknown.",
    arguments={"max_age": Argument("duration", "How old the lists may be.", default=7.0 * 86400)},
    metrics={
        "security": Metric("Updates of the security suite or advisories that wait.", "packages"),
        "pending": Metric("All updates that wait.", "packages"),
        "lists_age": Metric("Age of the lists of the oldest repository that counts.", "s"),
        "reboot": Metric("`required` or `not required` by what was updated.", words=True),
    },
    default_metric="security",
)
_REBOOT = "/run/reboot-required"
# Inst openssl [3.0.11-1] (3.0.15-1 Debian-Security:12/stable-security [amd64])
_INST = re.compile(r"^Inst (\S+) (?:\[([^\]]*)\] )?\((\S+) ([^)]*?)(?: \[[^\]]*\])?\)")
_SECURITY = re.compile(r"security", re.IGNORECASE)
# openssl.x86_64   1:3.0.7-27.el9   baseos
_DNF_LINE = re.compile(r"^(\S+)\.(?:x86_64|aarch64|noarch|i686|ppc64le|s390x)\s+(\S+)\s+(\S+)\s*$")
_UPDATES_ARE_THERE = 100
_SIMULATE = ("apt-get", "--simulate", "--quiet", "-o", "Debug::NoLocking=true")


@dataclass(frozen=True)
class Update:
    """`held` marks a package that an administrator keeps at its version (`apt-mark hold`)."""

    name: str
    old: str
    new: str
    security: bool
    held: bool = False


@dataclass(frozen=True)
class Waiting:
    """All updates, those of held packages too. `back` names what apt leaves for now, and why, by what it says."""

    updates: Sequence[Update]
    back: dict[str, list[str]] = field(default_factory=dict)


def source_key(_check: Check) -> object:
    return "packages"


def open_source(_checks: list[Check], _progress: object) -> Waiting:
    if shutil.which("apt-get"):
        return parse_waiting(_apt("--ignore-hold", "dist-upgrade"))
    return Waiting(installable())


def installable() -> list[Update]:
    """The updates that the host's package manager would install now."""
    if shutil.which("apt-get"):
        return parse_apt(_apt("dist-upgrade"))
    if shutil.which("dnf"):
        answer = run(["dnf", "--quiet", "--cacheonly", "check-update"], cap=1 << 24)
        if answer.code not in (0, _UPDATES_ARE_THERE):
            raise Undetermined(f"dnf cannot list the updates: {answer.complaint}")
        secure = run(["dnf", "--quiet", "--cacheonly", "check-update", "--security"], cap=1 << 24)
        return parse_dnf(answer.stdout.decode("utf-8", "replace"), secure.stdout.decode("utf-8", "replace"))
    raise Undetermined("there is neither apt-get nor dnf on this host")


def _apt(*words: str) -> str:
    answer = run([*_SIMULATE, *words], cap=1 << 24)
    if answer.code != 0:
        raise Undetermined(f"apt-get cannot list the updates: {answer.complaint}")
    return answer.stdout.decode("utf-8", "replace")


def parse_apt(text: str) -> list[Update]:
    """Updates in what `apt-get --simulate` says; the origin in brackets names the suite."""
    found = (_INST.match(line) for line in text.split("\n"))
    return [
        Update(match[1], match[2] or "", match[3], _SECURITY.search(match[4]) is not None)
        for match in found
        if match is not None and match[2]
    ]


_HELD, _BACK = "held packages will be changed", ("kept back", "deferred due to phasing")


def parse_waiting(text: str) -> Waiting:
    """The updates of a simulation that ignores holds: apt lists the held ones, and what it leaves, below a sentence."""
    named: dict[str, list[str]] = {}
    sentence = ""
    for line in text.split("\n"):
        if not line.startswith("  "):
            sentence = line
        else:
            named.setdefault(sentence, []).extend(line.split())
    held = {name for sentence, names in named.items() if _HELD in sentence for name in names}
    updates = [replace(update, held=update.name.partition(":")[0] in held) for update in parse_apt(text)]
    back = {why: names for sentence, names in named.items() for why in _BACK if why in sentence}
    return Waiting(updates, back)


def parse_dnf(text: str, secure: str) -> list[Update]:
    """Updates in what `dnf check-update` says, and which of them it names with --security."""
    urgent = {match[1] for match in map(_DNF_LINE.match, secure.split("\n")) if match is not None}
    found = (_DNF_LINE.match(line) for line in text.split("\nObsoleting")[0].split("\n"))
    return [Update(match[1], "", match[2], match[1] in urgent) for match in found if match is not None]


def observe(waiting: Waiting, check: Check) -> Observation:
    metric = check.metric.name
    if metric == "reboot":
        return reboot()
    now = time.time()
    age, name = oldest(*(apt_lists() if shutil.which("apt-get") else dnf_lists()), now)
    lists = f"the package lists of {name} are {format_duration(age)} old"
    if metric == "lists_age":
        return Observation(round(age, 1), lists)
    if age > check.args["max_age"]:
        raise Undetermined(f"{lists}: nobody has looked for updates since")
    return describe(waiting, metric, format_duration(age))


def describe(waiting: Waiting, metric: str, age: str) -> Observation:
    """How many updates wait, and which; `age` is that of the lists, in words."""
    updates = waiting.updates
    chosen = [update for update in updates if update.security or metric == "pending"]
    secure = sum(update.security for update in updates)
    text = f"{counted(len(updates), 'update')} {'waits' if len(updates) == 1 else 'wait'}, {secure} for security"
    held = [update.name for update in updates if update.held]
    if held:
        text += f", {len(held)} on hold ({_few(held)})"
    for why, names in waiting.back.items():
        text += f"; {counted(len(names), 'more is', 'more are')} {why} ({_few(names)})"
    ranked = sorted(chosen, key=lambda update: (not update.security, update.name))
    return Observation(len(chosen), f"{text} (lists are {age} old)", evidence=[_line(update) for update in ranked])


def _line(update: Update) -> str:
    marks = " (security)" * update.security + " (on hold)" * update.held
    return f"{update.name} {update.old or '?'} -> {update.new}{marks}"


def _few(names: Sequence[str]) -> str:
    return ", ".join(names[:5]) + (", …" if len(names) > 5 else "")


def reboot() -> Observation:
    if os.path.exists(_REBOOT):
        try:
            with open(f"{_REBOOT}.pkgs", encoding="utf-8", errors="replace") as stream:
                packages = sorted(set(stream.read().split()))
        except OSError:
            packages = []
        return Observation("required", "a reboot is required by what was updated", evidence=packages)
    if shutil.which("needs-restarting"):
        needed = run(["needs-restarting", "-r"]).code == 1
        return Observation("required" if needed else "not required", f"a reboot is {'' if needed else 'not '}required")
    return Observation("not required", "no update asks for a reboot")
