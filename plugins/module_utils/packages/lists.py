# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""When a host last looked for updates, repository by repository, by the lists that apt and dnf keep.

apt gives a list the time at which its server made it, and leaves no trace of a look that found nothing new. So the
time of a list that its own Date explains says nothing about the look, unless the repository publishes all the time (a
suite of security or of updates), or its Valid-Until is over. There counts when its list was written on this host, and
the stamp of the last update that succeeded. The folder of the lists says nothing: any other repository renews it. dnf
gives the primary list the time of the last look.
"""

from __future__ import annotations

import glob
import os
import re
from dataclasses import dataclass
from typing import Sequence

from ansible_collections.day2.ops.plugins.module_utils.errors import Undetermined
from ansible_collections.day2.ops.plugins.module_utils.process.programs import run
from ansible_collections.day2.ops.plugins.module_utils.units.quantity import format_duration

_LISTS = "/var/lib/apt/lists"
_STAMP = "/var/lib/apt/periodic/update-success-stamp"
_FOLDERS = (_LISTS, f"{_LISTS}/partial")
_DNF = ("/var/cache/dnf/*/repodata", "/var/cache/libdnf5/*/repodata")
_HEAD = 65536
_DAY = 86400.0
_SUITES = ("Suite", "Codename", "Label")
# deb.example_debian_dists_stable_InRelease, or without one deb.example_._Packages
_LIST = re.compile(r"(.+?)_(?:InRelease|Release|Packages[.a-z0-9]*)")
_BUSY = re.compile(r"security|-updates$", re.IGNORECASE)


@dataclass(frozen=True)
class Repository:
    """`listed` is the POSIX time of its newest list, None where it has none; `written` is when the host wrote it.

    `steady` marks one that may have published nothing for a long time; `valid_until` is what it says itself.
    """

    name: str
    listed: float | None
    steady: bool = False
    valid_until: float | None = None
    written: float = 0.0


@dataclass(frozen=True)
class Looks:
    """POSIX times, 0 where there is none: of the last update that succeeded, and of the last look at any repository."""

    succeeded: float = 0.0
    any: float = 0.0


def oldest(repositories: Sequence[Repository], looks: Looks, now: float) -> tuple[float, str]:
    """Age in seconds and name of the repository that was looked at longest ago."""
    missing = [repository.name for repository in repositories if repository.listed is None]
    if not repositories or len(missing) == len(repositories):
        raise Undetermined("this host has no package lists: nobody has looked for updates (apt-get update)")
    if missing:
        raise Undetermined(f"the package lists of {', '.join(missing)} were never read: its updates are not known")
    found = [(*_last_look(repository, looks, now), repository.name) for repository in repositories]
    first, is_known, name = min(found)
    age = max(0.0, now - first)
    if not is_known:
        raise Undetermined(
            f"when {name} was last looked at is not known: its list was written {format_duration(age)} ago, other"
            f" repositories were looked at since, and no {_STAMP} says that all were"
        )
    return age, name


def _last_look(repository: Repository, looks: Looks, now: float) -> tuple[float, bool]:
    """The last look at a repository that is certain, and whether it is the last one."""
    listed = repository.listed or 0.0
    over = repository.valid_until is not None and repository.valid_until < now
    if not repository.steady or over:
        return listed, True
    last = max(listed, repository.written, looks.succeeded)
    return last, last == looks.succeeded or looks.any - last < _DAY


def read_release(name: str, text: str, listed: float, written: float = 0.0) -> Repository:
    """A repository by the head of its Release file, which was made, or looked at, at the time `listed`."""
    fields = dict(re.findall(r"^([A-Za-z-]+): *(.*?) *$", text, re.MULTILINE))
    made, until = _date(fields.get("Date")), _date(fields.get("Valid-Until"))
    busy = any(_BUSY.search(fields.get(field, "")) for field in _SUITES) or _BUSY.search(name) is not None
    return Repository(name, listed, made is not None and abs(listed - made) < _DAY and not busy, until, written)


def _date(text: str | None) -> float | None:
    """`Sat, 15 Nov 2026 10:00:00 UTC`, as Release files have it."""
    from email.utils import parsedate_to_datetime

    try:
        return parsedate_to_datetime(text.replace("UTC", "+0000")).timestamp() if text else None
    except (TypeError, ValueError):
        return None


# 'http://deb.example/debian/dists/stable/InRelease' deb.example_debian_dists_stable_InRelease 0
_URI = re.compile(r"^'(\S+?)/(?:In)?Release' (\S+)_(?:In)?Release ", re.MULTILINE)


def configured(text: str) -> dict[str, str]:
    """Address of each repository that is configured, by the beginning of its lists' names (`update --print-uris`)."""
    return {prefix: re.sub(r"/(?:\./?)*$", "", address) for address, prefix in _URI.findall(text)}


def apt_lists() -> tuple[list[Repository], Looks]:
    """The repositories that are configured (all that have lists, where apt does not say), and the last looks."""
    answer = run(["apt-get", "--quiet", "update", "--print-uris"], cap=1 << 24)
    wanted = configured(answer.stdout.decode("utf-8", "replace")) if answer.code == 0 else {}
    if not wanted:
        names = (os.path.basename(path) for path in glob.glob(f"{_LISTS}/*_*"))
        stems = {match[1] for match in map(_LIST.fullmatch, names) if match is not None}
        wanted = {stem: stem for stem in sorted(stems)}
    looks = Looks(_changed(_STAMP), max(map(_changed, _FOLDERS)))
    return [_apt_repository(stem, name) for stem, name in wanted.items()], looks


def _changed(path: str) -> float:
    try:
        return os.stat(path).st_mtime
    except FileNotFoundError:
        return 0.0


def _apt_repository(stem: str, name: str) -> Repository:
    start = os.path.join(_LISTS, glob.escape(stem))
    paths = [path for end in ("InRelease", "Release", "*Packages*") for path in glob.glob(f"{start}_{end}")]
    if not paths:
        return Repository(name, None)
    head = ""
    if paths[0].endswith("Release"):
        with open(paths[0], encoding="utf-8", errors="replace") as stream:
            head = stream.read(_HEAD)
    # The time of the content is the server's; the inode's is that of this host. A list may be a link to a repository.
    written = max(os.lstat(path).st_ctime for path in paths)
    return read_release(name, head, max(os.stat(path).st_mtime for path in paths), written)


def dnf_lists() -> tuple[list[Repository], Looks]:
    """The enabled repositories (all that have lists, where dnf does not say). Their times are those of the looks."""
    answer = run(["dnf", "--quiet", "--cacheonly", "repolist", "--enabled"])
    lines = answer.stdout.decode("utf-8", "replace").split("\n")[1:] if answer.code == 0 else []
    enabled = [words[0] for words in map(str.split, lines) if words]
    times: dict[str, float] = {}
    for folder in (folder for pattern in _DNF for folder in glob.glob(pattern)):
        # <id>-<16 hexadecimal digits of the address>
        name = re.sub(r"-[0-9a-f]{16}$", "", os.path.basename(os.path.dirname(folder)))
        newest = max((entry.stat().st_mtime for entry in os.scandir(folder)), default=0.0)
        times[name] = max(times.get(name, 0.0), newest)
    return [Repository(name, times.get(name)) for name in enabled or times], Looks()
