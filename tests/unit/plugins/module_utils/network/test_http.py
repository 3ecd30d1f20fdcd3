# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""HTTP against real servers on loopback that send exactly the bytes of a case."""

from __future__ import annotations

import gzip
import zlib

import pytest
from ansible_collections.day2.ops.plugins.module_utils.errors import CheckError, Undetermined
from ansible_collections.day2.ops.plugins.module_utils.network import body as bodies
from ansible_collections.day2.ops.plugins.module_utils.network.body import text_of
from raw_http import Server, observe, page


def chunked(*pieces: bytes, end: bool = True) -> bytes:
    body = b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in pieces) + (b"0\r\n\r\n" if end else b"")
    return page(body, "200 OK", "Transfer-Encoding: chunked", length=-1)


TEXT = b"status: ready\n" * 100
# The time of packing would be in the names of tests, which two processes have to agree on.
PACKED = gzip.compress(TEXT, mtime=0)


def packed(coding: str, data: bytes) -> bytes:
    return page(data, "200 OK", f"Content-Encoding: {coding}")


@pytest.mark.parametrize("metric", ["latency", "status", "size"])
@pytest.mark.parametrize(
    ("answer", "words"),
    {
        "length": (page(b"7 bytes", length=1000), "cut: 7 of 1000 bytes"),
        "no byte": (page(b"", length=1000), "cut: 0 of 1000 bytes"),
        "chunk": (page(b"ff\r\nabc", "200 OK", "Transfer-Encoding: chunked", length=-1), "before its last chunk"),
        "no last chunk": (chunked(b"abc", end=False), "before its last chunk"),
        "gzip": (packed("gzip", PACKED[:-20]), "cut: its gzip stream does not end"),
        "gzip's checksum": (packed("gzip", PACKED[:-8] + b"\0" * 8), "damaged"),
        "no gzip": (packed("gzip", TEXT), "damaged: it is not what Content-Encoding says (gzip)"),
        "error": (page(b"7 bytes", "404 Not Found", length=1000), "cut: 7 of 1000"),
    }.values(),
)
def test_a_body_that_is_not_whole_is_critical(server: Server, answer: bytes, words: str, metric: str) -> None:
    server.pages["/"] = answer
    seen = observe(server.url, metric=metric)
    assert seen.failure is not None and words in seen.failure, seen


def raw_deflate(data: bytes) -> bytes:
    packer = zlib.compressobj(wbits=-15)
    return packer.compress(data) + packer.flush()


@pytest.mark.parametrize(
    "answer",
    {
        "plain": page(TEXT),
        "gzip": packed("gzip", PACKED),
        "x-gzip": packed("X-GZip", PACKED),
        "members": packed("gzip", gzip.compress(TEXT[:20], mtime=0) + gzip.compress(TEXT[20:], mtime=0)),
        "padding": packed("gzip", PACKED + b"\0" * 100),
        "deflate": packed("deflate", zlib.compress(TEXT)),
        "bare deflate": packed("deflate", raw_deflate(TEXT)),
        "twice": packed("deflate, gzip", gzip.compress(zlib.compress(TEXT), mtime=0)),
        "identity": packed("identity", TEXT),
        "chunked": chunked(TEXT[:3], TEXT[3:]),
        "until the end": page(TEXT, length=-1),
        "chunked gzip": page(
            b"".join(b"1\r\n%c\r\n" % byte for byte in PACKED) + b"0\r\n\r\n",
            "200 OK", "Transfer-Encoding: chunked", "Content-Encoding: gzip", length=-1,
        ),
    }.values(),
)  # fmt: skip
def test_bodies_are_decoded(server: Server, answer: bytes) -> None:
    server.pages["/"] = answer
    assert observe(server.url, body=r"\A(status: ready\n){100}\Z").failure is None
    assert observe(server.url, metric="size").value == len(TEXT)


@pytest.mark.parametrize("coding", ["br", "zstd", "compress", "gzip, br", "gzip, gzip, gzip, gzip"])
def test_a_coding_that_cannot_be_undone_is_named(server: Server, coding: str) -> None:
    server.pages["/"] = packed(coding, b"\x8b\x00packed")
    with pytest.raises(Undetermined, match=f"encoded with .*{coding.rpartition(' ')[2]}"):
        observe(server.url, body="ready")
    with pytest.raises(Undetermined, match="encoded with"):
        observe(server.url, query="a")
    seen = observe(server.url, metric="size")
    assert seen.value == 8 and "as it came" in seen.text
    assert observe(server.url, metric="status").value == 200


@pytest.mark.parametrize("status", ["204 No Content", "304 Not Modified"])
def test_no_body_is_no_damaged_one(server: Server, status: str) -> None:
    server.pages["/"] = page(b"", status, "Content-Encoding: gzip")
    assert observe(server.url).failure is None
    server.pages["/"] = page(b"", "200 OK", "Content-Encoding: gzip", length=1000)
    assert observe(server.url, method="HEAD").failure is None


def test_a_large_body_is_counted_whole(server: Server) -> None:
    size = 40 << 20
    server.pages["/"] = page(b"x" * (size - 4) + b"last")
    seen = observe(server.url, metric="size")
    assert seen.value == size and "40.0 MiB" in seen.text
    assert observe(server.url, body="^x").failure is None
    with pytest.raises(Undetermined, match=r"first 16.0 MiB .* do not match 'last'"):
        observe(server.url, body="last")
    with pytest.raises(Undetermined, match=r"more than the 16.0 MiB that are read as JSON"):
        observe(server.url, query="a")


