# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which entries of logrotate's other files are for a log too, and how a policy takes them over and gives them back.

A file that is taken over is kept under a name that logrotate does not read. What else is in it goes on being rotated,
from a file of ours that has the rest. Nothing else is remembered: what is taken follows from the policies.
"""

from __future__ import annotations

import glob
import os
import shutil
from dataclasses import dataclass, field
from typing import Iterable, Iterator, Mapping, Sequence

from ansible_collections.day2.ops.plugins.module_utils.errors import Day2Error
from ansible_collections.day2.ops.plugins.module_utils.process.files import write_atomic
from ansible_collections.day2.ops.plugins.module_utils.process.pipeline import PipelineError, Program, run_pipeline
from ansible_collections.day2.ops.plugins.module_utils.rotation.entries import (
    TABOO,
    Entry,
    File,
    SyntaxFault,
    is_taboo,
    parse,
    taboo,
    without,
)
from ansible_collections.day2.ops.plugins.module_utils.rotation.globs import covers, meet

MAIN, DIRECTORY = "/etc/logrotate.conf", "/etc/logrotate.d"
# Ours: of a policy, the rest of a file that was taken over, and that file itself.
OWN, REST, TAKEN = "day2-", "day2.", ".day2.disabled"
# For all files, these would give pieces names that nobody knows.
_RENAMING = ("dateyesterday", "datehourago", "extension", "addextension")


class Claimed(Day2Error):
    """A log that another file of logrotate's is for; the message has both, and what can be done."""


@dataclass(frozen=True)
class Claim:
    """A pattern of another file that a path of ours can match too."""

    file: str
    entry: Entry
    pattern: str
    path: str


@dataclass
class Change:
    """Files that are written, removed, taken (moved to the name without effect) and given back, in this order."""

    write: dict[str, str] = field(default_factory=dict)
    remove: list[str] = field(default_factory=list)
    take: list[str] = field(default_factory=list)
    give_back: list[str] = field(default_factory=list)

    def __bool__(self) -> bool:
        return bool(self.write or self.remove or self.take or self.give_back)


def read(main: str = MAIN) -> dict[str, File]:
    """What logrotate reads, by file, in its order. A file that it would skip is left out."""
    found: dict[str, File] = {}
    _read(main, found, TABOO)
    return found


def _read(path: str, found: dict[str, File], known: tuple[str, ...]) -> tuple[str, ...]:
    try:
        with open(path, encoding="utf-8", errors="surrogateescape") as stream:
            parsed = parse(stream.read())
    except (OSError, SyntaxFault):
        return known
    if path in found:
        return known
    found[path] = parsed
    for directive, value in parsed.steps:
        if directive != "include":
            known = taboo(known, directive, value)
            continue
        place = os.path.join(os.path.dirname(path), os.path.expanduser(value))
        names = sorted(os.listdir(place)) if os.path.isdir(place) else None
        for inner in [place] if names is None else [os.path.join(place, n) for n in names if not is_taboo(known, n)]:
            if os.path.isfile(inner):
                known = _read(inner, found, known)
    return known


def find(paths: Sequence[str], files: Mapping[str, File], own: str) -> list[Claim]:
    """Entries of other files than `own` that one of the paths can match, or that are for a file of one of them."""
    ours = {path: _existing(path) for path in paths}
    return [
        Claim(name, entry, pattern, path)
        for name, file in files.items()
        if name != own
        for entry in file.entries
        for pattern in entry.patterns
        for path, existing in ours.items()
        if meet(path, os.path.normpath(pattern)) or existing & _existing(pattern)
    ]


def _existing(pattern: str) -> set[str]:
    return {os.path.realpath(path) for path in glob.glob(pattern)}


def refuse_common(files: Mapping[str, File]) -> None:
    """Claimed where an option for all logs would change the names of pieces."""
    for name, file in files.items():
        wrong = next((option for option in file.common if option in _RENAMING), None)
        if wrong is not None:
            raise Claimed(
                f"{name} has '{wrong}' for all logs, so that pieces would have other names than those that are tended:"
                " move it into the entries that need it"
            )


