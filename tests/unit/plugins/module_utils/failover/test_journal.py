# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a host's journal accepts, and that a majority of such journals loses nothing and obeys one run."""

from __future__ import annotations

import copy
import random
from itertools import combinations, product
from typing import Any

import pytest
from ansible_collections.day2.ops.plugins.module_utils.failover.journal import (
    Ballot,
    Entry,
    JournalError,
    Phase,
    Record,
    Superseded,
    latest,
    majority,
    parse,
    parse_entries,
    promise,
    render,
    render_entry,
    write,
)

A, B = Ballot(1, "a"), Ballot(2, "b")


def entry(n: int, by: Ballot, step: str = "fence", phase: str = "intent") -> Entry:
    return Entry(n, by.epoch, by.run, step, Phase(phase), "db1", {"why": "silent"}, "2026-02-01T04:00:00Z")


def lines(by: Ballot, count: int, after: tuple[Entry, ...] = ()) -> tuple[Entry, ...]:
    return (*after, *(entry(len(after) + n, by) for n in range(1, count + 1)))


PROMISED_NOBODY = Record()
PROMISED_A = Record(A)
WRITTEN_A = Record(A, A, lines(A, 2))
PROMISED_B = Record(B, A, lines(A, 2))
WRITTEN_B = Record(B, B, lines(B, 1, lines(A, 2)))

CLAIMS = [
    # what the host has, who claims, whether it is accepted
    (PROMISED_NOBODY, A, True),
    (PROMISED_NOBODY, B, True),
    (PROMISED_A, A, True),
    (PROMISED_A, B, True),
    (PROMISED_A, Ballot(1, "b"), False),
    (WRITTEN_A, A, True),
    (WRITTEN_A, B, True),
    (WRITTEN_A, Ballot(1, "b"), False),
    (PROMISED_B, A, False),
    (PROMISED_B, B, True),
    (PROMISED_B, Ballot(2, "a"), False),
    (PROMISED_B, Ballot(3, "a"), True),
    (WRITTEN_B, A, False),
    (WRITTEN_B, Ballot(1, "b"), False),
    (WRITTEN_B, Ballot(2, "a"), False),
    (WRITTEN_B, Ballot(3, "a"), True),
]


@pytest.mark.parametrize("verb", ["claim", "write"])
@pytest.mark.parametrize(("has", "asked", "accepted"), CLAIMS)
def test_a_lower_epoch_and_an_equal_one_of_another_run_are_refused(
    has: Record, asked: Ballot, accepted: bool, verb: str
) -> None:
    entries = has.entries if has.written.epoch <= asked.epoch else lines(asked, 1)
    if not accepted:
        with pytest.raises(Superseded) as refused:
            promise(has, asked) if verb == "claim" else write(has, asked, entries)
        assert has.promised.run in str(refused.value) and str(has.promised.epoch) in str(refused.value)
    elif verb == "claim":
        assert promise(has, asked) == Record(asked, has.written, has.entries)
    else:
        assert write(has, asked, entries).promised == asked


def test_a_second_claim_of_the_same_run_changes_nothing() -> None:
    assert promise(WRITTEN_A, A) == WRITTEN_A


def test_lists_of_one_epoch_only_grow() -> None:
    longer = lines(A, 3)
    assert write(WRITTEN_A, A, longer) == Record(A, A, longer)
    # A message that was late, or that came twice.
    assert write(WRITTEN_A, A, lines(A, 1)) == WRITTEN_A == write(WRITTEN_A, A, lines(A, 2))
    other = (entry(1, A), entry(2, A, "promote"))
    for different in (other, (*other, entry(3, A)), (entry(1, A, phase="done"),)):
        with pytest.raises(JournalError, match="Two processes work as this run"):
            write(WRITTEN_A, A, different)


def test_a_higher_epoch_takes_over_what_a_majority_has_even_where_this_host_had_more() -> None:
    assert write(WRITTEN_A, B, lines(B, 1, lines(A, 1))) == Record(B, B, lines(B, 1, lines(A, 1)))
    assert write(WRITTEN_A, B, ()) == Record(B, B, ())


