# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Whatever way a pattern is searched, the lines counted are those that match one by one."""

from __future__ import annotations

import io
import re

import pytest
from ansible_collections.day2.ops.plugins.module_utils.logs import scan as scanning
from ansible_collections.day2.ops.plugins.module_utils.logs.collect import Values
from ansible_collections.day2.ops.plugins.module_utils.logs.scan import Search, scan
from examples import examples
from hypothesis import given, settings
from hypothesis import strategies as st

_CLASSES = [r"\d", r"\w", r"\s", r"\S", r"\W", ".", "[ab]", "[^a]", "[0-9]", r"\n", r"\x00"]
_PLACES = [r"\b", "^", "$", r"\A", r"\Z", "(?=a)", "(?!b)", "(?<=a)", "(?<!b)"]
_ATOMS = st.sampled_from(["a", "b", "ab", "E", "err", " ", "x", "é", "(?:ab)", "(a)", *_CLASSES, *_PLACES])
_QUANTIFIERS = st.sampled_from(["", "", "", "*", "+", "?", "{2}", "{0,2}", "+?"])


@st.composite
def patterns(draw: st.DrawFn) -> str:
    def sequence() -> str:
        parts = draw(st.lists(st.tuples(_ATOMS, _QUANTIFIERS), min_size=1, max_size=4))
        return "".join(f"(?:{atom}){quantifier}" if quantifier else atom for atom, quantifier in parts)

    text = "|".join(sequence() for _number in range(draw(st.integers(1, 3))))
    if draw(st.booleans()):
        text = f"({text}){draw(_ATOMS)}"
    return draw(st.sampled_from(["", "", "(?i)", "(?s)", "(?m)", "(?x)"])) + text


_LOGS = st.lists(
    st.lists(
        st.sampled_from(
            [b"a", b"b", b"A", b"E", b"err", b"ab", b"1", b" ", b"\x00", b"\xff", "é".encode(), b"\r", b"x"]
        )
    )
    .map(b"".join)
    .filter(lambda line: b"\n" not in line),
    max_size=12,
)


def compiles(pattern: str) -> bool:
    try:
        re.compile(pattern)
    except re.error:
        return False
    return True


def expected(pattern: str, lines: list[bytes]) -> list[bytes]:
    """Each line by itself; as bytes where that is possible, for that is how the probe documents it."""
    shown = [line[:-1] if line.endswith(b"\r") else line for line in lines]
    if pattern.isascii():
        return [line for line in shown if re.search(pattern.encode(), line)]
    return [line for line in shown if re.search(pattern, line.decode("utf-8", "surrogateescape"))]


@settings(max_examples=examples(1000), deadline=None)
@given(patterns().filter(compiles), _LOGS, st.booleans(), st.sampled_from([64, 4096]))
def test_counts_what_matches_line_by_line(pattern: str, lines: list[bytes], ends: bool, block: int) -> None:
    lines = [line for line in lines if len(line) < 60]
    data = b"\n".join(lines) + (b"\n" if ends and lines else b"")
    if not ends and lines and not lines[-1]:
        lines = lines[:-1]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(scanning, "BLOCK", block)
        patch.setattr(scanning, "OVERLAP", 16)
        collected: list[bytes] = []
        search, collecting = Search(pattern), Search(pattern, collect=collected.append)
        scan(io.BytesIO(data), [search, collecting])
    wanted = expected(pattern, lines)
    assert search.count == collecting.count == len(wanted)
    assert collected == wanted


@pytest.mark.parametrize(
    "pattern", [None, "ERROR", "ERROR|FATAL", "(?i)error", r"E\w+R", r"^\d+ ERROR$", "[A-Z]{5}", "é|ERROR"]
)
def test_every_way_of_searching_keeps_the_last_lines(pattern: str | None) -> None:
    data = b"".join(b"%d ERROR\n" % number for number in range(100))
    search = Search(pattern)
    scan(io.BytesIO(data), [search])
    assert search.count == 100
    assert list(search.last) == [b"%d ERROR" % number for number in range(80, 100)]


