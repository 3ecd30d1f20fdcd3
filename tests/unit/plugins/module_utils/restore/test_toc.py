# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which entries of an archive are restored when: event triggers hear of nothing, refreshes come after all else."""

from __future__ import annotations

import pytest
from ansible_collections.day2.ops.plugins.module_utils.restore.toc import USER_MAPPING, order, parse_listing

# As pg_restore 15 prints them.
LISTING = """;
; Archive created at 2026-11-30 07:49:03 UTC
;     dbname: hv
;
; Selected TOC Entries:
;
6; 2615 2200 SCHEMA - public postgres
7; 2615 16500 SCHEMA - DATA postgres
2; 3079 16401 EXTENSION - postgres_fdw
3; 1417 16402 SERVER - other postgres
4; 0 0 USER MAPPING - USER MAPPING clerk SERVER other postgres
220; 1255 16403 FUNCTION public heard() postgres
214; 1259 16404 TABLE public EVENT TRIGGER x postgres
3399; 0 0 COMMENT public TABLE "EVENT TRIGGER x" postgres
216; 1259 16406 MATERIALIZED VIEW DATA m postgres
217; 1259 16407 MATERIALIZED VIEW public DATA x postgres
3366; 0 16404 TABLE DATA public EVENT TRIGGER x postgres
3368; 0 16406 MATERIALIZED VIEW DATA DATA m postgres
3369; 0 16407 MATERIALIZED VIEW DATA public DATA x postgres
3400; 0 0 ACL public TABLE m postgres
3217; 3466 16410 EVENT TRIGGER - hears postgres
3401; 0 0 COMMENT - EVENT TRIGGER hears postgres
3402; 0 0 SECURITY LABEL - EVENT TRIGGER hears postgres
3218; 6104 16412 PUBLICATION - changes postgres
3403; 0 0 COMMENT - PUBLICATION changes postgres
3219; 6100 16413 SUBSCRIPTION - reads postgres
"""


def test_the_order() -> None:
    found = order(parse_listing(LISTING))
    assert [entry.number for entry in found.main] == [
        6, 7, 2, 3, 4, 220, 214, 3399, 216, 217, 3366, 3400, 3218, 3403, 3219,
    ]  # fmt: skip
    assert [(entry.number, entry.object_name) for entry in found.refreshes] == [
        (3368, "DATA.m"),
        (3369, "public.DATA x"),
    ]
    assert [entry.number for entry in found.triggers] == [3217, 3401, 3402] and not found.left_out


def test_a_drill_leaves_credentials_out_and_nothing_else() -> None:
    whole, drilled = order(parse_listing(LISTING)), order(parse_listing(LISTING), (USER_MAPPING,))
    assert [entry.number for entry in drilled.left_out] == [4]
    assert [*drilled.left_out, *drilled.main] != whole.main
    assert {entry.number for entry in whole.main} - {entry.number for entry in drilled.main} == {4}
    assert (drilled.refreshes, drilled.triggers) == (whole.refreshes, whole.triggers)


@pytest.mark.parametrize("text", ["", ";", "; 12; 0 0 EVENT TRIGGER - x postgres", "no entry", "12; x"])
def test_lines_that_are_no_entries(text: str) -> None:
    assert parse_listing(text) == []
