# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Archives as pg_dump writes them, put together by the format's description and read by a reader of the test's own."""

from __future__ import annotations

import random
import signal
import subprocess
from collections.abc import Sequence

import pytest
from ansible_collections.day2.ops.plugins.module_utils.backup.packing import Unpackable, pack
from ansible_collections.day2.ops.plugins.module_utils.backup.streams import packer

END = b"\\.\n\n\n"


def integer(number: int) -> bytes:
    return bytes([number < 0]) + abs(number).to_bytes(4, "little")


def text(content: str | None) -> bytes:
    return integer(-1) if content is None else integer(len(content.encode())) + content.encode()


def entry(minor: int, has_data: bool, statement: str) -> bytes:
    return b"".join(
        [
            integer(7), integer(has_data), text("0"), text("16458"), text("ticks"), text("TABLE DATA"), integer(3),
            text(None), text(""), text(statement), text("public"), text(None), text(None),
            integer(114) if minor >= 16 else b"", text("postgres"), text("false"),
            text("218"), text("10\n"), text(None), bytes([1 if has_data else 3]) + bytes(8),
        ]
    )  # fmt: skip


def before_rows(minor: int = 14, tables: int = 1, compressed: int = 0, magic: bytes = b"PGDMP") -> bytes:
    compression = bytes([compressed]) if minor >= 15 else integer(compressed)
    head = (
        magic + bytes([1, minor, 0]) + b"\x04\x08\x01" + compression + b"".join(map(integer, (1, 2, 10, 4, 5, 126, 0)))
    )
    names = text("big\n") + text("15.20") + text("15.20")
    entries = [entry(minor, False, "SET client_encoding = 'UTF8';\n"), *[entry(minor, True, "COPY x;\n")] * tables]
    return head + names + integer(len(entries)) + b"".join(entries) + b"\x01" + integer(7)


def chunks(rows: Sequence[bytes]) -> bytes:
    return b"".join(integer(len(row)) + row for row in rows) + integer(0)


def through(archive: bytes, size: int) -> bytes:
    pieces = [archive[at : at + size] for at in range(0, len(archive), size)]
    out: list[bytes] = []
    pack(lambda: pieces.pop(0) if pieces else b"", out.append)
    return b"".join(out)


def read(archive: bytes, begin: int) -> tuple[bytes, int]:
    """All rows and the number of blocks that they are in; nothing may come after the end."""
    rows, blocks, at = b"", 0, begin
    while True:
        length = int.from_bytes(archive[at + 1 : at + 5], "little")
        at += 5
        if length == 0:
            assert at == len(archive)
            return rows, blocks
        assert archive[at - 5] == 0 and at + length <= len(archive)
        rows += archive[at : at + length]
        blocks, at = blocks + 1, at + length


def some_rows(seed: int, count: int) -> list[bytes]:
    chance = random.Random(seed)
    # Their lengths in bytes look like ends of rows, like zeros and like nothing at all.
    lengths = [1, 2, 10, 11, 256, 266, 2560, 2570, 2815, 4096, 65546, 70000]
    made = [b"x" * (chance.choice(lengths) - 1) + b"\n" for _row in range(count)]
    return [*made, *[b"%d\tORD\n" % number for number in range(count)], END]


@pytest.mark.parametrize("minor", [14, 15, 16])
@pytest.mark.parametrize("size", [1 << 16, 1 << 20, 7919])
def test_rows_are_the_same_in_fewer_blocks(minor: int, size: int) -> None:
    begin = before_rows(minor)
    rows = some_rows(size + minor, 3000)
    packed = through(begin + chunks(rows), size)
    assert packed.startswith(begin)
    content, blocks = read(packed, len(begin))
    assert content == b"".join(rows) and blocks < len(content) / size + 3


@pytest.mark.parametrize("length", range(1, 40))
def test_wherever_a_piece_ends(length: int) -> None:
    begin = before_rows()
    rows = [b"y" * (each - 1) + b"\n" for each in (length, 10, 2570, length, 1, 10, 10)] * 20 + [END]
    packed = through(begin + chunks(rows), length)
    assert read(packed, len(begin))[0] == b"".join(rows)


@pytest.mark.parametrize(
    "archive",
    [
        pytest.param(before_rows() + chunks([b"half", b" a row\n", END]), id="chunks that are no rows"),
        pytest.param(before_rows() + chunks([b"a\x00b\n", END]), id="rows with zero bytes"),
        pytest.param(before_rows(minor=17) + chunks([b"a\n", b"b\n", END]), id="a later version"),
        pytest.param(before_rows(compressed=1) + chunks([b"a\n", b"b\n", END]), id="compressed by pg_dump"),
        pytest.param(before_rows(minor=15, compressed=3) + chunks([b"a\n", b"b\n", END]), id="compressed, since 16"),
        pytest.param(before_rows(tables=2) + chunks([b"a\n", b"b\n", END]), id="two tables"),
        pytest.param(before_rows(tables=0) + chunks([b"a\n", b"b\n", END]), id="no table"),
        pytest.param(before_rows(magic=b"PGDMQ") + chunks([b"a\n", b"b\n", END]), id="another format"),
        pytest.param(before_rows() + chunks([]), id="no rows"),
        pytest.param(before_rows()[:100], id="cut before its rows"),
        pytest.param(b"", id="nothing"),
        pytest.param(b"\n\x00\x01\x02\x03\x04" * 50_000, id="anything"),
    ],
)
def test_what_it_does_not_know_passes_unchanged(archive: bytes) -> None:
    for size in (1 << 16, 100):
        assert through(archive, size) == archive


@pytest.mark.parametrize(
    "rows",
    [
        pytest.param(chunks([b"row\n"] * 90_000)[:-7], id="cut"),
        pytest.param(chunks([b"row\n"] * 90_000)[:-5], id="no end"),
        pytest.param(chunks([b"row\n"] * 90_000) + b"\x01", id="more after the end"),
        pytest.param(chunks([*[b"row\n"] * 90_000, b"half", b" a row\n"]), id="half a row later"),
    ],
)
def test_what_turns_out_not_to_be_rows_fails(rows: bytes) -> None:
    with pytest.raises(Unpackable):
        through(before_rows() + rows, 1 << 16)


def test_as_a_program_of_a_pipeline() -> None:
    begin, rows = before_rows(), some_rows(5, 2000)
    done = subprocess.run(packer().argv, input=begin + chunks(rows), capture_output=True, check=True)
    assert read(done.stdout, len(begin))[0] == b"".join(rows)
    cut = subprocess.run(packer().argv, input=begin + chunks(rows)[:-9], capture_output=True, check=False)
    assert cut.returncode == 1 and cut.stderr == b"the archive of pg_dump ends within its rows\n"


def test_it_ends_as_others_do_when_its_reader_is_gone() -> None:
    with subprocess.Popen(packer().argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin is not None and process.stdout is not None
        process.stdout.close()
        with pytest.raises(BrokenPipeError):
            process.stdin.write(before_rows() + chunks([b"row\n"] * 900_000))
        assert process.wait(20) == -signal.SIGPIPE
        process.stdin = None
