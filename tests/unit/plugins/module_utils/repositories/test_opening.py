# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A repository by what people write: an address, a mapping, and options beside it."""

from __future__ import annotations

import json
from typing import Any

import pytest
from ansible_collections.day2.ops.plugins.module_utils.repositories import opening
from ansible_collections.day2.ops.plugins.module_utils.repositories.base import RepositoryError

BUCKET = "s3://shop/sets"


def read(place: object, beside: dict[str, Any]) -> dict[str, Any]:
    found = opening.locate(place, opening.read_beside(beside))
    return {"url": found.url, **{name: value for name, value in found.options if value is not None}}


@pytest.mark.parametrize(
    ("place", "beside", "wanted"),
    [
        ("/var/backups/shop", {"s3_region": "eu-1"}, {"url": "/var/backups/shop"}),
        ({"url": "/var/backups/shop"}, {}, {"url": "/var/backups/shop"}),
        (BUCKET, {}, {"url": BUCKET}),
        (BUCKET, {"s3_region": "eu-1", "s3_timeout": "5s", "s3_ca_path": None, "series": "x", "region": "us-9"},
         {"url": BUCKET, "region": "eu-1", "timeout": 5.0}),
        ({"url": BUCKET, "endpoint_url": "http://one:9000"}, {"s3_region": "eu-1", "s3_secret_key": ""},
         {"url": BUCKET, "endpoint_url": "http://one:9000", "region": "eu-1"}),
        ({"url": BUCKET, "validate_certs": "no", "timeout": "1m", "region": None}, {"s3_timeout": 60},
         {"url": BUCKET, "validate_certs": False, "timeout": 60.0}),
        ({"url": "sftp://me@host:22/~/x", "known_hosts": "/k", "timeout": "10s"}, {"s3_timeout": 60},
         {"url": "sftp://me@host:22/~/x", "known_hosts": "/k", "timeout": 10.0}),
        (json.dumps({"url": BUCKET, "region": "eu-1"}), {}, {"url": BUCKET, "region": "eu-1"}),
    ],
)  # fmt: skip
def test_what_is_meant(place: object, beside: dict[str, Any], wanted: dict[str, Any]) -> None:
    assert read(place, beside) == wanted


@pytest.mark.parametrize(
    ("place", "beside", "words"),
    [
        ("relative", {}, "is 'relative', which is no absolute path and no address such as /var/backups/shop or s3://"),
        ("ftp://host/x", {}, "is 'ftp://host/x', which is no absolute path and no address"),
        ("", {}, "has no 'url', such as /var"), (None, {}, "has no 'url'"), (["/x"], {}, "has no 'url'"),
        ({"path": "/x"}, {}, "has no 'url'"), ("{url: /x, secret_key: wJalr}", {}, "has no 'url'"),
        ({"url": BUCKET, "regoin": "eu-1"}, {}, "has no option 'regoin'; did you mean 'region'?"),
        ({"url": "/x", "region": "eu-1"}, {}, "has no option 'region'; there are url"),
        ({"url": BUCKET, "timeout": "soon"}, {}, "'timeout': "), ({"url": BUCKET, "ca_path": "ca"}, {}, "'ca_path': "),
        ({"url": BUCKET, "secret_key": ["wJalr"]}, {}, "'secret_key' cannot be read"),
        ({"url": BUCKET, "region": "eu-1"}, {"s3_region": "us-1"},
         "has 'region', and 's3_region' beside it is another; give one of them"),
        ({"url": BUCKET, "secret_key": "wJalr"}, {"s3_secret_key": "other"}, "has 'secret_key', and 's3_secret_key'"),
        ("/x", {"s3_timeout": "0s"}, "'s3_timeout': '0s' is not longer"),
        ("s3://me:wJalr@bucket/x", {}, "has a password in its address"),
        ("sftp://me:wJalr@host/x", {}, "has a password in its address"),
        ("s4://me:wJalr@bucket/x", {}, "has a password in its address"),
        ("me:wJ@wJalr@host:/x", {}, "is 'me:***@host:/x', which is no absolute path"),
        ("s4://me:a/wJalr@host/x", {}, "is 's4://me:***@host/x', which is no absolute path"),
        ({"url": "sftp://host/x", "keyfile": "/k"}, {}, "has no option 'keyfile'; did you mean 'key_file'?"),
    ],
)  # fmt: skip
def test_what_is_refused(place: object, beside: dict[str, Any], words: str) -> None:
    with pytest.raises(RepositoryError) as refused:
        read(place, beside)
    assert words in str(refused.value) and "wJalr" not in str(refused.value)


@pytest.mark.parametrize(
    "url",
    [
        "s3://Upper/x", "s3://", "s3:///prefix", "sftp://host", "sftp:///x", "sftp://-oProxyCommand=x/y", "sftp://@h/x",
        "sftp://-l@host/x", "sftp://host:0/x", "sftp://host:99999/x", "sftp://a b/x", "sftp://host:port/x",
    ],
)  # fmt: skip
def test_an_address_that_is_none_of_its_kind(url: str) -> None:
    with pytest.raises(RepositoryError, match=r"is no address such as s(3://bucket/prefix|ftp://user@host/directory)"):
        opening.open_repository(url)


@pytest.mark.parametrize(
    ("place", "hidden"),
    [
        ("/var/backups/shop", []), (BUCKET, []), (None, []), ("s3://me:wJalr@bucket/x", ["wJalr"]),
        ({"url": BUCKET, "region": "eu-1", "access_key": "AKIA"}, []),
        ({"url": BUCKET, "secret_key": "wJalr", "session_token": 12345}, ["wJalr", "12345"]),
        ({"url": BUCKET, "secret_kye": {"old": ["wJalr"]}}, ["wJalr"]),
        ("{url: s3://x, secret_key: wJalr}", ["{url: s3://x, secret_key: wJalr}"]),
        (json.dumps({"url": BUCKET, "secret_key": "wJalr"}), ["wJalr"]), ([{"secret_key": "wJalr"}], ["wJalr"]),
        ({"url": BUCKET, "secret_key": ""}, []), ({}, []),
    ],
)  # fmt: skip
def test_what_nobody_may_see(place: object, hidden: list[str]) -> None:
    assert opening.secret_values(place) == hidden
