# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The client of an S3-compatible service, and what it raises in the words of a repository."""

from __future__ import annotations

import base64
import hashlib
import sys
from contextlib import contextmanager
from functools import partial
from typing import Any, Iterator, Mapping
from urllib.parse import urlsplit

from ansible_collections.day2.ops.plugins.module_utils.repositories.base import RepositoryError, Unavailable

# Seconds without a sign of life after which a request is made again.
_TIMEOUT = 60.0
_CONNECT = 10.0
_REDIRECTS = (301, 302, 307, 308)
# Of the service, not of what was asked: the same request may do in a while.
_PASSING = ("SlowDown", "ServiceUnavailable", "InternalError", "RequestTimeout", "Throttling", "ThrottlingException")
# Of botocore and urllib3, which are imported when they are needed only.
_ON_THE_WAY = frozenset({"HTTPClientError", "ConnectionError", "IncompleteReadError", "HTTPError"})
# Of answers without a body (HEAD) the code is the number.
_HINTS = {
    "403": "these keys may not use it, the secret key is wrong, or this host's clock is",
    "404": "there is no such bucket",
    "400": "it does not take the request, such as one that is signed for another `region`",
}


def connect(options: Mapping[str, Any], name: str) -> Any:
    try:
        import boto3
        from botocore.config import Config
    except ImportError as exc:
        raise RepositoryError(
            f"{name} needs boto3 for {sys.executable}: install python3-boto3 (Debian, RHEL) or boto3 (pip)"
        ) from exc
    own = options["endpoint_url"] is not None
    verify: Any = options["ca_path"] if options["ca_path"] else options["validate_certs"] is not False
    common: dict[str, Any] = {
        "connect_timeout": min(_CONNECT, options["timeout"] or _TIMEOUT),
        "read_timeout": options["timeout"] or _TIMEOUT,
        "retries": {"mode": "standard", "total_max_attempts": 5},
        "s3": {"addressing_style": "path"} if own else {},
    }
    try:
        # Other services than Amazon's do not know its newer checksums.
        config = Config(
            **common, request_checksum_calculation="when_required", response_checksum_validation="when_required"
        )
    except TypeError:
        # Nor does boto3 before 1.36, which Debian 12 has.
        config = Config(**common)
    # What is no address is a ValueError.
    wrong: tuple[type[Exception], ...] = (*failures(), ValueError)
    try:
        client = boto3.client(
            "s3",
            endpoint_url=options["endpoint_url"],
            region_name=options["region"] or ("us-east-1" if own else None),
            aws_access_key_id=options["access_key"],
            aws_secret_access_key=options["secret_key"],
            aws_session_token=options["session_token"],
            verify=verify,
            config=config,
        )
    except wrong as exc:
        hint = "; `endpoint_url` is an address such as https://host:9000" if isinstance(exc, ValueError) else ""
        raise RepositoryError(f"{name}: {words(exc)}{hint}") from exc
    if own:
        # Ahead of botocore, which takes every redirect for one to another region of Amazon's, and asks for ever.
        client.meta.events.register_first("needs-retry.s3", partial(_refuse_redirect, name))
    return client


def _refuse_redirect(name: str, response: Any = None, **_event: Any) -> None:
    """RepositoryError for a service that sends us elsewhere, such as from http to https."""
    answer = response[0] if response is not None else None
    if answer is None or answer.status_code not in _REDIRECTS:
        return
    there = urlsplit(answer.headers.get("location") or "")
    where = f" to {there.scheme}://{there.hostname}{f':{there.port}' if there.port else ''}" if there.hostname else ""
    raise RepositoryError(
        f"{name}: the service redirects{where} (status {answer.status_code}): `endpoint_url` has to be its own address,"
        " and `region` the bucket's"
    )


def failures() -> tuple[type[Exception], ...]:
    """What boto3 raises, and what comes through it from the way to the service. Only where there is a client."""
    from boto3.exceptions import Boto3Error
    from botocore.exceptions import BotoCoreError, ClientError
    from urllib3.exceptions import HTTPError

    return BotoCoreError, ClientError, Boto3Error, HTTPError, OSError


def body(content: bytes) -> dict[str, Any]:
    """What is sent, with the digest that a bucket with object lock insists on, and by which others refuse damage."""
    digest = hashlib.new("md5", content, usedforsecurity=False).digest()
    return {"Body": content, "ContentMD5": base64.b64encode(digest).decode()}


def code(exc: BaseException) -> str:
    answer = getattr(exc, "response", None)
    return str(answer.get("Error", {}).get("Code", "")) if isinstance(answer, Mapping) else ""


def words(exc: BaseException) -> str:
    answer = getattr(exc, "response", None)
    if isinstance(answer, Mapping):
        error = answer.get("Error", {})
        name = str(error.get("Code", "error"))
        return f"{name}: {_HINTS.get(name) or error.get('Message') or 'it does not say why'}"
    return " ".join(str(exc).split()) or type(exc).__name__


def passing(exc: BaseException) -> bool:
    """Whether it is about the service or the way to it, not about what was asked for."""
    answer = getattr(exc, "response", None)
    if not isinstance(answer, Mapping):
        return isinstance(exc, OSError) or not _ON_THE_WAY.isdisjoint(kind.__name__ for kind in type(exc).__mro__)
    status = answer.get("ResponseMetadata", {}).get("HTTPStatusCode") or 0
    return bool(status >= 500 or status == 429 or code(exc) in _PASSING)


@contextmanager
def translate_errors(place: str, key: str) -> Iterator[None]:
    """What boto3 raises in the words of a repository; nobody's programming errors."""
    try:
        yield
    except failures() as exc:
        kind = Unavailable if passing(exc) else RepositoryError
        raise kind(f"{place}: {key}: {words(exc)}") from exc
