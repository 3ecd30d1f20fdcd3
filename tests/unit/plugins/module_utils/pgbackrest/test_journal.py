# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Journals of restores in place: what a killed run has left, and which directories a journal may name."""

from __future__ import annotations

import itertools
import json

import pytest
from ansible_collections.day2.ops.plugins.module_utils.pgbackrest.journal import (
    Facts,
    Journal,
    JournalError,
    Standing,
    Step,
    describe,
    parse_journal,
    standing,
)

DATA = "/srv/data"
KEPT = "data.20260131T020000"


def journal(step: Step, kept: str | None = KEPT, delta: bool = False) -> Journal:
    return Journal(step, "to the end of the archive", "77", kept, delta, True, True, "2026-01-31T02:00:00Z")


def test_a_journal_reads_back_as_it_was_written() -> None:
    for step, kept in itertools.product(Step, (KEPT, None)):
        assert parse_journal(journal(step, kept).render(), DATA) == journal(step, kept)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("kept", "../../etc"), ("kept", "/etc"), ("kept", "data.old"), ("kept", "other.20260131T020000"),
        ("kept", "data.20260131T020000/.."), ("step", "dance"), ("was_running", "yes"), ("version", 2),
    ],
)  # fmt: skip
def test_what_names_another_place_is_no_journal(name: str, value: object) -> None:
    said = json.loads(journal(Step.RESTORE).render())
    with pytest.raises(JournalError, match="is no journal of a restore"):
        parse_journal(json.dumps({**said, name: value}), DATA)


def test_a_torn_journal_is_none() -> None:
    whole = journal(Step.RESTORE).render()
    for end in range(0, len(whole) - 2, 7):
        with pytest.raises(JournalError):
            parse_journal(whole[:end], DATA)


@pytest.mark.parametrize(
    ("step", "facts", "expected"),
    [
        # Data directory, pg_control, recovery.signal, kept directory.
        (Step.STOP, (True, True, False, False), Standing.WHOLE),
        (Step.PUT_ASIDE, (True, True, False, False), Standing.WHOLE),
        (Step.PUT_ASIDE, (False, False, False, True), Standing.PARTIAL),
        (Step.RESTORE, (False, False, False, True), Standing.PARTIAL),
        (Step.RESTORE, (True, False, False, True), Standing.PARTIAL),
        (Step.RESTORE, (True, False, True, True), Standing.PARTIAL),
        (Step.RESTORE, (True, True, True, True), Standing.RESTORED),
        (Step.RECOVER, (True, True, True, True), Standing.RESTORED),
        (Step.RECOVER, (True, True, False, True), Standing.WHOLE),
        # Somebody has put the old files back by hand.
        (Step.RESTORE, (True, True, False, False), Standing.WHOLE),
    ],
)
def test_what_is_left_where_the_old_files_are_kept(
    step: Step, facts: tuple[bool, bool, bool, bool], expected: Standing
) -> None:
    assert standing(journal(step), Facts(*facts)) is expected


@pytest.mark.parametrize(
    ("step", "facts", "expected"),
    [
        (Step.STOP, (True, True, False, False), Standing.WHOLE),
        # A cluster that was paused in a recovery before.
        (Step.STOP, (True, True, True, False), Standing.WHOLE),
        (Step.RESTORE, (True, True, False, False), Standing.WHOLE),
        (Step.RESTORE, (True, False, False, False), Standing.OVERWRITTEN),
        (Step.RESTORE, (True, True, True, False), Standing.OVERWRITTEN),
        (Step.RECOVER, (True, True, True, False), Standing.RESTORED),
        (Step.RECOVER, (True, True, False, False), Standing.WHOLE),
    ],
)
def test_what_is_left_where_they_were_overwritten(
    step: Step, facts: tuple[bool, bool, bool, bool], expected: Standing
) -> None:
    assert standing(journal(step, None, True), Facts(*facts)) is expected


@pytest.mark.parametrize(
    ("step", "facts", "expected"),
    [
        (Step.STOP, (False, False, False, False), Standing.WHOLE),
        (Step.RESTORE, (False, False, False, False), Standing.WHOLE),
        (Step.RESTORE, (True, False, False, False), Standing.PARTIAL),
        (Step.RESTORE, (True, True, True, False), Standing.RESTORED),
        (Step.RECOVER, (True, True, True, False), Standing.RESTORED),
        (Step.RECOVER, (True, True, False, False), Standing.WHOLE),
    ],
)
def test_what_is_left_where_nothing_was(step: Step, facts: tuple[bool, bool, bool, bool], expected: Standing) -> None:
    assert standing(journal(step, None), Facts(*facts)) is expected


def test_nothing_that_was_opened_is_taken_for_a_restores_own() -> None:
    """Whatever the journal says: with pg_control and without recovery.signal somebody may have written to it."""
    ways = ((KEPT, False), (None, True), (None, False))
    for step, (kept, delta), there in itertools.product(Step, ways, (True, False)):
        assert standing(journal(step, kept, delta), Facts(True, True, False, there)) is Standing.WHOLE


def test_the_description_names_the_old_files_and_what_to_do() -> None:
    aside = describe(journal(Step.RESTORE), Standing.PARTIAL, DATA, f"/srv/{KEPT}")
    assert f"/srv/{KEPT}" in aside and "same restore again" in aside and "'state' reverted" in aside
    over = describe(journal(Step.RESTORE, None, True), Standing.OVERWRITTEN, DATA, None)
    assert "'keep_data' false" in over and "reverted" not in over
    assert "has its old files, whole" in describe(journal(Step.STOP), Standing.WHOLE, DATA, None)
    assert f"was opened since; the old files are in /srv/{KEPT}" in describe(
        journal(Step.RECOVER), Standing.WHOLE, DATA, f"/srv/{KEPT}"
    )