def test_what_does_not_end_is_not_measured(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bodies, "MOST", 1 << 20)
    bomb = gzip.compress(b"\0" * (64 << 20), mtime=0)
    assert len(bomb) < 1 << 18
    server.pages.update({"/bomb": packed("gzip", bomb), "/long": page(b"x" * (2 << 20))})
    for path in ("/bomb", "/long"):
        with pytest.raises(Undetermined, match=r"sends more than 1.1 MiB"):
            observe(server.url + path, metric="size", critical="> 20MB")
        assert observe(server.url + path).failure is None


@pytest.mark.parametrize(
    ("content_type", "data", "text", "trouble"),
    [
        ("text/html", "grün".encode(), "grün", None),
        ("text/html; charset=ISO-8859-1", "grün".encode("latin-1"), "grün", None),
        ('text/html; Charset="windows-1252"', b"\x80", "€", None),
        ("text/html", "grün".encode("latin-1"), "gr\ufffdn", "not valid UTF-8 (byte 0xfc at 2)"),
        ("text/html; charset=utf-8", b"\xff", "\ufffd", "not valid UTF-8"),
        ("text/html; charset=klingon", b"ok", "ok", "charset 'klingon' is unknown"),
        ("text/html; charset=hex", b"ok", "ok", "charset 'hex' is unknown"),
        ("text/html; charset=idna", b"ok", "ok", "charset 'idna' is unknown"),
        ("text/html; charset=us-ascii", "ü".encode(), "\ufffd\ufffd", "not valid US-ASCII"),
        ("text/html; charset=latin-1", b"\xef\xbb\xbfok", "ok", None),
        ("", "ok".encode("utf-16"), "ok", None),
        ("text/html; charset=utf-16", b"\x00", "\ufffd", "not valid UTF-16"),
        ("text/html; charset=", b"ok", "ok", None),
    ],
)
def test_characters(content_type: str, data: bytes, text: str, trouble: str | None) -> None:
    found, said = text_of(data, content_type)
    assert found == text
    assert said is None if trouble is None else trouble in (said or "")


def test_characters_that_cannot_be_read_are_said(server: Server) -> None:
    server.pages["/"] = page("grün".encode("latin-1"))
    assert "(it is not valid UTF-8 (byte 0xfc at 2))" in (observe(server.url, body="grün").failure or "")
    server.pages["/"] = page(
        '{"a": "grün"}'.encode("latin-1"), "200 OK", "Content-Type: application/json;charset=latin1"
    )
    assert observe(server.url, query="a").value == "grün"
    server.pages["/"] = page('\ufeff{"a": "grün"}'.encode())
    assert observe(server.url, query="a").value == "grün"
    # The cut of a text that is too long for evidence is no fault of its characters.
    server.pages["/"] = page(b"x" + "ü".encode() * 4000, "500 Oops")
    assert "not valid" not in observe(server.url).evidence[-1]


@pytest.mark.parametrize(
    ("path", "asked"),
    [
        ("/grün", "/gr%C3%BCn"),
        ("/a%20b", "/a%20b"),
        ("/x?q=ä&r=%2F", "/x?q=%C3%A4&r=%2F"),
        ("?q", "/?q"),
        ("/a#part", "/a"),
        ("/{id}|^", "/%7Bid%7D%7C%5E"),
    ],
)
def test_addresses_go_as_ascii(server: Server, path: str, asked: str) -> None:
    server.pages[asked] = page(b"ok")
    assert observe(server.url + path, metric="status").value == 200
    server.pages["/from"] = b"HTTP/1.1 302 Found\r\nLocation: " + path.encode() + b"\r\nContent-Length: 0\r\n\r\n"
    if path.startswith("/"):
        assert observe(server.url + "/from", metric="status").value == 200


@pytest.mark.parametrize(
    "answer", [b"", b"SSH-2.0-OpenSSH_9.2\r\n", b"HTTP/1.1 banana\r\n\r\n", b"\x15\x03\x01\x00\x02\x02\x50"]
)
def test_what_is_not_http_is_critical(server: Server, answer: bytes) -> None:
    server.pages["/"] = answer
    seen = observe(server.url)
    assert seen.failure is not None and "codec" not in seen.failure and "Errno" not in seen.failure, seen


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("http://bücher..example/", "cannot be a name in DNS"),
        (f"http://{'ü' * 70}.example/", "cannot be a name in DNS"),
        ("http://a..example/", "cannot be a name in DNS"),
        ("ftp://x/", "is no http:// or https:// address"),
        ("http://", "names no host"),
        ("http:///x", "names no host"),
        ("http://h:port/", "cannot be read"),
        ("http://h:70000/", "cannot be read"),
        ("http://a b/", "blank"),
    ],
)
def test_addresses_that_are_none_are_refused(url: str, words: str) -> None:
    with pytest.raises(CheckError, match=words):
        observe(url)


@pytest.mark.parametrize("headers", [{"X-Key": "a\r\nb: c"}, {"X Key": "a"}, {"X-Kéy": "a"}, {"X-Key:": "a"}])
def test_headers_that_are_none_are_refused_without_their_value(headers: dict[str, str]) -> None:
    with pytest.raises(CheckError) as caught:
        observe("http://127.0.0.1:1/", headers=headers)
    assert "b: c" not in str(caught.value)


def test_a_header_of_any_characters_is_sent(server: Server) -> None:
    server.pages["/"] = page(b"ok")
    assert observe(server.url, headers={"X-Key": "schlüssel €"}).failure is None
    assert server.asked[0][1]["x-key"] == "schlüssel €"


def test_a_name_of_another_script_is_asked_as_dns_has_it() -> None:
    seen = observe("http://bücher.invalid/", metric="status")
    assert seen.failure is not None and "xn--bcher-kva.invalid" in seen.failure and "resolve" in seen.failure
