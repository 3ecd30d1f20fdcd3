# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the callback `brief` says of results: in full where it matters, never what is secret."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.day2.ops.plugins.plugin_utils.brief import words
from ansible_collections.day2.ops.plugins.plugin_utils.brief.pending import Caught, Failures

SECRET = "t0p-s3cret"


@pytest.mark.parametrize(
    ("result", "lines"),
    [
        ({"msg": "the disk is full", "failed": True}, ["the disk is full"]),
        ({"msg": "two\nlines"}, ["two", "lines"]),
        ({"msg": ["a list", "of lines"]}, ["a list", "of lines"]),
        ({"msg": {"a": 1}}, ["{", '  "a": 1', "}"]),
        ({"msg": "non-zero return code", "rc": 3, "stderr": "oops\n", "stdout": ""},
         ["non-zero return code", "exit status: 3", "stderr:", "  oops"]),
        ({"msg": "Assertion failed", "assertion": "1 == 2", "evaluated_to": False},
         ["Assertion failed", "assertion: 1 == 2"]),
        ({"msg": "MODULE FAILURE: No start of json char found\nSee stdout/stderr for the exact error", "rc": 127,
          "module_stderr": "sh: python3: not found", "module_stdout": ""},
         ["MODULE FAILURE: No start of json char found", "See stdout/stderr for the exact error", "exit status: 127",
          "module_stderr:", "  sh: python3: not found"]),
        # What the message has already is not printed again.
        ({"msg": "pg_dump failed: no space", "stderr": "no space"}, ["pg_dump failed: no space"]),
        ({"failed": True, "status": 404, "invocation": {"module_args": {"password": SECRET}}},
         ["{", '  "status": 404', "}"]),
        ({"failed": True, "invocation": {"module_args": {"password": SECRET}}, "diff": SECRET},
         ["the task did not say why"]),
        ({"censored": "hidden", "changed": True, "msg": SECRET}, ["what it said is hidden (no_log)"]),
        ({"_ansible_no_log": True, "msg": SECRET}, ["what it said is hidden (no_log)"]),
        # A terminal must not do what a host says.
        ({"msg": "red \x1b[31m alert\r"}, ["red \u241b[31m alert"]),
        ({"msg": None}, ["the task did not say why"]),
        ({"msg": b"bytes".decode()}, ["bytes"]),
    ],
)  # fmt: skip
def test_why_it_failed(result: dict[str, Any], lines: list[str]) -> None:
    assert words.reason_lines(result) == lines
    assert SECRET not in words.reason(result) + words.dump({} if words.is_hidden(result) else result)


def test_the_last_lines_of_a_program_that_says_much() -> None:
    result = {"msg": "non-zero return code", "rc": 1, "stdout": "\n".join(f"line {number}" for number in range(100))}
    shown = words.reason_lines(result)
    assert shown[2] == "stdout: (60 lines before these: -v)" and shown[-1] == "  line 99" and len(shown) == 43
    assert len(words.reason_lines(result, None)) == 103


@pytest.mark.parametrize(
    ("labels", "total", "text"),
    [
        ([], 0, ""),
        ([""], 1, ""),
        (["", ""], 2, " (2 entries)"),
        (["shop"], 1, " (shop)"),
        (["shop", "shop"], 2, " (shop and 1 more)"),
        (["a", "b", "c", "d", "e", "f"], 6, " (a, b, c, d and 2 more)"),
        (["x" * 60], 1, f" ({'x' * 39}…)"),
    ],
)
def test_labels(labels: list[str], total: int, text: str) -> None:
    assert words.labels_text(labels, total) == text


@pytest.mark.parametrize(
    ("result", "label"),
    [
        ({"item": "shop"}, "shop"),
        ({"item": {"name": "shop", "password": SECRET}}, ""),
        ({"item": {"password": SECRET}, "_ansible_item_label": "shop"}, "shop"),
        ({"item": SECRET, "_ansible_no_log": True}, ""),
        ({"item": 7}, "7"),
        ({}, ""),
    ],
)
def test_label(result: dict[str, Any], label: str) -> None:
    assert words.label_of(result) == label


