# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Manifests and states that were damaged, edited or made up: refused with a reason, never half believed."""

from __future__ import annotations

import json
import random
from dataclasses import replace

import pytest
from ansible_collections.day2.ops.plugins.module_utils.backup.manifest import (
    Manifest,
    ManifestError,
    State,
    StoredFile,
    lost,
    parse_manifest,
    parse_state,
)

FILE = StoredFile("db001/main.dump.zst", "main", 7, "a" * 64, database='we"ird ü', table=None)
MANIFEST = Manifest(
    id="20260131T020000Z", kind="postgresql", series="postgresql", sequence=3, time=1769824800.12,
    finished=1769824801.0, files=[FILE], recipients=["age1x"], run_id="night",
    about={"databases": [{"name": 'we"ird ü', "rows": [{"rows": 9}]}]},
)  # fmt: skip
STATE = State("read", 1769824802.5, None, {}, None)


def sealed(**change: object) -> bytes:
    """A manifest that somebody made with a right digest: what its fields say is all that can be wrong with it."""
    from ansible_collections.day2.ops.plugins.module_utils.backup.manifest import _sealed

    return json.dumps(_sealed({**json.loads(MANIFEST.render()), **change})).encode()


@pytest.mark.parametrize(
    ("listed", "told"),
    [
        ({FILE.path: 84_211, "manifest.json": 5}, None),
        ({}, "db001/main.dump.zst is missing"),
        ({FILE.path: 1000}, "db001/main.dump.zst has 1,000 of 84,211 bytes"),
        ({FILE.path: 84_212}, "db001/main.dump.zst has 84,212 bytes, and 84,211 were written"),
    ],
)
def test_a_listing_shows_what_is_lost(listed: dict[str, int], told: str | None) -> None:
    assert lost(replace(MANIFEST, files=[replace(FILE, bytes=84_211)]), listed) == told


def test_a_sentence_names_few_of_the_lost_files() -> None:
    files = [replace(FILE, path=f"db001/data{number:04d}.dump.zst") for number in range(9)]
    told = lost(replace(MANIFEST, files=files), {})
    assert told is not None and told.count("is missing") == 3 and told.endswith("; and 6 more files")


def test_what_is_rendered_is_parsed() -> None:
    assert parse_manifest(MANIFEST.render()) == MANIFEST
    assert parse_state(STATE.render()) == STATE and parse_state(None) == State()


def test_every_cut_and_every_flipped_bit_shows() -> None:
    for content, parse in ((MANIFEST.render().rstrip(), parse_manifest), (STATE.render().rstrip(), parse_state)):
        for length in range(len(content)):
            with pytest.raises(ManifestError):
                parse(content[:length])
        for place in range(len(content)):
            flipped = bytearray(content)
            flipped[place] ^= 1 << random.Random(place).randrange(8)
            with pytest.raises(ManifestError):
                parse(bytes(flipped))


@pytest.mark.parametrize("name", [name for name in json.loads(MANIFEST.render()) if name != "digest"])
def test_every_field_that_was_edited_or_is_missing_shows(name: str) -> None:
    record = json.loads(MANIFEST.render())
    for edited in ({**record, name: "edited"}, {key: value for key, value in record.items() if key != name}):
        with pytest.raises(ManifestError):
            parse_manifest(json.dumps(edited).encode())


def test_laid_out_anew_it_is_the_same() -> None:
    record = json.loads(MANIFEST.render())
    assert parse_manifest(json.dumps(dict(sorted(record.items())), indent=4).encode()) == parse_manifest(sealed())


@pytest.mark.parametrize(
    "change",
    [
        {"files": [{**json.loads(sealed())["files"][0], "path": path}]}
        for path in ("../x", "/etc/passwd", "a/../../x", "manifest.json", "state.json", ".hidden", "", "a//b", "x\ny")
    ] + [
        {"files": None}, {"files": [1]}, {"id": 5}, {"sequence": True}, {"started": "yesterday"},
        {"recipients": "age1"},
        {"schema_version": "2.0"}, {"files": [vars(FILE), vars(FILE)]}, {"files": [{**vars(FILE), "sha256": "A" * 64}]},
    ],
)  # fmt: skip
def test_what_a_manifest_may_not_say(change: dict[str, object]) -> None:
    with pytest.raises(ManifestError, match=r"^its manifest "):
        parse_manifest(sealed(**change))


@pytest.mark.parametrize("content", [b"[" * 100_000, b"\xff\xfe", b"\x00" * 50, b'{"schema_version": NaN}', b"null"])
def test_what_is_no_record_at_all(content: bytes) -> None:
    for parse in (parse_manifest, parse_state):
        with pytest.raises(ManifestError):
            parse(content)