def test_a_line_longer_than_the_buffer_counts_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scanning, "BLOCK", 1024)
    monkeypatch.setattr(scanning, "OVERLAP", 64)
    # The match lies across two pieces of the long line.
    data = b"ERROR first\n" + b"x" * 1020 + b"ERROR" + b"x" * 5000 + b"ERROR tail\n" + b"fine\nERROR last"
    counted, everything, other = Search("ERROR"), Search(None), Search("fine")
    end = scan(io.BytesIO(data), [counted, everything, other])
    assert (counted.count, everything.count, other.count) == (3, 4, 1)
    assert end == len(data)
    assert counted.last[1].startswith(b"xxx") and len(counted.last[1]) <= scanning.CLIP


def test_a_search_that_starts_later_sees_only_its_part(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scanning, "BLOCK", 64)
    lines = [b"ERROR %04d" % number for number in range(50)]
    data = b"\n".join(lines) + b"\n"
    all_of_it, late = Search("ERROR"), Search("ERROR", start=data.index(b"ERROR 0030"))
    scan(io.BytesIO(data), [all_of_it, late], size=len(data))
    assert (all_of_it.count, late.count) == (50, 20)


def test_a_file_that_was_cut_meanwhile_is_noticed() -> None:
    assert scan(io.BytesIO(b"one\ntwo\n"), [Search("o")], 0, size=1000) == 8


def test_the_search_that_begins_is_announced() -> None:
    seen: list[int] = []
    scan(io.BytesIO(b"a\n"), [Search("a"), Search("b")], on_search=seen.append)
    assert seen == [0, 1]


def test_every_line_is_collected_without_a_pattern() -> None:
    collected: list[bytes] = []
    search = Search(None, collect=collected.append)
    scan(io.BytesIO(b"a\n\nb\r\nlast"), [search])
    assert (search.count, collected) == (4, [b"a", b"", b"b", b"last"])


def test_of_a_long_line_the_piece_that_matches_is_collected(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scanning, "BLOCK", 1024)
    monkeypatch.setattr(scanning, "OVERLAP", 64)
    collected: list[bytes] = []
    search = Search("from (\\S+)", collect=collected.append)
    scan(io.BytesIO(b"x" * 5000 + b" from 10.0.0.1 " + b"y" * 3000 + b" from b\nfrom c\n"), [search])
    assert search.count == len(collected) == 2
    assert b"from 10.0.0.1 " in collected[0] and collected[1] == b"from c"


def test_one_search_over_several_logs() -> None:
    search = Search("a")
    for data, start in ((b"a\nb\na\n", 2), (b"a\n", 0)):
        search.start = start
        scan(io.BytesIO(data), [search])
    assert (search.count, list(search.last)) == (2, [b"a", b"a"])


@settings(max_examples=examples(800), deadline=None)
@given(patterns().filter(compiles), _LOGS, st.sampled_from([64, 4096]))
def test_the_values_are_those_of_the_lines_one_by_one(pattern: str, lines: list[bytes], block: int) -> None:
    """The capture group of the first match in each line, however the line is searched."""
    flags = re.match(r"(\(\?[a-z]\))?", pattern)
    head = flags.group() if flags else ""
    pattern = f"{head}({pattern[len(head) :]})"
    lines = [line for line in lines if len(line) < 60] + [b"end"]
    one_by_one, at_once = Values(pattern), Values(pattern)
    for line in expected(pattern, lines):
        one_by_one.add(line)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(scanning, "BLOCK", block)
        patch.setattr(scanning, "OVERLAP", 16)
        search = Search(pattern, collect=at_once.add, take=at_once.take)
        scan(io.BytesIO(b"\n".join(lines) + b"\n"), [search])
    assert search.count == len(expected(pattern, lines)) == at_once.found.total
    assert at_once.found.top(99) == one_by_one.found.top(99)
