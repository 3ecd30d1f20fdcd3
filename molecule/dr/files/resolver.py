# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A site's resolver of one zone in Route 53: `resolver.py ENDPOINT ZONE` answers A questions on 127.0.0.1:5353, and
keeps an answer for its TTL as resolvers do. moto has the zone's records, and serves no DNS.
"""

from __future__ import annotations

import ipaddress
import socket
import struct
import sys
import time
from typing import Any

import boto3

ADDRESS = ("127.0.0.1", 5353)
KEYS = {"region_name": "us-east-1", "aws_access_key_id": "made-up", "aws_secret_access_key": "made-up"}
HEADER = struct.Struct(">HHHHHH")
# An answer with authority; the same where there is no such name.
FOUND, NONE = 0x8580, 0x8583
# A record of the name that was asked for (RFC 1035, 4.1.4), of type A.
A_RECORD = struct.Struct(">HHHIH")


def asked(message: bytes) -> tuple[str, bytes]:
    """The name, and the whole question as it came."""
    labels, place = [], HEADER.size
    while length := message[place]:
        labels.append(message[place + 1 : place + 1 + length].decode("ascii"))
        place += 1 + length
    return ".".join(labels).lower(), message[HEADER.size : place + 5]


def looked_up(client: Any, zone: str, name: str) -> tuple[int, list[str]]:
    """The TTL and the addresses of a name."""
    listed = client.list_resource_record_sets(HostedZoneId=zone)["ResourceRecordSets"]
    for record in listed:
        if record["Type"] == "A" and record["Name"].rstrip(".").lower() == name:
            return record["TTL"], [one["Value"] for one in record["ResourceRecords"]]
    return 0, []


def reply(message: bytes, question: bytes, ttl: int, addresses: list[str]) -> bytes:
    records = (A_RECORD.pack(0xC00C, 1, 1, ttl, 4) + ipaddress.IPv4Address(one).packed for one in addresses)
    (number,) = struct.unpack_from(">H", message)
    return HEADER.pack(number, FOUND if addresses else NONE, 1, len(addresses), 0, 0) + question + b"".join(records)


def main(endpoint: str, zone: str) -> None:
    client = boto3.client("route53", endpoint_url=endpoint, **KEYS)
    kept: dict[str, tuple[float, int, list[str]]] = {}
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as listener:
        listener.bind(ADDRESS)
        while True:
            message, sender = listener.recvfrom(512)
            name, question = asked(message)
            if name not in kept or kept[name][0] < time.monotonic():
                ttl, addresses = looked_up(client, zone, name)
                kept[name] = (time.monotonic() + ttl, ttl, addresses)
            listener.sendto(reply(message, question, *kept[name][1:]), sender)


if __name__ == "__main__":
    main(*sys.argv[1:])
