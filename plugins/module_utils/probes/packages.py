# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Updates that wait: how many, which of them close security holes, and whether a reboot is due. Refreshes nothing."""

from __future__ import annotations

import glob
import os
import re
import shutil
import time
from dataclasses import dataclass

from ansible_collections.day2.ops.plugins.module_utils.checks.quantity import format_duration
from ansible_collections.day2.ops.plugins.module_utils.checks.result import Observation
from ansible_collections.day2.ops.plugins.module_utils.checks.spec import Argument, Check, Metric, ProbeSpec
from ansible_collections.day2.ops.plugins.module_utils.errors import Undetermined
from ansible_collections.day2.ops.plugins.module_utils.process.programs import run

SPEC = ProbeSpec(
    doc="Package updates that wait, by the lists that the host has (apt, dnf). Lists older than `max_age` tell nothing:"
    " that is unknown.",
    arguments={"max_age": Argument("duration", "How old the lists may be.", default=7.0 * 86400)},
    metrics={
        "security": Metric("Updates of the security suite or advisories that wait.", "packages"),
        "pending": Metric("All updates that wait.", "packages"),
        "lists_age": Metric("Age of the lists.", "s"),
        "reboot": Metric("`required` or `not required` by what was updated.", words=True),
    },
    default_metric="security",
)
_APT_LISTS = ("/var/lib/apt/lists/*_InRelease", "/var/lib/apt/lists/*_Release", "/var/lib/apt/lists/*_Packages*")
_DNF_LISTS = ("/var/cache/dnf/*/repodata/repomd.xml", "/var/cache/yum/*/*/*/repomd.xml")
_REBOOT = "/run/reboot-required"
# Inst openssl [3.0.11-1] (3.0.15-1 Debian-Security:12/stable-security [amd64])
_INST = re.compile(r"^Inst (\S+) (?:\[([^\]]*)\] )?\((\S+) ([^)]*?)(?: \[[^\]]*\])?\)")
_SECURITY = re.compile(r"security", re.IGNORECASE)
# openssl.x86_64   1:3.0.7-27.el9   baseos
_DNF_LINE = re.compile(r"^(\S+)\.(?:x86_64|aarch64|noarch|i686|ppc64le|s390x)\s+(\S+)\s+(\S+)\s*$")
_UPDATES_ARE_THERE = 100


@dataclass(frozen=True)
class Update:
    name: str
    old: str
    new: str
    security: bool


def source_key(_check: Check) -> object:
    return "packages"


def open_source(_checks: list[Check], _progress: object) -> list[Update]:
    if shutil.which("apt-get"):
        answer = run(["apt-get", "--simulate", "--quiet", "-o", "Debug::NoLocking=true", "dist-upgrade"], cap=1 << 24)
        if answer.code != 0:
            raise Undetermined(f"apt-get cannot tell: {answer.complaint}")
        return parse_apt(answer.stdout.decode("utf-8", "replace"))
    if shutil.which("dnf"):
        answer = run(["dnf", "--quiet", "--cacheonly", "check-update"], cap=1 << 24)
        if answer.code not in (0, _UPDATES_ARE_THERE):
            raise Undetermined(f"dnf cannot tell: {answer.complaint}")
        secure = run(["dnf", "--quiet", "--cacheonly", "check-update", "--security"], cap=1 << 24)
        return parse_dnf(answer.stdout.decode("utf-8", "replace"), secure.stdout.decode("utf-8", "replace"))
    raise Undetermined("there is neither apt-get nor dnf on this host")


def parse_apt(text: str) -> list[Update]:
    """Updates in what `apt-get --simulate` says; the origin in brackets names the suite."""
    found = (_INST.match(line) for line in text.split("\n"))
    return [
        Update(match[1], match[2] or "", match[3], _SECURITY.search(match[4]) is not None)
        for match in found
        if match is not None and match[2]
    ]


def parse_dnf(text: str, secure: str) -> list[Update]:
    """Updates in what `dnf check-update` says, and which of them it names with --security."""
    urgent = {match[1] for match in map(_DNF_LINE.match, secure.split("\n")) if match is not None}
    found = (_DNF_LINE.match(line) for line in text.split("\nObsoleting")[0].split("\n"))
    return [Update(match[1], "", match[2], match[1] in urgent) for match in found if match is not None]


def _lists_age() -> float:
    patterns = _APT_LISTS if shutil.which("apt-get") else _DNF_LISTS
    times = [os.stat(path).st_mtime for pattern in patterns for path in glob.glob(pattern)]
    if not times:
        raise Undetermined("this host has no package lists: nobody has looked for updates (apt-get update)")
    stamp = "/var/lib/apt/periodic/update-success-stamp"
    newest = max(times + ([os.stat(stamp).st_mtime] if os.path.exists(stamp) else []))
    # apt gives a list the time of its making; that it was looked at later shows in the folder.
    folder = os.path.dirname(patterns[0])
    if os.path.isdir(folder):
        newest = max(newest, os.stat(folder).st_mtime)
    return time.time() - newest


def observe(updates: list[Update], check: Check) -> Observation:
    metric = check.metric.name
    if metric == "reboot":
        return reboot()
    age = _lists_age()
    if metric == "lists_age":
        return Observation(round(age, 1), f"the package lists are {format_duration(age)} old")
    if age > check.args["max_age"]:
        raise Undetermined(f"the package lists are {format_duration(age)} old: nobody has looked for updates since")
    chosen = [each for each in updates if each.security or metric == "pending"]
    secure = sum(each.security for each in updates)
    text = f"{len(updates)} updates wait, {secure} of them for security (lists are {format_duration(age)} old)"
    ranked = sorted(chosen, key=lambda each: (not each.security, each.name))
    evidence = [f"{each.name} {each.old or '?'} -> {each.new}{' (security)' * each.security}" for each in ranked]
    return Observation(len(chosen), text, evidence=evidence)


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