def judge(claims: Sequence[Claim], take_over: bool) -> list[str]:
    """The files to take over. Claimed where that is not asked for, or cannot be done."""
    taken: dict[str, None] = {}
    for claim in claims:
        shown = f"{claim.path} is rotated by {claim.file} already (line {claim.entry.line}: {claim.pattern})"
        name = os.path.basename(claim.file)
        if name.endswith(TAKEN):
            raise Claimed(f"{shown}: a 'tabooext' without '+' has logrotate read files that end with '.disabled'")
        if name.startswith(OWN):
            raise Claimed(f"{shown}, which is the policy {name[len(OWN) :]}: a log has one policy. Change its 'paths'")
        if not covers(claim.path, os.path.normpath(claim.pattern)):
            raise Claimed(
                f"{shown}, whose pattern is for other files too, which nobody would rotate any more: have"
                f" {claim.pattern} in 'paths', or name these files one by one there"
            )
        if not take_over:
            raise Claimed(f"{shown}. Set 'take_over' to have this policy instead of it, or leave the log to that file")
        if claim.file == MAIN:
            raise Claimed(f"{shown}, which is not moved aside: remove that entry from it")
        taken[claim.file] = None
    return list(taken)


def plan(paths: Sequence[str], take: Sequence[str], directories: Iterable[str]) -> Change:
    """What becomes of the other files, when these are the paths of all policies. `take` are those to take now."""
    change = Change()
    for file in take:
        folder, name = os.path.split(file)
        if not name.startswith(REST):
            change.take.append(file)
            _rest(change, folder, name, _text(file), paths)
    for folder, name in _taken(directories):
        kept = os.path.join(folder, name + TAKEN)
        if _rest(change, folder, name, _text(kept), paths):
            continue
        change.give_back.append(os.path.join(folder, name))
        if os.path.exists(os.path.join(folder, REST + name)):
            change.remove.append(os.path.join(folder, REST + name))
        change.write.pop(os.path.join(folder, REST + name), None)
    return change


def _taken(directories: Iterable[str]) -> Iterator[tuple[str, str]]:
    for folder in sorted(set(directories)):
        if os.path.isdir(folder):
            yield from ((folder, name[: -len(TAKEN)]) for name in sorted(os.listdir(folder)) if name.endswith(TAKEN))


def _rest(change: Change, folder: str, name: str, text: str, paths: Sequence[str]) -> bool:
    """Plan the file with what is left of one that is taken. False where the policies take nothing of it."""
    try:
        parsed = parse(text)
    except SyntaxFault:
        parsed = File()
    gone = [(entry, [p for p in entry.patterns if any(covers(path, os.path.normpath(p)) for path in paths)])
            for entry in parsed.entries]  # fmt: skip
    if not any(patterns for _entry, patterns in gone):
        return False
    target = os.path.join(folder, REST + name)
    is_left = any(set(entry.patterns) - set(patterns) for entry, patterns in gone)
    wanted = _REST_HEAD.format(name=name + TAKEN) + without(text, [pair for pair in gone if pair[1]]) if is_left else ""
    if wanted and wanted != _text(target):
        change.write[target] = wanted
    if not wanted and os.path.exists(target):
        change.remove.append(target)
    return True


_REST_HEAD = "# What is left of {name}, of which policies of day2.ops have the rest. Change that file instead.\n"


def _text(path: str) -> str:
    try:
        with open(path, encoding="utf-8", errors="surrogateescape") as stream:
            return stream.read()
    except FileNotFoundError:
        return ""


def apply(change: Change) -> None:
    """Carry it out. A kill leaves entries twice, which logrotate reports, and the next run ends it. Raises Claimed."""
    try:
        for path, text in change.write.items():
            write_atomic(path, text.encode("utf-8", "surrogateescape"), 0o644)
        for path in change.take:
            _divert(path, "--add")
        for path in change.remove:
            os.unlink(path)
        for path in change.give_back:
            if os.path.lexists(path):
                raise Claimed(
                    f"{path}{TAKEN} is not given back: another {path} was put there meanwhile. Compare the two, and"
                    " remove one of them"
                )
            _divert(path, "--remove")
    except OSError as exc:
        raise Claimed(f"{exc.filename}: {exc.strerror}") from exc
    except PipelineError as exc:
        raise Claimed(f"logrotate's files stay as they are: {exc}") from exc


def _divert(path: str, action: str) -> None:
    """By dpkg where there is one, so that an upgrade of the package goes to the file that was taken."""
    if shutil.which("dpkg-divert"):
        options = ["--local", "--rename", "--divert", path + TAKEN, action, path]
        run_pipeline([Program(["dpkg-divert", *options])], lambda _piece: None, timeout=60)
    elif action == "--add":
        os.rename(path, path + TAKEN)
    else:
        os.rename(path + TAKEN, path)
