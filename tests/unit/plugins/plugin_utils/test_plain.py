# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import date, datetime, time, timezone
from typing import Any

import pytest
from ansible.parsing.dataloader import DataLoader
from ansible_collections.day2.ops.plugins.action.checklist import as_list, part_secrets
from ansible_collections.day2.ops.plugins.module_utils.errors import CheckError
from ansible_collections.day2.ops.plugins.module_utils.probes.runner import run_checklist
from ansible_collections.day2.ops.plugins.plugin_utils.plain import plain


class Vaulted(Sequence):  # type: ignore[type-arg]
    """As ansible-core before 2.19 represents a vaulted text: a sequence, and no str."""

    __ENCRYPTED__ = True

    def __len__(self) -> int:
        return len("opened")

    def __getitem__(self, place: Any) -> str:
        return "opened"[place]

    def __str__(self) -> str:
        return "opened"


class Text(str):
    pass


@pytest.mark.parametrize(
    ("value", "made"),
    [
        (date(2026, 1, 31), "2026-01-31"),
        (datetime(2026, 1, 31, 4, 5), "2026-01-31T04:05:00"),
        (datetime(2026, 1, 31, 4, 5, tzinfo=timezone.utc), "2026-01-31T04:05:00+00:00"),
        (time(4, 5), "04:05:00"),
        (b"caf\xc3\xa9", "caf\u00e9"),
        (b"\xff", "\ufffd"),
        ({"b", "a"}, ["a", "b"]),
        (frozenset({1}), [1]),
        (("a", date(2026, 1, 31)), ["a", "2026-01-31"]),
        (Vaulted(), "opened"),
        ({"x": Vaulted()}, {"x": "opened"}),
        (10**400, 10**400),
        (float("inf"), "inf"),
        (float("nan"), "nan"),
        ({None: 1, True: 2, 3: 4, date(2026, 1, 31): 5}, {"null": 1, "true": 2, "3": 4, "2026-01-31": 5}),
        (Text("a"), "a"),
        (1.5, 1.5),
        (None, None),
        (True, True),
        (object, "<class 'object'>"),
    ],
)
def test_everything_becomes_what_json_can_carry(value: Any, made: Any) -> None:
    found = plain([value])
    assert found == [made] and type(found[0]) in (str, int, float, bool, type(None), list, dict)
    assert json.loads(json.dumps(found)) == [made]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{id: a, title: A, probe: attestaton, done_on: 2026-01-31}", "did you mean 'attestation'"),
        ("{id: a, title: A, probe: attestaton, done_on: 2026-01-31 04:05:06}", "did you mean 'attestation'"),
        ("{id: a, title: A, probe: attestation, done_onn: 2026-01-31}", "did you mean 'done_on'"),
        ("{id: a, title: A, probe: disc, path: !!set {a, b}}", "did you mean 'disk'"),
        ("{id: a, title: A, probe: disc, path: !!binary aGVsbG8=}", "did you mean 'disk'"),
        ("{id: a, title: A, probe: disk, path: /, ~: 1}", "field 'null': is no argument"),
        ("{id: a, title: A, probe: disk, path: /, on: 1}", "field 'true': is no argument"),
        ("{id: a, title: A, probe: disk, path: /, 2026-01-31: 1}", "field '2026-01-31': is no argument"),
        ("{id: a, title: A, probe: disk, pth: " + "9" * 400 + "}", "did you mean 'path'"),
        ("{id: a, title: A, probe: disk, path: /, timeout: " + "9" * 400 + "}", "too large"),
        ("{id: a, title: A, probe: disk, path: /, timeout: .inf}", "field 'timeout'"),
        ("{id: a, title: A, probe: log, path: /x, since: 1e999}", "too large"),
        ("{id: 2026-01-31, title: A, probe: disk, pth: /}", "did you mean 'path'"),
        ("{id: a, title: 2026-01-31, probe: 2026-01-31, path: /}", "'2026-01-31' is unknown"),
    ],
)
def test_misspelt_checks_of_every_kind_of_value_are_refused_in_words(text: str, words: str) -> None:
    shown, secrets = part_secrets(plain([DataLoader().load(text)]))
    sent = json.loads(json.dumps([shown, {str(place): fields for place, fields in secrets.items()}]))
    with pytest.raises(CheckError, match=words):
        run_checklist(sent[0], secrets={int(place): fields for place, fields in sent[1].items()})


def test_checks_that_came_as_text() -> None:
    assert as_list('[{"id": "a"}]') == as_list("[{id: a}]") == [{"id": "a"}]
    for text in ("", "password=hunter22", "{id: a", "just words", "{id: a}"):
        with pytest.raises(CheckError, match="check 1 is empty"):
            run_checklist(as_list(text))


def test_an_entry_that_is_no_check_is_not_shown() -> None:
    for entry in ("password-hunter22", ["hunter22"], 22, None, True):
        with pytest.raises(CheckError, match="not a mapping") as caught:
            run_checklist([entry])
        assert "hunter22" not in str(caught.value)


def test_a_refusal_masks_what_has_the_shape_of_a_secret() -> None:
    check = {"id": "a", "title": "A", "probe": "http", "url": "ftp://app:hunter22@host/"}
    with pytest.raises(CheckError) as caught:
        run_checklist([check])
    assert "hunter22" not in str(caught.value)
