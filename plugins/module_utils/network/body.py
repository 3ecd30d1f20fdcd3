# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The body of an HTTP answer: read to its end, decoded and counted piece by piece; only its beginning is kept.

Content codings: RFC 9110, section 8.4 (gzip and x-gzip are RFC 1952, deflate is RFC 1950, of which some servers send
the bare RFC 1951 stream). A coding that is not known here leaves the bytes as they are, and says so.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

KEPT = 16 << 20
# Decoded bytes after which reading ends: an endless stream, or a small body that unpacks into a huge one.
MOST = 1 << 30
_PIECE = 1 << 16
_MOST_CODINGS = 3
_GZIP = b"\x1f\x8b"


class BodyError(ValueError):
    """A body that is not what its own headers promise."""


@dataclass
class Body:
    """`kept` are the first KEPT bytes, `size` counts all of them. `fault` says why the body is not whole.

    `opaque` names a coding that cannot be decoded here: then kept and size are of the encoded bytes.
    `endless` is set where reading stopped at MOST.
    """

    kept: bytes = b""
    size: int = 0
    fault: str | None = None
    opaque: str | None = None
    endless: bool = False


def read_body(response: Any) -> Body:
    """Read an `http.client.HTTPResponse`. A connection that breaks off is a fault, and OSError stays OSError."""
    from http.client import IncompleteRead

    body = Body()
    codings = content_codings(response.headers.get_all("Content-Encoding") or ())
    decode, body.opaque = _decoder(codings)
    kept = bytearray()
    received = 0
    announced = response.length
    try:
        while not body.endless:
            piece = response.read(_PIECE)
            if not piece:
                break
            received += len(piece)
            body.endless = _take(decode.pieces(piece), body, kept)
        if response.length and not body.endless:
            # http.client says so itself only where it is asked for everything at once.
            body.fault = _cut(received, announced)
        elif received and not body.endless:
            decode.finish()
    except IncompleteRead as exc:
        # What came of a cut chunk is lost here, so of a chunked body no figure is given.
        body.fault = _cut(received + len(exc.partial), announced)
    except BodyError as exc:
        body.fault = str(exc)
    body.kept = bytes(kept)
    return body


def _cut(received: int, announced: int | None) -> str:
    if announced is None:
        return "the body is cut: the connection was closed before its last chunk came"
    return f"the body is cut: {received} of {announced} bytes came before the connection was closed"


def _take(pieces: Any, body: Body, kept: bytearray) -> bool:
    """Count and keep decoded pieces; whether that was more than is read."""
    for piece in pieces:
        body.size += len(piece)
        kept += piece[: max(0, KEPT - len(kept))]
        if body.size > MOST:
            return True
    return False


def content_codings(values: Any) -> list[str]:
    """The codings in the order in which they were applied, `identity` left out."""
    words = [word.strip().lower() for value in values for word in value.split(",")]
    return [word for word in words if word not in ("", "identity")]


class _Plain:
    def pieces(self, data: bytes) -> Any:
        yield data

    def finish(self) -> None:
        """Plain bytes end anywhere."""


class _Unpacked:
    """One coding of zlib's, decoded in pieces of bounded size."""

    def __init__(self, coding: str, inner: Any) -> None:
        self._coding, self._inner = coding, inner
        self._stream: Any = None
        self._head = b""
        self._ended = False

    def pieces(self, data: bytes) -> Any:
        for piece in self._inner.pieces(data):
            yield from self._unpack(piece)

    def _unpack(self, data: bytes) -> Any:
        import zlib

        data, self._head = self._head + data, b""
        while data:
            if self._stream is None:
                if len(data) < len(_GZIP):
                    self._head = data
                    return
                if self._ended and (self._coding == "deflate" or not data.startswith(_GZIP)):
                    # What follows is padding, which gzip ignores too. A gzip file may have several members.
                    return
                self._stream = zlib.decompressobj(self._window(data))
            full = True
            while full:
                try:
                    piece = self._stream.decompress(data, _PIECE)
                except zlib.error:
                    raise BodyError(
                        f"the body is damaged: it is not what Content-Encoding says ({self._coding})"
                    ) from None
                yield piece
                data, full = self._stream.unconsumed_tail, len(piece) == _PIECE
            if self._stream.eof:
                data, self._stream, self._ended = self._stream.unused_data, None, True

    def _window(self, data: bytes) -> int:
        """zlib's wbits: what the stream is wrapped in."""
        if self._coding == "gzip":
            return 31
        # RFC 1950: the method is 8 and the first two bytes are a multiple of 31.
        return 15 if data[0] & 0x0F == 8 and (data[0] << 8 | data[1]) % 31 == 0 else -15

    def finish(self) -> None:
        self._inner.finish()
        if self._stream is not None or not self._ended:
            raise BodyError(f"the body is cut: its {self._coding} stream does not end")


def _decoder(codings: list[str]) -> tuple[Any, str | None]:
    """What undoes the codings, last first, and the first coding that cannot be undone."""
    known = {"gzip": "gzip", "x-gzip": "gzip", "deflate": "deflate"}
    unknown = [coding for coding in codings if coding not in known]
    if unknown:
        return _Plain(), unknown[-1]
    if len(codings) > _MOST_CODINGS:
        return _Plain(), ", ".join(codings)
    decode: Any = _Plain()
    for coding in reversed(codings):
        decode = _Unpacked(known[coding], decode)
    return decode, None


_CHARSET = re.compile(r"""charset\s*=\s*["']?([^\s"';]+)""", re.IGNORECASE)
_MARKS = ((b"\xef\xbb\xbf", "utf-8-sig"), (b"\xff\xfe", "utf-16"), (b"\xfe\xff", "utf-16"))


def text_of(body: bytes, content_type: str, whole: bool = True) -> tuple[str, str | None]:
    """The text, and what was wrong with its characters; those that cannot be read become U+FFFD.

    A byte order mark outranks the header (the WHATWG's order); without either it is UTF-8. Of a body that is not
    `whole` the last character may be cut.
    """
    found = _CHARSET.search(content_type)
    charset = next((name for mark, name in _MARKS if body.startswith(mark)), found[1] if found else "utf-8")
    try:
        text = body.decode(charset, "replace")
    except (LookupError, ValueError):
        return body.decode("utf-8", "replace"), f"its charset '{charset}' is unknown here, it was read as UTF-8"
    try:
        body.decode(charset)
    except UnicodeDecodeError as exc:
        if whole or exc.start < len(body) - 4:
            byte = f"byte 0x{body[exc.start]:02x} at {exc.start}"
            return text, f"it is not valid {charset.removesuffix('-sig').upper()} ({byte})"
    return text, None
