# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Requests at a steady rate over connections that stay open: `python -m bench.load ADDRESS PORT RATE NAME`.

Until its input ends; then it prints a JSON line [sent, answered, status] for each, in POSIX seconds; status 0 is no
answer. A request goes out when it is due, or as soon as its connection is free.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import Sequence

CONNECTIONS = 20
Answer = tuple[float, float, int]


async def one_connection(
    address: tuple[str, int], request: bytes, every: float, first: float, ended: asyncio.Event
) -> list[Answer]:
    answers: list[Answer] = []
    reader, writer = await asyncio.open_connection(*address)
    due = first
    while not ended.is_set():
        await asyncio.sleep(max(0.0, due - time.monotonic()))
        due += every
        sent = time.time()
        try:
            writer.write(request)
            status = await answered(reader)
        except (OSError, asyncio.IncompleteReadError):
            answers.append((sent, time.time(), 0))
            reader, writer = await asyncio.open_connection(*address)
            continue
        answers.append((sent, time.time(), status))
    writer.close()
    return answers


async def answered(reader: asyncio.StreamReader) -> int:
    head = await reader.readuntil(b"\r\n\r\n")
    length = head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0]
    await reader.readexactly(int(length))
    return int(head.split(b" ", 2)[1])


async def load(address: tuple[str, int], rate: int, name: str) -> list[Answer]:
    ended, begun = asyncio.Event(), time.monotonic() + 0.1
    asyncio.get_running_loop().add_reader(sys.stdin.fileno(), ended.set)
    every = CONNECTIONS / rate
    request = f"GET / HTTP/1.1\r\nHost: {name}\r\n\r\n".encode()
    starts = [begun + number / rate for number in range(CONNECTIONS)]
    work = [one_connection(address, request, every, start, ended) for start in starts]
    return sorted(answer for answers in await asyncio.gather(*work) for answer in answers)


def main(argv: Sequence[str]) -> None:
    for answer in asyncio.run(load((argv[0], int(argv[1])), int(argv[2]), argv[3])):
        print(json.dumps(answer))


if __name__ == "__main__":
    main(sys.argv[1:])
