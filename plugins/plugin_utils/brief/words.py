# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a task's result says to a person: pure functions of the result, which is a mapping as modules return it."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from ansible_collections.day2.ops.plugins.plugin_utils.report.text import one_line, plain, shorten, visible

# Of the output of a failed program so many lines are printed, its last ones; -v prints all.
PROGRAM_LINES = 40
# Labels of a loop that a line names, and the columns of each.
_LABELS, _LABEL_WIDTH = 4, 40
# What modules say where they have no reason of their own.
_SAYS_NOTHING = ("", "non-zero return code", "Assertion failed", "MODULE FAILURE", "All assertions passed")
# Never printed: arguments may hold secrets that nobody declared, and the others are printed elsewhere.
_HIDDEN = frozenset(("invocation", "diff", "exception", "warnings", "deprecations", "failed", "changed", "msg",
                     "stdout_lines", "stderr_lines", "ansible_loop_var", "ansible_index_var", "ansible_loop",
                     "item", "start", "end", "delta", "evaluated_to"))  # fmt: skip
_OUTPUTS = ("module_stderr", "module_stdout", "stderr", "stdout")


def reason_lines(result: Mapping[str, Any], limit: int | None = PROGRAM_LINES) -> list[str]:
    """Why a task failed: its message in full, then what its program wrote (the last `limit` lines of each stream)."""
    if is_hidden(result):
        return ["what it said is hidden (no_log)"]
    message = _message(result)
    lines = _lines(message)
    if message.strip().rstrip(".") in _SAYS_NOTHING or message.startswith("MODULE FAILURE"):
        lines += _context(result)
    for name in _OUTPUTS:
        output = [line for line in _lines(text_of(result.get(name))) if line.strip()]
        if not output or "\n".join(output) in message:
            continue
        left_out = 0 if limit is None else max(0, len(output) - limit)
        lines.append(f"{name}:" + (f" ({left_out} lines before these: -v)" if left_out else ""))
        lines += [f"  {line}" for line in output[left_out:]]
    return lines or _lines(dump(result)) or ["the task did not say why"]


def _context(result: Mapping[str, Any]) -> Iterator[str]:
    """What makes a message such as `non-zero return code` useful."""
    if result.get("assertion") is not None:
        yield f"assertion: {one_line(text_of(result['assertion']))}"
    if result.get("rc") not in (None, 0):
        yield f"exit status: {plain(result['rc'])}"


def reason(result: Mapping[str, Any]) -> str:
    """The same on one line, without the output of programs where there is a message."""
    lines = reason_lines(result, 1)
    if is_hidden(result):
        return lines[0]
    message = _message(result).strip()
    return one_line(", ".join(lines) if message in _SAYS_NOTHING else message)


def _message(result: Mapping[str, Any]) -> str:
    # From ansible-core 2.19 on every message begins with what the line before it says already.
    return text_of(result.get("msg")).removeprefix("Task failed: ")


def is_hidden(result: Mapping[str, Any]) -> bool:
    """Whether Ansible keeps secret what the task returned."""
    return bool(result.get("_ansible_no_log") or "censored" in result)


def text_of(value: object) -> str:
    """Text of a result: a message is a string mostly, a list of strings at times, and anything from `debug`."""
    if value is None:
        return ""
    if isinstance(value, str):
        return plain(value)
    if isinstance(value, (list, tuple)) and all(isinstance(entry, str) for entry in value):
        return "\n".join(plain(entry) for entry in value)
    return json.dumps(value, indent=2, ensure_ascii=False, sort_keys=True, default=plain)


def dump(result: Mapping[str, Any]) -> str:
    """All that may be shown of a result which has no message."""
    shown = {
        plain(name): value
        for name, value in result.items()
        if name not in _HIDDEN and name not in _OUTPUTS and not str(name).startswith("_ansible")
    }
    return text_of(shown) if shown else ""


def without_arguments(result: Mapping[str, Any]) -> dict[str, Any]:
    """A result, and those of its loop, without what the module was called with."""
    shown = {name: value for name, value in result.items() if name != "invocation"}
    if isinstance(shown.get("results"), list):
        shown["results"] = [
            without_arguments(entry) if isinstance(entry, Mapping) else entry for entry in shown["results"]
        ]
    return shown


def _lines(text: str) -> list[str]:
    return [visible(line.rstrip()) for line in text.expandtabs().split("\n")] if text.strip() else []


def debug_lines(result: Mapping[str, Any]) -> list[str]:
    """What `debug` was told to say: its msg, or each variable with its value."""
    if is_hidden(result):
        return ["hidden (no_log)"]
    if "msg" in result:
        return _lines(text_of(result["msg"]))
    skip = ("changed", "failed", "skipped", "skip_reason")
    lines: list[str] = []
    for name, value in result.items():
        if name not in _HIDDEN and name not in skip and not str(name).startswith("_ansible"):
            lines += _lines(f"{plain(name)}: {text_of(value)}")
    return lines


def label_of(result: Mapping[str, Any]) -> str:
    """The label of an entry of a loop; empty where it is hidden or is no short text."""
    if is_hidden(result):
        return ""
    label = result.get("_ansible_item_label", result.get("item"))
    return one_line(plain(label)) if isinstance(label, (str, int, float)) else ""


def labels_text(labels: Sequence[str], total: int) -> str:
    """` (shop, admin and 3 more)`; only the number where the labels say nothing."""
    named = [shorten(label, _LABEL_WIDTH) for label in dict.fromkeys(labels) if label][:_LABELS]
    if not named:
        return f" ({total} entries)" if total > 1 else ""
    more = total - len(named)
    return f" ({', '.join(named)}" + (f" and {more} more)" if more > 0 else ")")


def row_of(result: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """The line of the report that a module returned as `step`, or None."""
    row = result.get("step")
    return row if is_row(row) else None


def is_row(row: object) -> bool:
    return isinstance(row, Mapping) and all(isinstance(row.get(name), str) for name in ("id", "status", "message"))


def flat(value: object) -> str:
    """One line to find a message in, whatever it is nested in."""
    return " ".join(" ".join(strings(value)).split())


def strings(value: object) -> Iterable[str]:
    """The texts in a value, whatever they are nested in."""
    if isinstance(value, str):
        yield plain(value)
    elif isinstance(value, Mapping):
        for entry in value.values():
            yield from strings(entry)
    elif isinstance(value, (list, tuple)):
        for entry in value:
            yield from strings(entry)


def hosts_text(hosts: Sequence[str]) -> str:
    """`db1, db2, db3 and 17 more`."""
    return ", ".join(hosts[:6]) + (f" and {len(hosts) - 6} more" if len(hosts) > 6 else "")