@pytest.mark.parametrize(
    ("result", "lines"),
    [
        ({"msg": "hello", "changed": False}, ["hello"]),
        ({"msg": ["a", "b"]}, ["a", "b"]),
        ({"answer": 42, "changed": False, "failed": False, "_ansible_verbose_always": True}, ["answer: 42"]),
        ({"censored": "x", "msg": SECRET}, ["hidden (no_log)"]),
    ],
)
def test_debug(result: dict[str, Any], lines: list[str]) -> None:
    assert words.debug_lines(result) == lines


@pytest.mark.parametrize(
    ("result", "is_one"),
    [
        ({"step": {"id": "a", "status": "ok", "message": "done"}}, True),
        ({"step": {"id": "a", "status": "ok"}}, False),
        ({"step": "a"}, False),
        ({}, False),
    ],
)
def test_rows(result: dict[str, Any], is_one: bool) -> None:
    assert (words.row_of(result) is not None) is is_one


@pytest.mark.parametrize(
    ("said", "left"),
    [
        ([], 1),
        ([("db1", "Make sets: the disk is full")], 0),
        ([("db1", {"day2_step_failed": "Make sets: the disk\n is full"})], 0),
        ([("db1", [{"message": "x", "evidence": ["the disk is full"]}])], 0),
        ([("db2", "the disk is full")], 1),
        ([("db1", "the disk")], 1),
        ([("db1", "full")], 1),
        ([("db1", "Is it so that the disk is fully used?")], 1),
        ([("db1", "nobody says that the disk is full any more")], 1),
        ([("db1", "Step sets: the disk is full.")], 0),
        ([("db1", {"msg": "It failed (the disk is full); nothing was changed"})], 0),
        ([("db1", ["a", {"b": ["the disk is full", "c"]}])], 0),
        ([("db1", "")], 1),
    ],
)
@pytest.mark.parametrize("is_before", [False, True])
def test_a_rescued_failure_that_something_else_says(said: list[tuple[str, Any]], left: int, is_before: bool) -> None:
    failures = Failures()
    failure = Caught("db1", "Make sets", "x.yml:1", "the disk\nis full")
    if not is_before:
        failures.catch(failure)
    for host, value in said:
        failures.say(host, value)
    if is_before:
        failures.catch(failure)
    assert len(list(failures.take())) == left
    assert list(failures.take(everything=True)) == []


@pytest.mark.parametrize(
    ("said", "message", "left"),
    [
        ("done", "the migration was not done: disk full", 1),
        ("done", "done: disk full", 1),
        ("disk full", "the migration was not done: disk full", 1),
        ("ok", "x is not ok", 1),
        (["done", "disk full"], "the migration was not done: disk full", 1),
        ("the migration was not done", "the migration was not done: disk full", 1),
        ("the migration was not done: disk full", "the migration was not done: disk full", 0),
        ("the migration of shop to version 12 was not done: disk full",
         "the migration of shop to version 12 was not done: disk full\nstderr: x", 0),
        ("db1: the migration was not done: disk full", "the migration was not done: disk full", 0),
        ("", "", 1),
    ],
)  # fmt: skip
def test_what_was_said_before_hides_only_the_same_sentence(said: Any, message: str, left: int) -> None:
    failures = Failures()
    failures.say("db1", said)
    failures.catch(Caught("db1", "Migrate", "x.yml:1", message))
    assert len(list(failures.take())) == left


@pytest.mark.parametrize(
    ("before", "text", "is_said"),
    [
        ("the mode is kept: db1 cannot be reached by anybody here; look there",
         "db1 cannot be reached by anybody here; look", True),
        (["the mode is kept:", "db1 cannot be reached by anybody here; look"],
         ["db1 cannot be reached by", "anybody here; look"], True),
        ("done", "done", False),
        ("", "db1 cannot be reached by anybody here; look there", False),
        ("db1 cannot be reached", "db1 cannot be reached by anybody here; look there", False),
    ],
)  # fmt: skip
def test_a_sentence_is_said_once(before: Any, text: Any, is_said: bool) -> None:
    failures = Failures()
    failures.say("db1", before)
    assert failures.has_said("db1", text) is is_said
    assert not failures.has_said("db2", text)


def test_what_the_report_says_waits_for_it() -> None:
    failures = Failures()
    failures.catch(Caught("db1", "Answer the checks", "x.yml:1", "malformed", reported=True))
    assert list(failures.take()) == []
    assert len(list(failures.take(everything=True))) == 1