@pytest.mark.parametrize(
    ("entries", "why"),
    [
        ((entry(2, A),), "numbered from 1"),
        ((entry(1, A), entry(1, A)), "numbered from 1"),
        ((entry(1, A), entry(3, A)), "numbered from 1"),
        ((entry(1, Ballot(3, "c")),), "of epoch 3"),
        ((entry(1, B), entry(2, A)), "of epoch 1, after one of 2"),
        ((entry(1, Ballot(2, "a")),), "epoch 2 belongs to run b"),
        ((entry(1, A), entry(2, Ballot(1, "c"))), "epoch 1 belongs to run a"),
    ],
)
def test_a_list_that_no_run_can_have_is_refused(entries: tuple[Entry, ...], why: str) -> None:
    with pytest.raises(JournalError, match=why):
        write(PROMISED_A, B, entries)


@pytest.mark.parametrize("record", [PROMISED_NOBODY, PROMISED_A, WRITTEN_A, PROMISED_B, WRITTEN_B])
def test_a_record_is_read_as_it_was_written(record: Record) -> None:
    assert parse(copy.deepcopy(render(record))) == record


BROKEN: list[tuple[str, Any, str]] = [
    ("schema", 2, "its schema is 2"),
    ("schema", None, "its schema is None"),
    ("promised", None, "'promised' is None"),
    ("promised", {"epoch": 2}, "an epoch and a run"),
    ("promised", {"epoch": "2", "run": "b"}, "'epoch' is '2'"),
    ("promised", {"epoch": True, "run": "b"}, "'epoch' is True"),
    ("promised", {"epoch": -1, "run": "b"}, "'epoch' is -1"),
    ("promised", {"epoch": 2, "run": ""}, "'run' is ''"),
    ("promised", {"epoch": 0, "run": "b"}, "'epoch' is 0"),
    ("promised", {"epoch": 0, "run": ""}, "which it has not promised"),
    ("promised", {"epoch": 1, "run": "a"}, "which it has not promised"),
    ("promised", {"epoch": 2, "run": "c"}, "which it has not promised"),
    ("written", {"epoch": 1, "run": "a"}, "of epoch 2"),
    ("entries", None, "expected a list"),
    ("entries", {}, "expected a list"),
    ("entries", [{}], "entry 1 has to have n, epoch"),
]


@pytest.mark.parametrize(("field", "value", "why"), BROKEN)
def test_what_is_no_journal_is_said_and_not_read_as_an_empty_one(field: str, value: Any, why: str) -> None:
    with pytest.raises(JournalError, match=why):
        parse({**render(WRITTEN_B), field: value})


@pytest.mark.parametrize("found", [None, [], "", 0, {}])
def test_no_object_is_no_journal(found: Any) -> None:
    with pytest.raises(JournalError):
        parse(found)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("n", "1"), ("n", True), ("epoch", 0), ("epoch", 1.0), ("run", None), ("run", "a\nb"), ("run", " "),
        ("run", "a" * 201), ("step", ""), ("step", None), ("phase", "perhaps"), ("phase", None), ("host", ""),
        ("host", 3), ("about", None), ("about", []), ("at", "yesterday"), ("at", None), ("more", 1),
    ],
)  # fmt: skip
def test_a_field_of_an_entry_that_cannot_be_is_named(field: str, value: Any) -> None:
    good = render_entry(entry(1, A))
    assert parse_entries([good, {**good, "n": 2, "host": None}])[1].host is None
    with pytest.raises(JournalError, match="entry 2"):
        parse_entries([good, {**good, "n": 2, field: value}])


def test_the_latest_is_of_the_highest_epoch_then_the_longest() -> None:
    long_of_a, short_of_b = Record(A, A, lines(A, 5)), Record(B, B, ())
    assert latest([long_of_a, short_of_b]) == short_of_b
    assert latest([WRITTEN_A, long_of_a, PROMISED_A]) == long_of_a
    assert latest([]) == Record()


def test_any_two_majorities_share_a_host() -> None:
    for hosts in range(1, 8):
        for first, second in product(combinations(range(hosts), majority(hosts)), repeat=2):
            assert set(first) & set(second)
    assert [majority(hosts) for hosts in (1, 2, 3, 4, 5)] == [1, 2, 2, 3, 3]


