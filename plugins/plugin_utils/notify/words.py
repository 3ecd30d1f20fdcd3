# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Words of notifications: the subject and the text of a digest, of an announcement, of one event. No markup."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from ansible_collections.day2.ops.plugins.plugin_utils.notify.channels import MAIL, SEVERITIES
from ansible_collections.day2.ops.plugins.plugin_utils.notify.findings import Finding, Seen
from ansible_collections.day2.ops.plugins.plugin_utils.notify.state import Known
from ansible_collections.day2.ops.plugins.plugin_utils.report.text import one_line, shorten, visible

# Lines of a section; what is over is counted.
MOST_NEW = 20
MOST_OTHERS = 10
# Slack cuts a text at 40,000 characters and doubles some of them first; a mail may be long.
ROOM = {MAIL: 200_000}
ROOM_OF_CHAT = 30_000
# What a section has, however long those before it are.
_LEAST_ROOM = 2_000
LONGEST_SUBJECT = 200
_LONGEST_MESSAGE_IN_SUBJECT = 120


@dataclass(frozen=True)
class Words:
    """What a site adds: a prefix of subjects, a last line, where reports can be read."""

    subject_prefix: str = ""
    footer: str = ""
    report: str = ""


@dataclass
class Changes:
    """What one channel does not know yet. `new` has what a finding was before it got worse, or None."""

    new: list[tuple[Finding, str | None]] = field(default_factory=list)
    still: list[Finding] = field(default_factory=list)
    due: list[Finding] = field(default_factory=list)
    resolved: list[tuple[str, Known, str]] = field(default_factory=list)

    @property
    def any(self) -> bool:
        return bool(self.new or self.due or self.resolved)

    @property
    def bad(self) -> list[Finding]:
        return [finding for finding, _was in self.new] + self.still

    @property
    def severity(self) -> str:
        """The worst of what is bad; where nothing is, of what is resolved."""
        bad = [finding.severity for finding, _was in self.new] + [finding.severity for finding in self.due]
        return worst(bad or [known.severity for _key, known, _how in self.resolved])


def rank(severity: str) -> int:
    return SEVERITIES.index(severity) if severity in SEVERITIES else len(SEVERITIES)


def worst(severities: Sequence[str]) -> str:
    return min(severities, key=rank, default=SEVERITIES[-1])


def clean(text: str) -> str:
    """Text that keeps its lines; other controls are shown as pictures."""
    return visible(text.replace("\r\n", "\n")).strip("\n")


def clip(text: str, room: int) -> str:
    return text if len(text) <= room else f"{text[:room]}… (and {len(text) - room} more characters)"


def subject(words: Words, head: str) -> str:
    return shorten(one_line(f"{words.subject_prefix} {head}"), LONGEST_SUBJECT)


def digest_subject(words: Words, changes: Changes, seen: Seen) -> str:
    """One finding is named; more are counted."""
    run = f" ({seen.cadence})" if seen.cadence else ""
    bad = changes.bad
    if not bad and len(changes.resolved) == 1:
        _key, known, _how = changes.resolved[0]
        return subject(words, f"RESOLVED: {known.host}: {known.title}{run}")
    word = worst([finding.severity for finding in bad]).upper() if bad else "RESOLVED"
    if len(changes.new) == 1 and not changes.resolved:
        finding, _was = changes.new[0]
        message = shorten(one_line(finding.message), _LONGEST_MESSAGE_IN_SUBJECT)
        return subject(words, f"{finding.severity.upper()}: {finding.host}: {finding.title}: {message}{run}")
    counts = ((len(changes.new), "new"), (len(changes.still), "still bad"), (len(changes.resolved), "resolved"))
    return subject(words, f"{word}: " + ", ".join(f"{number} {what}" for number, what in counts if number) + run)


def digest(words: Words, changes: Changes, kind: str) -> str:
    """What is new, what is still bad, what is over; worst first, and no longer than the kind of channel takes."""
    new = sorted(changes.new, key=lambda pair: rank(pair[0].severity))
    still = sorted(changes.still, key=lambda finding: rank(finding.severity))
    sections = (
        ("New", [_finding(finding, was) for finding, was in new], MOST_NEW),
        ("Still bad", [_finding(finding, None) for finding in still], MOST_OTHERS),
        ("Resolved", [f"{known.host}: {known.title}: {how}" for _key, known, how in changes.resolved], MOST_OTHERS),
    )
    room = ROOM.get(kind, ROOM_OF_CHAT)
    parts: list[str] = []
    for heading, entries, most in sections:
        lines = list(_section(heading, entries, most, max(room, _LEAST_ROOM)))
        room -= sum(map(len, lines))
        parts += ["\n".join(lines)] if lines else []
    parts += _last_lines(words)
    return "\n\n".join(parts)


def _section(heading: str, entries: Sequence[str], most: int, room: int) -> Iterator[str]:
    if not entries:
        return
    yield f"{heading}:"
    shown = 0
    for entry in entries[:most]:
        text = clean(entry).replace("\n", "\n    ")
        if shown and len(text) > room:
            break
        text = clip(text, room)
        room -= len(text)
        shown += 1
        yield f"- {text}"
    if shown < len(entries):
        yield f"- and {len(entries) - shown} more"


def _finding(finding: Finding, was: str | None) -> str:
    ref = f" [{', '.join(finding.ref)}]" if finding.ref else ""
    before = f" (was {was})" if was else ""
    return f"{finding.severity.upper()}{before} {finding.host}: {finding.title}: {finding.message}{ref}"


def _last_lines(words: Words) -> list[str]:
    lines = [f"Report: {words.report}"] if words.report else []
    return [clean("\n".join([*lines, words.footer] if words.footer else lines))] if lines or words.footer else []


def announcement(words: Words, text: str, kind: str) -> str:
    room = ROOM.get(kind, ROOM_OF_CHAT)
    return "\n\n".join(part for part in (clip(clean(text), room), *_last_lines(words)) if part)
