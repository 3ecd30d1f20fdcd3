# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest
from ansible_collections.day2.ops.plugins.module_utils.logs.collect import Messages, Values
from ansible_collections.day2.ops.plugins.module_utils.logs.messages import message_of
from hypothesis import given
from hypothesis import strategies as st


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (
            b"2026-11-21 05:17:33,123 ERROR [worker-3] connection to 10.0.0.7:5432 failed after 31 ms",
            "ERROR [worker-<n>] connection to <ip> failed after <n> ms",
        ),
        (b"2026-11-21T05:17:33.5+01:00 ERROR took 1.5 s", "ERROR took <n> s"),
        (b"[2026-11-21 05:17:33 +0000] [7] [ERROR] x", "[<n>] [ERROR] x"),
        (b"Nov  1 05:17:33 host app[12]: job 3 ended at 05:17:33", "host app[<n>]: job <n> ended at <time>"),
        (b"[Sat Nov 21 05:17:33.123 2026] [core:error] [pid 7] x", "[core:error] [pid <n>] x"),
        (b"1767348000.123 reply 12", "reply <n>"),
        (b"2026-11-30  4:06:54 0 [ERROR] page 5 corrupt", "<n> [ERROR] page <n> corrupt"),
        (b'2026/11/21 05:17:33 [error] 7#7: *5 open() "/a/b" failed', "[error] <n>#<n>: *<n> open() <quoted> failed"),
        (b"E1121 05:17:33.123456    7 server.go:12] x", "<n> server.go:<n>] x"),
        (b"order 550e8400-e29b-41d4-a716-446655440000 at 2026-11-21 05:17:33 lost", "order <uuid> at <time> lost"),
        (b"blob deadbeef01 at 0x7ffe12 of session x7Kp2Qz9", "blob <id> at <id> of session <id>"),
        (b"peers fe80::1, 2001:db8:0:0:0:0:0:5 and [::1]:5432", "peers <ip>, <ip> and <ip>"),
        (b"std::string DB::Exception facade decade", "std::string DB::Exception facade decade"),
        (b"can't open 'a b', don't ask", "can't open <quoted>, don't ask"),
        (b'relation "users" does not exist', "relation <quoted> does not exist"),
        (b'level=error msg="no \\"route\\" 7" peer="a b"', 'level=error msg="no \\"route\\" <n>" peer=<quoted>'),
        (
            b'10.0.0.1 - - [02/Jan/2026:10:00:00 +0000] "GET /a/12 HTTP/1.1" 500 12 "-" "curl/7"',
            '<ip> - - [<time>] "GET /a/<n> HTTP/<n>" <n> <n> <quoted> <quoted>',
        ),
        (b'{"time":"2026-11-21T05:17:33Z","level":"error","msg":"order 5 failed","id":"q"}', "error order <n> failed"),
        (b'{"broken": "json', '{"broken": "json'),
        (b"padded    to   5", "padded to <n>"),
        (b"", ""),
    ],
)
def test_what_differs_is_folded(line: bytes, message: str) -> None:
    assert message_of(line).decode() == message


@given(st.binary(max_size=700))
def test_whatever_a_line_holds_has_a_message(line: bytes) -> None:
    assert not any(49 <= byte <= 57 for byte in message_of(line))


def grouped(*lines: bytes) -> list[str]:
    messages = Messages()
    for line in lines:
        messages.add(line)
    return messages.evidence()


def test_messages_come_most_frequent_first() -> None:
    lines = [b"order %d failed" % number for number in range(12)] + [b"disk full", b"disk full", b"bye"]
    assert grouped(*lines) == ["12 × order <n> failed", " 2 × disk full", " 1 × bye"]


def test_many_messages_end_with_the_others() -> None:
    letters = "abcdefghijklmnopqrstuvwxyz"
    evidence = grouped(*[f"message {letter}".encode() for letter in letters])
    assert (len(evidence), evidence[0], evidence[-1]) == (20, "1 × message a", "7 × other messages")
    long = grouped(*[(f"{letter} " + "word " * 200).encode() for letter in letters[:20]])
    assert len(long) == 20 and sum(len(line.encode()) for line in long) <= 4096


def test_a_secret_does_not_escape_by_being_folded() -> None:
    key = b"AKIA1234567890ABCDEF"
    assert grouped(b"login with " + key + b" failed") == ["1 × login with ******** failed"]
    assert "hunter" not in grouped(b"password=hunter22 refused")[0]


def shares(pattern: str, *lines: bytes) -> list[str]:
    values = Values(pattern)
    for line in lines:
        values.add(line)
    return values.evidence()


def test_values_of_a_capture_group() -> None:
    assert shares("from (\\S+)", b"from a", b"x from b", b"from a") == ["2 × a", "1 × b"]
    # The group that took part counts; as text where the expression is no bytes expression.
    assert shares("^(a)|(b)$", b"a", b"xb", b"b") == ["2 × b", "1 × a"]
    assert shares("ü(.)", "üé".encode(), "üé".encode(), b"\xff\xc3\xbcx") == ["2 × é", "1 × x"]
    assert shares("from(.*)", b"from\xff\x00") == ["1 × \\xff\x00"]
    assert len(shares("(.*)", *[b"%d" % number for number in range(50)])) == 10


def test_a_captured_secret_is_masked() -> None:
    assert shares("token=(\\w+)", b"token=abcdef123 x") == ["1 × ********"]
    assert shares("key (\\w+)", b"key AKIA1234567890ABCDEF x") == ["1 × ********"]
    assert shares("user=(\\w+)", b"user=bob token=abcdef") == ["1 × bob"]
