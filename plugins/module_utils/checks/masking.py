# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Keep secrets and floods out of what people read."""

from __future__ import annotations

import re
from typing import Iterable, Sequence

MASK = "********"
MAX_LINES = 20
MAX_BYTES = 4096
# Shorter ones would hide half of every message ("ok", "1"); they are still kept out of the invocation.
MIN_SECRET = 4

_QUOTED_OR_WORD = r"(\"[^\"]*\"|'[^']*'|[^\s,;&\"']+)"
_SHAPES: tuple[tuple[re.Pattern[str], str], ...] = (
    (re.compile(r"(\b[a-z][a-z0-9+.-]*://[^\s:/@]*:)[^\s@/]+(@)", re.IGNORECASE), rf"\g<1>{MASK}\g<2>"),
    (
        re.compile(
            # Not the last part of a path: `/etc/passwd: no such line` gives nothing away. Nor does a rule of sudo.
            r"((?<![\w/.-])(?!NOPASSWD\b)[\w.-]*(?:password|passwd|passphrase|pwd|secret|token|api[_-]?key|apikey|access[_-]?key|private[_-]?key)"
            r"[\w.-]*[\"']?\s*(?:=|:)\s*)" + _QUOTED_OR_WORD,
            re.IGNORECASE,
        ),
        rf"\g<1>{MASK}",
    ),
    (re.compile(r"(--?(?:password|passwd|pass|token|secret|api-key)[ =])\S+", re.IGNORECASE), rf"\g<1>{MASK}"),
    (
        re.compile(
            r"((?:proxy-)?authorization[\"']?\s*[:=]\s*[\"']?(?:basic|bearer|token)?\s*)[^\s\"',]+", re.IGNORECASE
        ),
        rf"\g<1>{MASK}",
    ),
    (re.compile(r"(\bbearer\s+)[A-Za-z0-9._~+/-]{8,}=*", re.IGNORECASE), rf"\g<1>{MASK}"),
    (re.compile(r"((?:set-)?cookie\s*:\s*)\S.*", re.IGNORECASE), rf"\g<1>{MASK}"),
    (re.compile(r"\beyJ[\w-]{8,}\.[\w-]{4,}\.[\w-]*"), MASK),
    (re.compile(r"\b(?:AKIA|ASIA)[A-Z0-9]{16}\b"), MASK),
    (re.compile(r"\bgh[pousr]_[A-Za-z0-9]{20,}\b|\bgithub_pat_\w{20,}\b|\bglpat-[\w-]{16,}"), MASK),
    (re.compile(r"\bxox[abeoprs]-[\w-]{8,}"), MASK),
    (re.compile(r"\b[sr]k_(?:live|test)_\w{8,}"), MASK),
    (re.compile(r"AGE-SECRET-KEY-1[A-Z0-9]+"), MASK),
    (re.compile(r"hooks\.slack\.com/services/[\w/]+"), f"hooks.slack.com/services/{MASK}"),
    (re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*PRIVATE KEY-----|$)", re.DOTALL), MASK),
)
# A cheap first look: most text has none of these, and then none of the shapes is tried.
_HINT = re.compile(
    r"://|pass|pwd|secret|token|key|bearer|authorization|cookie|eyJ|AKIA|ASIA|gh[pousr]_|glpat|xox|[sr]k_|slack",
    re.IGNORECASE,
)


def mask(text: str, secrets: Sequence[str] = ()) -> str:
    """Replace secrets: the given values, and whatever has the shape of one."""
    for secret in secrets:
        if len(secret) >= MIN_SECRET:
            text = text.replace(secret, MASK)
    if _HINT.search(text) is None:
        return text
    for shape, replacement in _SHAPES:
        text = shape.sub(replacement, text)
    return text


def has_secret(text: str) -> bool:
    """Whether a text holds something of the shape of a secret."""
    return mask(text) != text


_OPTION = re.compile(r"--?[\w-]*(?:password|passwd|pass|token|secret|key)", re.IGNORECASE)


def secret_words(argv: Sequence[str]) -> list[str]:
    """The secrets of a command line: what follows `--password`, or `=` in it, and passwords in URLs."""
    found = [word for option, word in zip(argv, argv[1:]) if _OPTION.fullmatch(option) and not word.startswith("-")]
    found += [word.partition("=")[2] for word in argv if _OPTION.fullmatch(word.partition("=")[0])]
    found += [match.group(1) for word in argv for match in _URL_PASSWORD.finditer(word)]
    return [word for word in found if word]


_URL_PASSWORD = re.compile(r"://[^\s:/@]*:([^\s@/]+)@")
_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f-\x9f\ud800-\udfff]")


def printable(text: str) -> str:
    """Show control characters (a terminal would obey them) and lone surrogates as escapes."""
    if _CONTROL.search(text) is None:
        return text
    return _CONTROL.sub(lambda match: match.group().encode("unicode_escape").decode("ascii"), text)


def clip_evidence(lines: Iterable[str]) -> list[str]:
    """At most 20 lines and 4 KiB; a cut is marked with an ellipsis."""
    kept: list[str] = []
    room = MAX_BYTES
    for line in list(lines)[:MAX_LINES]:
        data = line.encode("utf-8", "replace")
        if len(data) > room:
            if room > 3:
                kept.append(data[: room - 3].decode("utf-8", "ignore") + "…")
            break
        kept.append(data.decode("utf-8"))
        room -= len(data)
    return kept
