# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which way a table is compressed: the choice alone, and what it comes to for rows of many kinds."""

from __future__ import annotations

import base64
import json
import random
import subprocess
import zlib
from collections.abc import Callable

import pytest
from ansible_collections.day2.ops.plugins.module_utils.backup.compression import (
    CANDIDATES,
    USUAL,
    Compression,
    choose,
    framed,
)
from ansible_collections.day2.ops.plugins.module_utils.backup.sampling import best
from ansible_collections.day2.ops.plugins.module_utils.backup.streams import compressor

FAST, FAST_PACKED = CANDIDATES[-2:]
OTHER = CANDIDATES[3]
WORDS = ["the", "of", "order", "paid", "to", "customer", "cancelled", "warehouse", "please", "note", "that", "delivery"]
ROWS = 60_000


@pytest.mark.parametrize(
    ("sizes", "expected"),
    [
        ({USUAL: 200, FAST: 199}, FAST),
        ({USUAL: 200, FAST: 202}, FAST),
        ({USUAL: 200, FAST: 203}, USUAL),
        ({USUAL: 200, FAST: 150, FAST_PACKED: 148}, FAST),
        ({USUAL: 200, FAST: 150, FAST_PACKED: 146}, FAST_PACKED),
        ({USUAL: 200, FAST: 190, OTHER: 180}, OTHER),
        ({USUAL: 70, FAST: 69, OTHER: 40, FAST_PACKED: 40}, FAST),
        ({USUAL: 70, FAST: 75, OTHER: 40}, USUAL),
        ({USUAL: 200}, USUAL),
        ({FAST: 100}, USUAL),
        ({}, USUAL),
    ],
)
def test_smaller_wins_unless_quicker_is_about_as_small(sizes: dict[Compression, int], expected: Compression) -> None:
    assert choose(sizes, 1000) == expected


def test_it_is_never_much_larger_than_usual() -> None:
    chance = random.Random(3)
    for _round in range(2000):
        length = chance.randrange(1, 4_000_000)
        sizes = {each: chance.randrange(1, length + 2) for each in CANDIDATES}
        chosen = choose(sizes, length)
        assert sizes[chosen] <= sizes[USUAL] * 1.01
        if sizes[USUAL] >= length * 0.08:
            better = [each for each in sizes if each.effort <= chosen.effort and sizes[each] < sizes[chosen]]
            assert not better, "smaller and quicker is better by any measure"


def test_nothing_to_go_by_is_the_usual_way() -> None:
    assert choose(dict.fromkeys(CANDIDATES, 9), 0) == USUAL and best(b"") == USUAL


def test_the_manifest_tells_how() -> None:
    assert USUAL.told == "zstd -3"
    assert FAST_PACKED.told == "rows in blocks, zstd --zstd=strategy=1,hlog=13,wlog=21,mml=7"


def _text(chance: random.Random, number: int) -> str:
    return f"{number}\t{' '.join(chance.choices(WORDS, k=chance.randint(5, 40)))}"


def _document(chance: random.Random, number: int) -> str:
    tags = chance.sample(["retail", "gold", "eu", "us", "mobile"], 3)
    content = {
        "id": number,
        "user": f"user{chance.randint(1, 5000)}@example.org",
        "amount": chance.random(),
        "tags": tags,
    }
    return f"{number}\t{json.dumps(content)}"


def _wide(chance: random.Random, number: int) -> str:
    return "\t".join([str(number), *[f"{chance.random() * 1000:.4f}" for _column in range(12)]])


def _bytes(chance: random.Random, number: int) -> str:
    return f"{number}\t\\\\x{chance.randbytes(60).hex()}"


def _compressed(chance: random.Random, number: int) -> str:
    return f"{number}\t{base64.b64encode(zlib.compress(chance.randbytes(90))).decode()}"


def _keys(chance: random.Random, number: int) -> str:
    at = f"2026-01-01 00:{number // 60 % 60:02}:{number % 60:02}.{chance.randint(0, 999999):06}"
    return f"{number}\t{chance.randint(1, 7_000_000)}\t{chance.randint(1, 700)}\t{at}"


def _uuids(chance: random.Random, number: int) -> str:
    return f"{chance.getrandbits(128):032x}\t{chance.getrandbits(128):032x}\t{chance.choice('tf')}"


def _repeated(chance: random.Random, number: int) -> str:
    return f"{number}\t1\t0\t{' ' * 84}"


def _constant(chance: random.Random, number: int) -> str:
    return f"{number}\tactive\t2026-01-01\tf\t{number % 7}"


def _log(chance: random.Random, number: int) -> str:
    took, level = chance.randint(1, 900), chance.choice(["INFO", "INFO", "WARN", "ERROR"])
    return f"2026-01-01 {number // 3600 % 24:02}:{number // 60 % 60:02}:{number % 60:02}+00\t{level}\tit took {took} ms"


KINDS = [_text, _document, _wide, _bytes, _compressed, _keys, _uuids, _repeated, _constant, _log]


@pytest.mark.parametrize("kind", KINDS)
def test_rows_of_many_kinds_are_no_larger_than_at_the_usual_level(kind: Callable[[random.Random, int], str]) -> None:
    chance = random.Random(7)
    rows = [f"{kind(chance, number)}\n".encode() for number in range(ROWS)]
    sample = b"".join(b"".join(rows[at : at + ROWS // 32]) for at in range(0, ROWS, ROWS // 8))
    how = best(sample)
    content = b"".join(rows) if how.packed else framed(rows)
    usual, own = _size(USUAL, framed(rows)), _size(how, content)
    assert own <= usual * 1.02, how.told
    if kind in (_wide, _keys, _uuids):
        assert own <= usual * 0.97, how.told


def _size(how: Compression, content: bytes) -> int:
    argv = compressor(how.parameters).argv
    stored = subprocess.run(argv, input=content, capture_output=True, check=True).stdout
    assert subprocess.run(["zstd", "-dqc"], input=stored, capture_output=True, check=True).stdout == content
    return len(stored)
