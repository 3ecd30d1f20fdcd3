# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: brief
type: stdout
short_description: Steps, changes, findings and failures of a run, without a banner for each task
version_added: 0.1.0
author: The day2.ops maintainers (@day2-ops)
description:
  - Prints what a person looks for in the output of a playbook - each play and each step when it begins, each row of
    the report when it is there, what was changed, and each failure with its full message, its task and its place in
    the files. Tasks that changed nothing are not printed.
  - A failure that a C(rescue) takes over is no failure. It is printed when no row of the report shows it.
  - C(-v) prints every task with its result, C(-vv) also where the task is. C(invocation) (the arguments of modules)
    is never printed.
  - Times are in UTC, as in all texts and reports of the collection.
  - With C(--check) the output says so at its beginning and its end, and for each change.
  - Colours appear where Ansible uses them, on a terminal only.
requirements:
  - Set as C(stdout_callback) in C(ansible.cfg), or by E(ANSIBLE_STDOUT_CALLBACK).
extends_documentation_fragment:
  - ansible.builtin.result_format_callback
"""

EXAMPLES = r"""
# ansible.cfg:
#   [defaults]
#   stdout_callback = day2.ops.brief
#
# Ansible's own output, for one run:
#   ANSIBLE_STDOUT_CALLBACK=default ansible-playbook day2.ops.daily -i inventory.yml
"""

import re
import time
from collections.abc import Mapping, Sequence
from typing import Any

from ansible import constants as C
from ansible import context
from ansible.playbook.task_include import TaskInclude
from ansible.plugins.callback import CallbackBase
from ansible_collections.day2.ops.plugins.module_utils.checks.result import Status
from ansible_collections.day2.ops.plugins.module_utils.units.quantity import format_duration
from ansible_collections.day2.ops.plugins.plugin_utils.brief import tasks, words
from ansible_collections.day2.ops.plugins.plugin_utils.brief.pending import Caught, Change, Changes, Failures
from ansible_collections.day2.ops.plugins.plugin_utils.report.text import one_line, visible

_WORD = 11
# How the plays of a playbook are counted in their names.
_PART = re.compile(r"^\(\d+/\d+\) ")
_REPORTS = frozenset(("day2.ops.report", "day2.ops.report_merge"))
# Seconds between two lines of the same wait (retries, asynchronous jobs).
_WAITING = 10.0
# Up to so many hosts have a line each at the end.
_MOST_RECAPS = 10
_COLOURS = {
    Status.CRITICAL.value: "COLOR_ERROR",
    Status.UNKNOWN.value: "COLOR_WARN",
    Status.WARNING.value: "COLOR_CHANGED",
    Status.OK.value: "COLOR_OK",
    Status.SKIPPED.value: "COLOR_SKIP",
}


class CallbackModule(CallbackBase):  # type: ignore[misc]
    """The output of a run in brief."""

    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "stdout"
    CALLBACK_NAME = "day2.ops.brief"

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._began = time.monotonic()
        self._heading = ""
        self._steps: set[str] = set()
        self._changes = Changes()
        self._failures = Failures()
        self._rows: set[tuple[str, str, str]] = set()
        self._verdicts: set[str] = set()
        self._unreachable: dict[str, str] = {}
        self._failed: set[str] = set()
        self._findings = False
        self._waited: dict[tuple[str, str], float] = {}
        self._items_failed: set[tuple[str, str]] = set()
        self._planning = bool(context.CLIARGS.get("check"))

    # --- beginnings -----------------------------------------------------------------------------------------------

    def v2_playbook_on_start(self, playbook: Any) -> None:
        if self._planning:
            self._line("CHECK MODE", "nothing is changed; the lines say what a run would do", "COLOR_CHANGED")

    def v2_playbook_on_play_start(self, play: Any) -> None:
        self._flush()
        self._print_caught()
        self._steps = set()
        name = one_line(str(play.get_name()))
        # Plays of which nothing is printed would be gaps in the count.
        self._heading = name if self._verbose else _PART.sub("", name)
        if self._verbose:
            self._print_heading()

    def v2_playbook_on_no_hosts_matched(self) -> None:
        self._line("skipped", f"{self._heading}: no host of the inventory is meant", "COLOR_SKIP")
        self._heading = ""

    def v2_playbook_on_task_start(self, task: Any, is_conditional: bool) -> None:
        self._flush()

    def v2_playbook_on_handler_task_start(self, task: Any) -> None:
        self._flush()

    def v2_runner_on_start(self, host: Any, task: Any) -> None:
        if not tasks.ends_at_once(task):
            self._print_heading()

    # --- results --------------------------------------------------------------------------------------------------

    def v2_runner_on_ok(self, result: Any) -> None:
        host, task, values = _parts(result)
        if isinstance(task, TaskInclude):
            return
        self._unreachable.pop(host, None)
        self._handle_warnings(values)
        action = tasks.action_of(task)
        if action == "debug" and not task.loop:
            self._print_debug(result, values)
        elif action == "day2.ops.step":
            self._print_step(host, values)
        elif action in _REPORTS and values.get("verdict"):
            self._note_report(values)
        else:
            self._note_facts(host, values)
            row = words.row_of(values)
            if row is not None:
                self._print_row(host, row)
            elif values.get("changed") and action not in ("add_host", "group_by") and not task.loop:
                self._change(host, task, values)
            elif not task.loop:
                self._print_answer(host, task, values)
        self._print_verbosely("ok", result, values)

    def v2_runner_item_on_ok(self, result: Any) -> None:
        host, task, values = _parts(result)
        self._handle_warnings(values)
        if isinstance(task, TaskInclude):
            return
        row = words.row_of(values)
        if tasks.action_of(task) == "debug":
            self._print_debug(result, values)
        elif row is not None:
            self._print_row(host, row)
        elif values.get("changed"):
            self._change(host, task, values, words.label_of(values))
        else:
            self._print_answer(host, task, values)

    def v2_runner_on_skipped(self, result: Any) -> None:
        _host, _task, values = _parts(result)
        self._handle_warnings(values)
        self._print_verbosely("skipped", result, values)

    def v2_runner_item_on_failed(self, result: Any) -> None:
        host, task, values = _parts(result)
        self._items_failed.add((host, task._uuid))
        self._fail(result, values, bool(task.ignore_errors))

    def v2_runner_on_failed(self, result: Any, ignore_errors: bool = False) -> None:
        host, task, values = _parts(result)
        if (host, task._uuid) in self._items_failed and values.get("results"):
            # Its entries were printed, each when it failed.
            self._handle_warnings(values)
            self._items_failed.discard((host, task._uuid))
            return
        self._fail(result, values, ignore_errors)
        self._print_verbosely("failed", result, values)

    def v2_runner_on_unreachable(self, result: Any) -> None:
        host, task, values = _parts(result)
        self._handle_warnings(values)
        message = "\n".join(words.reason_lines(values))
        if self._unreachable.get(host) == message:
            # With ignore_unreachable every further task of the host meets the same.
            return
        self._unreachable[host] = message
        self._flush()
        self._print_heading()
        self._line("UNREACHABLE", f"{host}  {tasks.name_of(task)}", "COLOR_UNREACHABLE")
        self._print_lines(message.split("\n"), "COLOR_UNREACHABLE")

    def v2_runner_retry(self, result: Any) -> None:
        host, task, values = _parts(result)
        attempts, most = values.get("attempts"), values.get("retries")
        self._wait(host, task, f"attempt {attempts} of {most}" if most else f"attempt {attempts}")

    def v2_runner_on_async_poll(self, result: Any) -> None:
        host, task, _values = _parts(result)
        self._wait(host, task, "still running")

    def v2_on_file_diff(self, result: Any) -> None:
        host, task, values = _parts(result)
        entries = (values.get("results") if task.loop else None) or [values]
        for entry in entries:
            text = self._get_diff(entry["diff"]) if entry.get("diff") and entry.get("changed") else ""
            if text:
                self._print_heading()
                self._line("diff", f"{host}  {tasks.name_of(task)}", "COLOR_CHANGED")
                self._display.display(text.rstrip("\n"))

    # --- the end --------------------------------------------------------------------------------------------------

    def v2_playbook_on_stats(self, stats: Any) -> None:
        self._flush()
        self._print_caught(everything=True)
        hosts = sorted(stats.processed)
        self._display.display("")
        bad = [host for host in hosts if host in self._failed or stats.summarize(host)["unreachable"]]
        shown = hosts if len(hosts) <= _MOST_RECAPS else bad
        for host in shown:
            self._recap(host, stats.summarize(host), host in bad)
        took = format_duration(max(1, round(time.monotonic() - self._began)))
        if len(shown) < len(hosts):
            total = [stats.summarize(host) for host in hosts]
            summed = {name: sum(summary[name] for summary in total) for name in total[0]}
            self._recap(f"{len(hosts)} hosts", summed, bool(bad))
        ending = "CHECK MODE: nothing was changed" if self._planning else ""
        if self._findings and not self._failed:
            ending = ", ".join(part for part in ("findings make the run fail (day2_fail_on)", ending) if part)
        self._line("took", took + (f"; {ending}" if ending else ""))

    def _recap(self, name: str, summary: Mapping[str, int], is_bad: bool) -> None:
        counts = {"ok": summary["ok"], "changed": summary["changed"]}
        counts["failed"] = summary["failures"] if name in self._failed or not self._findings else 0
        counts.update({key: summary[key] for key in ("unreachable", "rescued", "ignored")})
        text = " ".join(f"{key}={count}" for key, count in counts.items() if count or key in ("ok", "changed"))
        self._line("FAILED" if is_bad else "done", f"{name}  {text}", "COLOR_ERROR" if is_bad else "COLOR_OK")

    # --- parts ----------------------------------------------------------------------------------------------------

    @property
    def _verbose(self) -> bool:
        return bool(self._display.verbosity)

    def _line(self, word: str, text: str, colour: str | None = None) -> None:
        self._display.display(f"{word:<{_WORD}}  {visible(text)}", color=getattr(C, colour) if colour else None)

    def _print_lines(self, lines: Sequence[str], colour: str | None = None) -> None:
        for line in lines:
            self._display.display(" " * (_WORD + 2) + line, color=getattr(C, colour) if colour else None)

    def _print_heading(self, step: str = "") -> None:
        parts = [part for part in (self._heading, step) if part]
        if parts:
            self._line(time.strftime("%H:%M:%SZ", time.gmtime()), ": ".join(parts), "COLOR_HIGHLIGHT")
        self._heading = ""

    def _print_answer(self, host: str, task: Any, values: Mapping[str, Any]) -> None:
        if tasks.is_answer(task) and values.get("msg"):
            self._flush()
            self._print_heading()
            self._line("ok", f"{host}  {words.reason(values)}", "COLOR_OK")

    def _print_debug(self, result: Any, values: Mapping[str, Any]) -> None:
        host, task, _values = _parts(result)
        self._flush()
        lines = words.debug_lines(values)
        if self._failures.has_said(host, lines) and not self._verbose:
            return
        self._failures.say(host, lines)
        if lines:
            self._print_heading()
        of_all = bool(task.run_once)
        if len(lines) == 1:
            self._line("", lines[0] if of_all else f"{host}  {lines[0]}")
        elif lines:
            self._line("", tasks.name_of(task) if of_all else f"{host}  {tasks.name_of(task)}")
            self._print_lines(lines)

    def _print_step(self, host: str, values: Mapping[str, Any]) -> None:
        """A step that begins is a line once for all hosts; what became of it is a row of each."""
        rows = values.get("results") or []
        if "role" in values and rows:
            if rows[-1].get("id") not in self._steps:
                self._steps.add(rows[-1].get("id"))
                self._flush()
                self._print_heading(one_line(words.text_of(values.get("msg"))))
            return
        for row in rows:
            if words.is_row(row):
                self._print_row(host, row)

    def _print_row(self, host: str, row: Mapping[str, Any]) -> None:
        key = (host, row["id"], row["message"])
        if key in self._rows or row["status"] == "begun":
            return
        self._rows.add(key)
        self._flush()
        self._print_heading()
        self._failures.say(host, [row["message"], row.get("evidence")])
        title, status = one_line(words.text_of(row.get("title") or row["id"])), row["status"]
        fine = status in (Status.OK.value, Status.SKIPPED.value)
        # The report at the end has the messages of all; what is wrong is said at once.
        text = f"{host}  {title}" + ("" if fine else f": {one_line(row['message'])}")
        self._line(status if fine else status.upper(), text, _COLOURS.get(status))
        if not fine:
            self._print_lines([visible(line) for line in words.text_of(row.get("evidence")).split("\n") if line])

    def _note_report(self, values: Mapping[str, Any]) -> None:
        """The report has printed itself; what it says need not be said again."""
        self._verdicts.add(words.flat(values["verdict"]))
        for host, why in (values.get("refused") or {}).items():
            self._failures.say(host, why)

    def _note_facts(self, host: str, values: Mapping[str, Any]) -> None:
        if values.get("ansible_facts") and not words.is_hidden(values):
            facts = {name: value for name, value in values["ansible_facts"].items() if name.startswith("day2_step")}
            self._failures.say(host, facts)

    def _fail(self, result: Any, values: dict[str, Any], ignored: bool) -> None:
        host, task, _values = _parts(result)
        self._handle_warnings(values)
        self._flush()
        name, place = tasks.name_of(task), tasks.place_of(task)
        label = words.label_of(values)
        name += f" ({label})" if label else ""
        if ignored:
            self._line("ignored", f"{host}  {name}: {words.reason(values)}", "COLOR_SKIP")
        elif tasks.is_rescued(task):
            reported = tasks.action_of(task) == "day2.ops.checklist"
            self._failures.catch(Caught(host, name, place, words.reason(values), reported))
        elif words.flat(values.get("msg")) in self._verdicts:
            self._findings = True
        else:
            limit = None if self._verbose else words.PROGRAM_LINES
            lines = words.reason_lines(values, limit)
            self._failures.say(host, lines)
            self._print_caught(host)
            self._print_heading()
            self._failed.add(host)
            self._line("FAILED", f"{host}  {name}" + (f"  ({place})" if place else ""), "COLOR_ERROR")
            self._print_lines(lines, "COLOR_ERROR")

    def _print_caught(self, host: str | None = None, everything: bool = False) -> None:
        for caught in self._failures.take(host, everything):
            where = f"  ({caught.place})" if caught.place else ""
            self._line("rescued", f"{caught.host}  {caught.task}: {caught.text}{where}", "COLOR_SKIP")

    def _flush(self) -> None:
        for change in self._changes.take():
            self._print_change(change)

    def _change(self, host: str, task: Any, values: Mapping[str, Any], label: str | None = None) -> None:
        if not tasks.only_plans(task, self._planning):
            self._changes.add(host, task, label, _own_message(task, values))

    def _print_change(self, change: Change) -> None:
        self._print_heading()
        hosts = list(change.hosts)
        text = f"{words.hosts_text(hosts)}  {tasks.name_of(change.task)}"
        if len(hosts) == 1:
            labels = change.hosts[hosts[0]]
            text += words.labels_text(labels, len(labels))
            message = change.messages.get(hosts[0], "")
            text += f": {message}" if message and message not in text else ""
        self._line("would change" if change.task.check_mode else "changed", text, "COLOR_CHANGED")

    def _wait(self, host: str, task: Any, text: str) -> None:
        """At most a line in ten seconds for what a host waits for."""
        now, key = time.monotonic(), (host, task._uuid)
        if now - self._waited.setdefault(key, now) >= _WAITING:
            self._waited[key] = now
            self._line("waiting", f"{host}  {tasks.name_of(task)}: {text}", "COLOR_VERBOSE")

    def _print_verbosely(self, word: str, result: Any, values: Mapping[str, Any]) -> None:
        if not self._verbose:
            return
        host, task, _values = _parts(result)
        place = f"  ({tasks.place_of(task)})" if self._display.verbosity > 1 else ""
        shown = self._dump_results(words.without_arguments(values))
        text = f"{host}  {tasks.name_of(task)}{place} => {shown}"
        self._line(word, text, "COLOR_VERBOSE")


def _parts(result: Any) -> tuple[str, Any, dict[str, Any]]:
    """Host, task and values; ansible-core 2.19 gave the three their public names."""
    host = result.host if hasattr(result, "host") else result._host
    task = result.task if hasattr(result, "task") else result._task
    values = result.result if hasattr(result, "result") else result._result
    return str(host.get_name()), task, values


def _own_message(task: Any, values: Mapping[str, Any]) -> str:
    return one_line(words.text_of(values.get("msg"))) if tasks.is_own(task) and not words.is_hidden(values) else ""
