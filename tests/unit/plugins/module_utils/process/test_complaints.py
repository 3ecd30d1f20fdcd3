# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is quoted of programs' standard error: outputs of real programs, and the words that must not be lost."""

from __future__ import annotations

import pytest
from ansible_collections.day2.ops.plugins.module_utils.process.complaints import Complaints

DUMP = r"""pg_dump: error: query failed: ERROR:  permission denied for table secrets
pg_dump: detail: Query was: LOCK TABLE public.a, public.secrets IN ACCESS SHARE MODE
"""
COPY = """pg_dump: error: Dumping the contents of table "t" failed: PQgetResult() failed.
pg_dump: detail: Error message from server: ERROR:  invalid page in block 7 of relation base/16384/16391
CONTEXT:  parallel worker
HINT:  some hint
pg_dump: detail: Command was: COPY public.t (id) TO stdout;
"""
RESTORE = r"""pg_restore: while PROCESSING TOC:
pg_restore: from TOC entry 215; 1259 16400 VIEW totals app
pg_restore: error: could not execute query: ERROR:  function twice(integer) does not exist
LINE 2:  SELECT twice(a) FROM t;
                ^
HINT:  No function matches the given name and argument types. You might need to add explicit type casts.
QUERY:  SELECT twice(a)
CONTEXT:  SQL function "sum_of" during inlining
Command was: CREATE VIEW public.totals AS
 SELECT public.twice(a) FROM public.t;
pg_restore: warning: errors ignored on restore: 1
"""
GERMAN = """pg_dump: Fehler: error: Anfrage fehlgeschlagen: FEHLER:  keine Berechtigung
TIP:  eins
KONTEXT:  zwei
KONTEXT:  drei
"""
FATAL = """pg_dumpall: error: connection to server on socket "/run/.s.PGSQL.5432" failed: FATAL:  too many connections
a
b
c
"""
AGE = """age: error: failed to read header: parsing age header: unexpected intro
age: report unexpected or unhelpful errors at https://filippo.io/age/report
"""
ZSTD = "zstd: error 70 : Write error : cannot write block : No space left on device\na\nb\nc\n"
TAR = """tar: /etc/shadow: Cannot open: Permission denied
tar: Error is not recoverable: exiting now
a
b
c
"""


@pytest.mark.parametrize(
    ("said", "kept", "dropped"),
    [
        (DUMP, ["permission denied for table secrets", "LOCK TABLE"], []),
        (COPY, ['contents of table "t" failed', "invalid page in block 7", "Command was"], []),
        (RESTORE, ["TOC entry 215; 1259 16400 VIEW totals app", "function twice(integer) does not exist",
                   "errors ignored on restore: 1"], ["while PROCESSING", "QUERY:"]),
        (GERMAN, ["FEHLER:  keine Berechtigung", "drei"], []),
        (FATAL, ["FATAL:  too many connections", "a / b / c"], []),
        (AGE, ["failed to read header"], []),
        (ZSTD, ["No space left on device", "a / b / c"], []),
        (TAR, ["Error is not recoverable"], []),
        ("one\ntwo\nthree\nfour\n", ["two / three / four"], ["one"]),
        ("no newline: error: at all", ["no newline: error: at all"], []),
        ("warning: errors ignored: 0\n1\n2\n3\n4", ["2 / 3 / 4"], ["ignored"]),
        ("", [], []),
        ("ERROR:  first\nCONTEXT:  " + "x" * 20_000 + "\nDETAIL:  end\n", ["ERROR:  first", "DETAIL:  end"], []),
        ("ERROR:  " + "y" * 20_000 + "\nend\n", ["ERROR:  yyy", "end"], ["y" * 1000]),
        ("x" * 100_000 + "error: too late in a line\nend\n", ["end"], ["x" * 1000]),
        (b"\xff\xfe ERROR:  bytes\n1\n2\n3\n", ["ERROR:  bytes"], []),
    ],
)  # fmt: skip
@pytest.mark.parametrize("size", [1, 7, 100_000])
def test_the_first_error_and_the_end_are_kept(
    said: str | bytes, kept: list[str], dropped: list[str], size: int
) -> None:
    content = said.encode() if isinstance(said, str) else said
    complaints = Complaints()
    for place in range(0, len(content), size):
        complaints.add(content[place : place + size])
    text = complaints.text()
    assert [words for words in kept if words not in text] == [], text
    assert [words for words in dropped if words in text] == [], text
    assert "\n" not in text and (kept or text == "")


def test_an_error_is_quoted_once() -> None:
    complaints = Complaints()
    complaints.add(b"psql: error: no such file\n")
    assert complaints.text() == "psql: error: no such file"
