# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Sealed pieces by zstd and age that somebody tampers with: probe log_seal finds each, and nothing where nothing is."""

from __future__ import annotations

import itertools
import json
import os
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.day2.ops.plugins.module_utils.errors import CheckError
from ansible_collections.day2.ops.plugins.module_utils.probes import log_seal
from ansible_collections.day2.ops.plugins.module_utils.probes.runner import run_checklist
from ansible_collections.day2.ops.plugins.module_utils.rotation import chain, packing
from ansible_collections.day2.ops.plugins.module_utils.rotation.ledger import ledger_of
from ansible_collections.day2.ops.plugins.module_utils.rotation.place import Place
from ansible_collections.day2.ops.plugins.module_utils.rotation.policy import Policy
from ansible_collections.day2.ops.plugins.module_utils.rotation.tending import tend
from rotated_logs import DAY, NOW, piece


@pytest.fixture
def place(place: Place, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Place:
    monkeypatch.setattr(log_seal, "Place", lambda: place)
    return place


@pytest.fixture
def sealed(tmp_path: Path, place: Place, recipient: str) -> list[Path]:
    """Five sealed pieces, the oldest first."""
    paths = (f"{tmp_path}/logs/*.log",)
    place.policies.save(Policy("audit", "audit", paths, 365 * DAY, 10**9, encrypt_to=(recipient,)))
    for age in (5, 4, 3, 2, 1):
        piece(tmp_path / "logs", age, "who did what\n" * 100, "audit.log")
    assert not tend(place, clock=lambda: NOW).faults
    return sorted((tmp_path / "logs").iterdir())


def answer(*anchors: dict[str, Any], name: str | None = "audit") -> dict[str, Any]:
    check = {"id": "x", "title": "x", "probe": "log_seal", "anchors": list(anchors), **({"name": name} if name else {})}
    (result,) = run_checklist([check], deadline=60)["results"]
    return dict(result)


def ledger(place: Place) -> Path:
    return Path(place.state) / "audit.chain"


def anchor(place: Place, number: int) -> dict[str, Any]:
    record = ledger_of(place, place.policies.get("audit")).records[number - 1]
    return {"number": number, "digest": record.digest, "at": "2026-09-21T14:13:20Z"}


def sealed_anew(place: Place, change: Callable[[list[chain.Record]], list[chain.Record]]) -> None:
    """What somebody with root's rights does: another history, each record of it right."""
    records: list[chain.Record] = []
    for record in change(ledger_of(place, place.policies.get("audit")).records):
        end = chain.head(records)
        records.append(replace(record, number=end.number + 1, before=end.digest))
    ledger(place).write_text("".join(map(chain.render, records)))


def test_what_is_as_it_was_sealed_is_ok_and_its_head_is_shown(place: Place, sealed: list[Path]) -> None:
    result = answer()
    assert (result["status"], result["value"]) == ("ok", 0), result
    head = chain.head(ledger_of(place, place.policies.get("audit")).records)
    assert result["evidence"] == [f"head: {{number: 5, digest: '{head.digest}', at: '2026-09-21T14:13:20Z'}}"]
    assert "5 sealed files of audit" in result["message"] and "no anchor is given" in result["message"]
    # The evidence of one run is an anchor of the next.
    again = answer({"number": 5, "digest": head.digest, "at": "2026-09-21T14:13:20Z"})
    assert (
        again["status"] == "ok" and "anchored at record 5 of 2026-09-21 14:13:20 UTC; what root did" in again["message"]
    )


def _edit(place: Place, sealed: list[Path]) -> None:
    data = bytearray(sealed[1].read_bytes())
    data[-1] ^= 1
    status = sealed[1].stat()
    sealed[1].write_bytes(data)
    os.utime(sealed[1], ns=(status.st_atime_ns, status.st_mtime_ns))


def _cut_file(place: Place, sealed: list[Path]) -> None:
    os.truncate(sealed[1], 100)


def _remove(place: Place, sealed: list[Path]) -> None:
    sealed[1].unlink()


def _exchange(place: Place, sealed: list[Path]) -> None:
    beside = sealed[0].with_name("x")
    os.rename(sealed[0], beside)
    os.rename(sealed[1], sealed[0])
    os.rename(beside, sealed[1])


def _add(place: Place, sealed: list[Path]) -> None:
    Path(str(sealed[1]).replace("-178", "-177")).write_bytes(sealed[1].read_bytes())


def _link(place: Place, sealed: list[Path]) -> None:
    os.rename(sealed[1], sealed[1].parent.parent / "elsewhere")
    sealed[1].symlink_to(sealed[1].parent.parent / "elsewhere")


def _edit_record(place: Place, sealed: list[Path]) -> None:
    text = ledger(place).read_text()
    ledger(place).write_text(text.replace('"lines": 100', '"lines": 99', 1))


def _reorder_records(place: Place, sealed: list[Path]) -> None:
    lines = ledger(place).read_text().splitlines(keepends=True)
    ledger(place).write_text("".join([lines[1], lines[0], *lines[2:]]))


def _drop_record(place: Place, sealed: list[Path]) -> None:
    lines = ledger(place).read_text().splitlines(keepends=True)
    ledger(place).write_text("".join([*lines[:2], *lines[3:]]))
    sealed[2].unlink()


def _garble(place: Place, sealed: list[Path]) -> None:
    ledger(place).write_text("x\n" + ledger(place).read_text())


@pytest.mark.parametrize(
    ("tamper", "said"),
    [
        (_edit, "other bytes than were sealed"),
        (_cut_file, "has 100 bytes and had"),
        (_remove, "is gone, and no record says that it was removed"),
        (_exchange, "(record 1) has"),
        (_add, "is in no record"),
        (_link, "is gone"),
        (_edit_record, "record 1 ("),
        (_reorder_records, "records are missing or in disorder"),
        (_drop_record, "record 4 comes after record 2"),
        (_garble, "line 1 of the chain is no record"),
    ],
)
def test_tampering_is_found_without_an_anchor(
    place: Place, sealed: list[Path], tamper: Callable[[Place, list[Path]], None], said: str
) -> None:
    tamper(place, sealed)
    result = answer()
    assert result["status"] == "critical" and said in result["message"], result
    assert said in result["evidence"][0] and result["value"] >= 1


def _cut_tail(place: Place, sealed: list[Path]) -> None:
    lines = ledger(place).read_text().splitlines(keepends=True)
    ledger(place).write_text("".join(lines[:3]))
    for path in sealed[3:]:
        path.unlink()


def _seal_anew(place: Place, sealed: list[Path]) -> None:
    sealed_anew(place, lambda records: [record for record in records if record.number != 2])
    sealed[1].unlink()


def _forge(place: Place, sealed: list[Path]) -> None:
    sealed[1].write_bytes(b"another history")
    seen = packing.digest_of(str(sealed[1]))
    sealed_anew(
        place,
        lambda records: [
            replace(record, sha256=seen.sha256, size=seen.size) if record.number == 2 else record for record in records
        ],
    )


def _remove_all(place: Place, sealed: list[Path]) -> None:
    ledger(place).unlink()
    for path in sealed:
        path.unlink()


@pytest.mark.parametrize(
    ("tamper", "said"),
    [
        (_cut_tail, "its end was cut off"),
        (_seal_anew, "record 3 is another one than was known elsewhere"),
        (_forge, "the chain was written anew"),
        (_remove_all, "its end was cut off"),
    ],
)
def test_another_history_shows_by_an_anchor_alone(
    place: Place, sealed: list[Path], tamper: Callable[[Place, list[Path]], None], said: str
) -> None:
    anchors = [anchor(place, 3), anchor(place, 5)]
    tamper(place, sealed)
    assert answer()["status"] == "ok"
    result = answer(*anchors)
    assert result["status"] == "critical" and said in result["message"], result


def test_what_an_age_removes_is_no_fault(place: Place, sealed: list[Path]) -> None:
    anchors = anchor(place, 5)
    for _time in range(2):
        tend(place, clock=lambda: NOW + 362 * DAY)
    assert len(list(sealed[0].parent.iterdir())) == 3
    result = answer(anchors)
    assert result["status"] == "ok" and "3 sealed files" in result["message"] and "record 7" in result["message"]


def test_what_was_compressed_before_there_was_a_policy_is_no_fault(place: Place, sealed: list[Path]) -> None:
    for name in ("audit.log.1.zst", "audit.log.2.gz"):
        (sealed[0].parent / name).write_bytes(b"x")
    assert answer()["status"] == "ok"


def test_a_piece_that_a_kill_left_on_record_is_no_fault(
    place: Place, sealed: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = piece(tmp_path / "logs", 0.5, log="audit.log")
    with monkeypatch.context() as patched:
        patched.setattr(packing, "publish", lambda *_arguments: os._exit(9))
        child = os.fork()
        if child == 0:
            tend(place, clock=lambda: NOW)
            os._exit(0)
        os.waitpid(child, 0)
    assert len(ledger_of(place, place.policies.get("audit")).records) == 6 and path.exists()
    assert answer()["status"] == "ok"
    # What was made is not there either: then nobody has the lines as they were sealed.
    (tmp_path / "logs" / f".{path.name}.day2-packing").unlink()
    assert answer()["status"] == "critical"


def test_no_false_alarm_while_pieces_are_sealed_and_removed(place: Place, sealed: list[Path], tmp_path: Path) -> None:
    stop = threading.Event()

    def rotate() -> None:
        for number in itertools.count(1):
            piece(tmp_path / "logs", 1 - number / 1000, log="audit.log")
            # The second of two runs of another time removes all of the first five that are left.
            tend(place, clock=partial(float, NOW + 363 * DAY if number % 4 in (2, 3) else NOW))
            if stop.is_set():
                return

    thread = threading.Thread(target=rotate)
    thread.start()
    try:
        end = time.monotonic() + 5
        results = []
        while time.monotonic() < end:
            results.append(answer())
    finally:
        stop.set()
        thread.join()
    assert len(results) > 5 and {result["status"] for result in results} == {"ok"}, results[-1]
    assert len(ledger_of(place, place.policies.get("audit")).records) > 10


def test_what_is_not_sealed_or_not_there_is_unknown(place: Place, sealed: list[Path], tmp_path: Path) -> None:
    place.policies.save(Policy("shop", "application", (f"{tmp_path}/logs/shop",), DAY, 10))
    for name, said in (("shop", "only audit is sealed"), ("none", "there is no policy of a log 'none' on this host")):
        result = answer(name=name)
        assert result["status"] == "unknown" and said in result["message"], result


def test_without_a_name_all_sealed_logs_are_verified(
    place: Place, sealed: list[Path], tmp_path: Path, recipient: str
) -> None:
    place.policies.save(Policy("shop", "application", (f"{tmp_path}/logs/shop",), DAY, 10))
    place.policies.save(replace(place.policies.get("audit"), name="more", paths=(f"{tmp_path}/logs/*.txt",)))
    piece(tmp_path / "logs", log="more.txt")
    tend(place, clock=lambda: NOW)
    result = answer(name=None)
    assert result["status"] == "ok" and "5 sealed files of audit" in result["message"], result
    assert "1 sealed file of more" in result["message"] and "head of more: {number: 1" in result["evidence"][1]
    sealed[1].unlink()
    # Of one nobody knows, of the other something is wrong.
    Path(place.policies.path("more")).write_text("nonsense")
    result = answer(name=None)
    assert result["status"] == "critical" and f"audit: {sealed[1]} (record 2) is gone" in result["message"]
    assert "more.json cannot be read" in result["evidence"][0]
    assert answer(name="more")["status"] == "unknown"
    for name in ("audit", "more"):
        place.policies.remove(name)
    result = answer(name=None)
    assert result["status"] == "ok" and "no log of this host has a policy" in result["message"]
    with pytest.raises(CheckError, match="'name' says of which"):
        answer({"number": 1, "digest": "0" * 64, "at": 0}, name=None)


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        ({"number": 1}, "needs number, digest, at"),
        ({"number": "x", "digest": "0" * 64, "at": 0}, "no number of a record"),
        ({"number": 1, "digest": "abc", "at": 0}, "64 hexadecimal digits"),
        ({"number": 1, "digest": "0" * 64, "at": "yesterday"}, "is no time"),
        ({"number": 1, "digest": "0" * 64, "at": 1e300}, "is no time"),
    ],
)
def test_anchors_that_are_none_are_refused(entry: dict[str, Any], said: str) -> None:
    with pytest.raises(CheckError, match=f"'anchors'.*{said}"):
        answer(entry)


def test_a_chain_is_lines_of_json(place: Place, sealed: list[Path]) -> None:
    assert [json.loads(line)["number"] for line in ledger(place).read_text().splitlines()] == [1, 2, 3, 4, 5]
