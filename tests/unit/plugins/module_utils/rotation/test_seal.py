# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What tampering shows, and what shows it: the chain alone, or a head that left the host earlier."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace

import pytest
from ansible_collections.day2.ops.plugins.module_utils.rotation.chain import (
    REMOVED,
    SEALED,
    Head,
    Record,
    Seen,
    check,
    compare,
    head,
    link,
    parse,
    render,
)

Disk = dict[str, Seen]
Case = tuple[list[Record], Disk]


def sealed(number: int = 8) -> Case:
    records: list[Record] = []
    disk: Disk = {}
    for place in range(number):
        path, seen = (
            f"/var/log/audit/a.log-2026112{place}-17645270{place:02d}.zst.age",
            Seen(100 + place, f"{place:064x}"),
        )
        records.append(link(records, SEALED, 1000.0 + place, path=path, sha256=seen.sha256, size=seen.size, lines=7,
                            plain_size=700, rotated=900.0 + place))  # fmt: skip
        disk[path] = seen
    return records, disk


def rewritten(records: list[Record]) -> list[Record]:
    """As somebody writes it anew who knows how: every link fits."""
    made: list[Record] = []
    for record in records:
        before = head(made)
        made.append(replace(record, number=before.number + 1, before=before.digest))
    return made


def edit_file(records: list[Record], disk: Disk) -> Case:
    path = records[3].path
    return records, {**disk, path: replace(disk[path], sha256="f" * 64)}


def shorten_file(records: list[Record], disk: Disk) -> Case:
    path = records[3].path
    return records, {**disk, path: replace(disk[path], size=1)}


def remove_file(records: list[Record], disk: Disk) -> Case:
    return records, {path: seen for path, seen in disk.items() if path != records[3].path}


def add_file(records: list[Record], disk: Disk) -> Case:
    return records, {**disk, "/var/log/audit/a.log-20261101-1764000000.zst.age": Seen(1, "e" * 64)}


def exchange_files(records: list[Record], disk: Disk) -> Case:
    one, two = records[2].path, records[5].path
    return records, {**disk, one: disk[two], two: disk[one]}


def remove_record(records: list[Record], disk: Disk) -> Case:
    return records[:3] + records[4:], disk


def exchange_records(records: list[Record], disk: Disk) -> Case:
    return [*records[:3], records[4], records[3], *records[5:]], disk


def edit_record(records: list[Record], disk: Disk) -> Case:
    return [*records[:3], replace(records[3], lines=6), *records[4:]], disk


def forget(records: list[Record], disk: Disk) -> Case:
    """A file and its record, and the chain written anew so that it fits."""
    path = records[3].path
    kept = [record for record in records if record.path != path]
    return rewritten(kept), {name: seen for name, seen in disk.items() if name != path}


def forge(records: list[Record], disk: Disk) -> Case:
    """Another content, and the chain written anew so that it fits."""
    path, made = records[3].path, Seen(50, "d" * 64)
    new = [replace(record, sha256=made.sha256, size=made.size) if record.path == path else record for record in records]
    return rewritten(new), {**disk, path: made}


def cut_end(records: list[Record], disk: Disk) -> Case:
    gone = records[-1].path
    return records[:-1], {path: seen for path, seen in disk.items() if path != gone}


def cut_all(_records: list[Record], _disk: Disk) -> Case:
    return [], {}


Tamper = Callable[[list[Record], Disk], Case]


def faults(case: Case, anchors: list[Head]) -> list[str]:
    """As from the disk: rendered, and read again."""
    records, found, _whole = parse("".join(render(record) for record in case[0]))
    return [*found, *check(records, case[1]), *compare(records, anchors)]


@pytest.mark.parametrize(
    ("tamper", "said"),
    [(edit_file, "has other bytes than were sealed"), (shorten_file, "has 1 bytes and had 103"),
     (remove_file, "is gone, and no record says"), (add_file, "is in no record"),
     (exchange_files, "has 105 bytes and had 102"), (remove_record, "records are missing or in disorder"),
     (exchange_records, "records are missing or in disorder"), (edit_record, "does not follow from record 4")],
)  # fmt: skip
def test_the_chain_shows_it_alone(tamper: Tamper, said: str) -> None:
    found = faults(tamper(*sealed()), [])
    assert any(said in fault for fault in found), found


@pytest.mark.parametrize("tamper", [forget, forge, cut_end, cut_all])
@pytest.mark.parametrize("known", [8, 6])
def test_what_was_written_anew_shows_by_a_head_elsewhere(tamper: Tamper, known: int) -> None:
    records, disk = sealed()
    elsewhere = head(records[:known])
    # Without it nothing is wrong, and nothing else is claimed.
    assert faults(tamper(records, disk), []) == []
    found = faults(tamper(records, disk), [elsewhere])
    # What was cut after the newest head elsewhere shows nowhere.
    assert bool(found) is not (tamper is cut_end and known == 6), found


def test_a_record_whose_line_was_edited_is_named() -> None:
    records, _disk = sealed()
    text = "".join(render(record) for record in records).replace('"lines": 7', '"lines": 5', 1)
    _records, found, _whole = parse(text)
    assert found[0] == f"record 1 ({records[0].path}) was edited"


@pytest.mark.parametrize("line", ["nonsense", "[]", "{}", '{"number": 1}', "null", "\x00"])
def test_a_line_that_is_no_record_is_a_fault(line: str) -> None:
    records, _disk = sealed(2)
    _records, found, _whole = parse(render(records[0]) + line + "\n" + render(records[1]))
    assert "line 2 of the chain is no record" in found


@pytest.mark.parametrize(("field", "value"), [("number", "1"), ("number", None), ("path", 7), ("at", "today")])
def test_a_record_with_another_kind_of_value_is_a_fault(field: str, value: object) -> None:
    records, _disk = sealed(2)
    edited = json.dumps({**json.loads(render(records[0])), field: value}) + "\n"
    _records, found, _whole = parse(edited + render(records[1]))
    assert "line 1 of the chain is no record" in found


def test_a_hundred_rotations_and_removals_raise_no_alarm() -> None:
    records: list[Record] = []
    disk: Disk = {}
    anchors = [head(records)]
    for place in range(100):
        about = {"path": f"/l/a.log-20260101-{1764527000 + place}.zst.age", "sha256": f"{place:064x}", "size": place,
                 "lines": place, "plain_size": place, "rotated": float(place)}  # fmt: skip
        records.append(link(records, SEALED, float(place), **about))
        disk[str(about["path"])] = Seen(place, f"{place:064x}")
        if place >= 30:
            old = next(record for record in records if record.action == SEALED and record.path in disk)
            same = {name: getattr(old, name) for name in ("path", "sha256", "size", "lines", "plain_size", "rotated")}
            records.append(link(records, REMOVED, float(place), why="older than 30 d", **same))
            # A kill between the record and the removal, now and then.
            if place % 7:
                del disk[old.path]
        anchors.append(head(records))
        assert faults((records, disk), anchors) == []
        disk = {path: seen for path, seen in disk.items() if path not in
                {record.path for record in records if record.action == REMOVED}}  # fmt: skip


def test_what_is_written_is_one_line_of_json() -> None:
    records, _disk = sealed(1)
    text = render(replace(records[0], path="/l/new\nline \udcff.zst.age"))
    assert text.count("\n") == 1 and json.loads(text)["path"] == "/l/new\nline \udcff.zst.age"
