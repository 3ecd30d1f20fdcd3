# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Places for repositories on this machine: buckets of moto's S3, and those that tests take one of each kind of."""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

KEYS = {"access_key": "testing", "secret_key": "testing", "region": "us-east-1"}
_numbers = itertools.count()


@contextmanager
def moto_server() -> Iterator[str]:
    """The address of an S3. The servers of a process share their buckets."""
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0)
    server.start()
    host, port = server.get_host_and_port()
    try:
        yield f"http://{host}:{port}"
    finally:
        server.stop()


def client(endpoint: str) -> Any:
    import boto3

    return boto3.client(
        "s3",
        endpoint_url=endpoint,
        aws_access_key_id=KEYS["access_key"],
        aws_secret_access_key=KEYS["secret_key"],
        region_name=KEYS["region"],
    )


def new_bucket(endpoint: str, **options: object) -> str:
    """The name of a bucket that is there from now on."""
    name = f"bucket-{time.time_ns()}-{next(_numbers)}"
    client(endpoint).create_bucket(Bucket=name, **options)
    return name


def new_place(endpoint: str) -> dict[str, str]:
    """A repository in a bucket of its own."""
    return {"url": f"s3://{new_bucket(endpoint)}/some/prefix", **KEYS, "endpoint_url": endpoint}