class Run:
    """A controller: it claims, takes over, and adds entries as long as a majority acknowledges them.

    Messages that it sends are delivered by the test in any order, late, twice or never; so are the answers.
    """

    def __init__(self, ballot: Ballot, hosts: int) -> None:
        self.ballot, self.hosts = ballot, hosts
        self.answers: dict[int, Record] = {}
        self.acknowledged: dict[int, set[int]] = {}
        self.entries: tuple[Entry, ...] | None = None
        self.sure: tuple[Entry, ...] = ()
        self.reaches = set(range(hosts))

    def claim_answered(self, host: int, record: Record) -> None:
        if self.entries is None:
            self.answers[host] = record
            if len(self.answers) >= majority(self.hosts):
                self.entries = latest(self.answers.values()).entries

    def write_answered(self, host: int, length: int) -> None:
        self.acknowledged.setdefault(length, set()).add(host)
        if len(self.acknowledged[length]) >= majority(self.hosts) and length >= len(self.sure):
            assert self.entries is not None
            self.sure = self.entries[:length]

    def add(self) -> None:
        # The next intent only after the one before it is acknowledged; what was taken over is written first.
        assert self.entries is not None
        if len(self.sure) == len(self.entries) and self.acknowledged:
            self.entries = (*self.entries, entry(len(self.entries) + 1, self.ballot))


class Network:
    """Messages between runs and hosts. Each run reaches some of the hosts, others every now and then."""

    def __init__(self, chance: random.Random, hosts: int) -> None:
        self.chance, self.hosts = chance, [Record() for _host in range(hosts)]
        self.late: list[tuple[Run, int, tuple[Entry, ...] | None]] = []

    def send(self, run: Run) -> None:
        for host in range(len(self.hosts)):
            message = (run, host, run.entries)
            if self.chance.random() < 0.2:
                self.late.append(message)
            if self.chance.random() < 0.5:
                self.deliver(*message)

    def deliver_late(self) -> None:
        if self.late and self.chance.random() < 0.3:
            self.deliver(*self.late.pop(self.chance.randrange(len(self.late))))

    def deliver(self, run: Run, host: int, entries: tuple[Entry, ...] | None) -> None:
        if host not in run.reaches:
            return
        has = self.hosts[host]
        try:
            self.hosts[host] = promise(has, run.ballot) if entries is None else write(has, run.ballot, entries)
        except Superseded:
            return
        if self.chance.random() < 0.2:
            return  # it is done, and the answer is lost
        if entries is None:
            run.claim_answered(host, self.hosts[host])
        else:
            run.write_answered(host, len(entries))


def simulated(seed: int) -> int:
    """How many entries a run took over from another one."""
    chance = random.Random(seed)
    size = chance.choice([1, 2, 3, 3, 3, 4, 5, 5])
    network = Network(chance, size)
    runs = [Run(Ballot(epoch, f"run{epoch}"), size) for epoch in range(1, chance.randint(3, 6))]
    agreed: set[tuple[int, int, Run]] = set()
    for turn in range(300):
        # One after the other, mostly: earlier ones wake up, and later ones begin early.
        run = runs[turn * len(runs) // 300] if chance.random() < 0.8 else chance.choice(runs[: 2 + turn // 60])
        if chance.random() < 0.3:
            run.reaches = set(chance.sample(range(size), chance.randint(0, size)))
        if run.entries is not None:
            run.add()
        network.send(run)
        network.deliver_late()
        agreed.add((run.ballot.epoch, len(run.sure), run))
        for epoch, length, owner in agreed:
            assert owner.entries is not None or not length
            for later in runs:
                if later.ballot.epoch > epoch and later.entries is not None and length:
                    assert later.entries[:length] == (owner.entries or ())[:length]
    return sum(line.epoch != run.ballot.epoch for run in runs for line in run.sure)


@pytest.mark.parametrize("part", range(20))
def test_what_a_majority_acknowledged_is_in_every_later_list(part: int) -> None:
    assert sum(simulated(seed) for seed in range(25 * part, 25 * part + 25)) > 50


@pytest.mark.parametrize("order", sorted(set(product("ab", repeat=6))))
def test_of_two_runs_at_the_same_epoch_one_gets_no_majority(order: tuple[str, ...]) -> None:
    """Each asks three hosts in turn, interleaved in every way."""
    hosts = [Record(), Record(), Record()]
    asked, won = {"a": 0, "b": 0}, {"a": 0, "b": 0}
    for run in order:
        host = asked[run] % 3 if run == "a" else 2 - asked[run] % 3
        asked[run] += 1
        if asked[run] > 3:
            continue
        try:
            hosts[host] = promise(hosts[host], Ballot(7, run))
            won[run] += 1
        except Superseded as refused:
            assert "claim a higher epoch" in str(refused)
    assert min(won.values()) < majority(3)
