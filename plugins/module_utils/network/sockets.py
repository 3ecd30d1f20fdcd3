# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Who holds which connection on this host, from /proc."""

from __future__ import annotations

import ipaddress
import os
import sys
from contextlib import suppress
from typing import Collection, Iterator

CONNECTED, CONNECTING, LISTENING = "01", "02", "0A"
UNIX_CONNECTED = "03"


def remotes(program: str) -> list[tuple[str, int]]:
    """Address and port at the other end of each TCP connection, also one that is being made, of a program by its name.

    Where a container keeps its descriptors from us, all that its user has connected is taken for its own.
    """
    own, owners = set[str](), set[str]()
    for process in processes():
        if content(f"/proc/{process}/comm").strip() == program:
            found = inodes(process)
            own |= found
            owners |= set() if found else users(process)
    table = [row for family in ("tcp", "tcp6") for row in rows(f"/proc/net/{family}")]
    return [
        (_address(row[2]), port(row[2]))
        for row in table
        if row[3] in (CONNECTED, CONNECTING) and (row[9] in own or row[7] in owners)
    ]


def count_to(program: str, addresses: Collection[str], number: int) -> int:
    """How many connections a program has to a port of these addresses."""
    return sum(1 for address, there in remotes(program) if there == number and address in addresses)


def _address(text: str) -> str:
    """As /proc/net/tcp has it: words of 32 bits in this machine's order."""
    raw = bytes.fromhex(text.partition(":")[0])
    if sys.byteorder == "little":
        raw = b"".join(raw[at : at + 4][::-1] for at in range(0, len(raw), 4))
    address = ipaddress.ip_address(raw)
    return str(getattr(address, "ipv4_mapped", None) or address)


def processes() -> Iterator[str]:
    """Their numbers."""
    return (name for name in os.listdir("/proc") if name.isdigit())


def inodes(process: str) -> set[str]:
    """Of the sockets that a process has; none where nobody may look at its descriptors."""
    found = set[str]()
    # It may end while we look.
    with suppress(OSError):
        for name in os.listdir(f"/proc/{process}/fd"):
            with suppress(OSError):
                target = os.readlink(f"/proc/{process}/fd/{name}")
                if target.startswith("socket:["):
                    found.add(target[len("socket:[") : -1])
    return found


def users(process: str) -> set[str]:
    """The effective user, of whom a process's new sockets are; proc(5): real, effective, saved, file system."""
    lines = content(f"/proc/{process}/status").split("\n")
    return {line.split()[2] for line in lines if line.startswith("Uid:")}


def rows(path: str) -> list[list[str]]:
    """Lines of a table such as /proc/net/tcp, in words, without its head."""
    return [line.split() for line in content(path).split("\n")[1:] if line]


def content(path: str) -> str:
    """A file of /proc, or nothing: what it is about may be gone by now."""
    try:
        with open(path, encoding="utf-8", errors="replace") as stream:
            return stream.read()
    except OSError:
        return ""


def port(address: str) -> int:
    """Of an address as /proc/net/tcp has it."""
    return int(address.rpartition(":")[2], 16)
