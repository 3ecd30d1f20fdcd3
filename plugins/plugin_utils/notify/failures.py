# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What became of a delivery, and why it failed, in words of one line that hold no secret."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from ansible_collections.day2.ops.plugins.module_utils.checks.masking import mask
from ansible_collections.day2.ops.plugins.plugin_utils.report.text import one_line, plain, shorten

_LONGEST = 200
_NOISE = re.compile(r"^(Task failed: |Module failed: |Action failed: |Status code was -?\d+ and not \[[\d, ]*\]: )+")
_SHAPES: tuple[tuple[re.Pattern[str], str], ...] = (
    (re.compile(r"certificate.verify.failed|certificate validation|SSLCertVerification", re.I), "is not trusted"),
    (re.compile(r"Connection refused", re.I), "refused the connection"),
    (re.compile(r"timed out|execution time|did not complete|timeout", re.I), "did not answer in time"),
    (re.compile(r"Name or service not known|name resolution|getaddrinfo|nodename nor", re.I), "has no address"),
    (re.compile(r"\[SSL|\bssl\b|\bTLS\b", re.I), "does not speak TLS as it should"),
)


def delivered(outcome: object) -> bool:
    """By what uri (status) or mail (result) returned: the task that ran them does not fail."""
    if not isinstance(outcome, Mapping) or outcome.get("failed"):
        return False
    status = outcome.get("status")
    return 200 <= status < 300 if isinstance(status, int) else "result" in outcome


# What is wrong with this one message: another try, or another message, fares differently.
_REFUSED = (400, 413, 422)


def refused(outcome: object) -> bool:
    """The receiver will never take this message; the channel itself works."""
    return isinstance(outcome, Mapping) and outcome.get("status") in _REFUSED


def failed(outcome: object, secrets: Sequence[str] = ()) -> str:
    """From what uri or mail returned, or from what made the task fail."""
    if not isinstance(outcome, Mapping):
        return "was not tried"
    status = outcome.get("status")
    if isinstance(status, int) and status > 0:
        return f"answered HTTP {status}"
    said = plain(outcome.get("msg") or "")
    trace = plain(outcome.get("exception") or outcome.get("module_stderr") or "").strip().split("\n")[-1]
    for shape, meaning in _SHAPES:
        found = shape.search(said) or shape.search(trace)
        if found:
            if meaning == "is not trusted":
                return f"has a certificate that {meaning}" + _why(said)
            return meaning
    text = _NOISE.sub("", one_line(mask(said, secrets)))
    return "failed: " + shorten(text or "it did not say why", _LONGEST)


def _why(said: str) -> str:
    match = re.search(r"verify failed: ([^(\]>]+)", said)
    return f" ({one_line(match.group(1))})" if match else ""
