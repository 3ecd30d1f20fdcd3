# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest
from ansible_collections.day2.ops.plugins.module_utils.file_sets.listing import (
    Entry,
    Listing,
    Unfit,
    differences,
)

TIME = b"2026-01-31 02:00:00.120"
END = b"block 20: ** Block of NULs **\n"
TOP = b'block 2: drwxr-xr-x 0/0               0 %s "etc/shop/"\n' % TIME


def line(mode: bytes, name: bytes, link: bytes = b"", size: bytes = b"3") -> bytes:
    return b'block 5: %s 1000/33 %s %s "%s"%s\n' % (mode, size, TIME, name, link)


def listed(*lines: bytes, detailed: bool = True, chunk: int = 7) -> Listing:
    listing, text = Listing("etc/shop", detailed), b"".join(lines)
    for begin in range(0, len(text), chunk):
        listing.feed(text[begin : begin + chunk])
    listing.finish()
    return listing


def test_what_is_in_an_archive() -> None:
    listing = listed(
        TOP,
        line(b"-rw-r-----+", rb"etc/shop/a \"b\"\n\\\303\251 -> x"),
        line(b"hrw-r-----", b"etc/shop/hard", rb' link to "etc/shop/a \"b\"\n\\\303\251 -> x"', b"0"),
        line(b"lrwxrwxrwx", b"etc/shop/soft", b' -> "../../srv"', b"0"),
        line(b"crw-rw-rw-", b"etc/shop/null", size=b"1,3"),
        b'block 9: drwxr-xr-x 0/0               0 2020-01-01 00:00:00           "etc/shop/sub/"\n',
        END,
    )
    assert (listing.count, listing.size, listing.needs) == (6, 3, 20 * 512 + 6 * 4096)
    name = 'a "b"\n\\é -> x'
    assert listing.entries[name] == Entry("-rw-r-----", "1000/33", 3, "2026-01-31 02:00:00.12")
    assert listing.entries["hard"] == listing.entries[name]
    assert listing.entries["soft"].link == "../../srv"
    assert listing.entries[""].mode == "drwxr-xr-x"
    assert listed(TOP, END, detailed=False).entries == {}


@pytest.mark.parametrize(
    ("odd", "message"),
    [
        (line(b"-rw-r--r--", b"etc/passwd"), "'etc/passwd', which lies elsewhere"),
        (line(b"-rw-r--r--", b"etc/shopping"), "which lies elsewhere"),
        (line(b"-rw-r--r--", b"/etc/shop/a"), "which lies elsewhere"),
        (line(b"-rw-r--r--", b"etc/shop/../passwd"), "which lies elsewhere"),
        (line(b"hrw-r--r--", b"etc/shop/a", b' link to "etc/passwd"'), "a hard link to 'etc/passwd'"),
        (line(b"hrw-r--r--", b"etc/shop/a"), "a hard link to None"),
        (
            line(b"lrwxrwxrwx", b"etc/shop/l", b' -> "/etc"') + line(b"-rw-r--r--", b"etc/shop/l/passwd"),
            "'etc/shop/l/passwd' below a link",
        ),
        (b"block 5: something else\n", "not understood"),
    ],
)
def test_what_would_leave_its_place_is_not_unpacked(odd: bytes, message: str) -> None:
    with pytest.raises(Unfit, match=message):
        listed(TOP, odd, END)


def test_an_archive_without_its_end() -> None:
    with pytest.raises(Unfit, match="not whole"):
        listed(TOP)
    with pytest.raises(Unfit, match="not whole"):
        listed(TOP, b"block 9: ** End of File **\n")
    with pytest.raises(Unfit, match="everything was excluded"):
        listed(END)


def entry(
    mode: str = "-rw-r--r--", owner: str = "0/0", size: int = 1, time: str = "t", link: str | None = None
) -> Entry:
    return Entry(mode, owner, size, time, link)


def test_differences() -> None:
    same = {"same": entry(), "folder": entry("drwxr-xr-x", time="then")}
    archive = {**same, "new": entry(), "size": entry(size=2), "owner": entry(owner="1/1"), "mode": entry("-rw-------")}
    live = {**same, "folder": entry("drwxr-xr-x", time="now"), "old": entry(), "size": entry(), "owner": entry()}
    assert differences(archive, {**live, "mode": entry()}) == ["~ mode", "+ new", "- old", "~ owner", "~ size"]
    assert differences({"l": entry("lrwxrwxrwx", link="a")}, {"l": entry("lrwxrwxrwx", link="b")}) == ["~ l"]
    assert differences({"": entry()}, {}) == ["+ ."]
    assert differences(archive, {}, cap=2)[-1] == "… and 4 more"
