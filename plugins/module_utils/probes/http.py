# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A URL: whether it answers well, how quickly, and a figure in its JSON. Checks of one URL share one request."""

from __future__ import annotations

import re
import time
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any

from ansible_collections.day2.ops.plugins.module_utils.checks.json_query import check_query, parse_json, select
from ansible_collections.day2.ops.plugins.module_utils.checks.quantity import (
    BYTES,
    Unit,
    format_duration,
    format_quantity,
)
from ansible_collections.day2.ops.plugins.module_utils.checks.request import FieldError
from ansible_collections.day2.ops.plugins.module_utils.checks.result import Observation
from ansible_collections.day2.ops.plugins.module_utils.checks.spec import (
    Argument,
    ArgumentError,
    Check,
    Metric,
    ProbeSpec,
)
from ansible_collections.day2.ops.plugins.module_utils.errors import Undetermined

_MAX_BODY = 16 << 20


def _validate(args: dict[str, Any], metric: str | None) -> None:
    if metric == "query" and args["query"] is None:
        raise FieldError("query", "is missing; metric 'query' needs it")
    url = args["url"] or ""
    if not re.match(r"https?://[^/\s]", url, re.IGNORECASE) or re.search(r"\s", url):
        raise FieldError("url", "is no http:// or https:// address")
    if args["query"] is not None:
        try:
            check_query(args["query"])
        except ArgumentError as exc:
            raise FieldError("query", str(exc)) from exc
    if args["client_key"] is not None and args["client_cert"] is None:
        raise FieldError("client_key", "needs 'client_cert'")


SPEC = ProbeSpec(
    doc="Requests a URL. No answer, a status of 400 or more, or a body that does not match is critical.",
    arguments={
        "url": Argument(
            "str", "The address. A user and password in it are sent as basic authentication.", required=True
        ),
        "method": Argument("str", "The method.", default="GET", choices=("GET", "HEAD", "OPTIONS", "POST")),
        "headers": Argument("mapping", "Headers to send.", secret=True),
        "user": Argument("str", "User for basic authentication."),
        "password": Argument("str", "Password for basic authentication.", secret=True),
        "query": Argument("str", "A dotted path or JMESPath: the value is what it finds in the JSON body."),
        "body": Argument("regex", "A regular expression that the body has to match somewhere."),
        "status_code": Argument("integers", "The statuses that are good; without it every one below 400 is."),
        "follow_redirects": Argument("bool", "Whether redirects are followed.", default=True),
        "validate_certs": Argument("bool", "Whether the server's certificate must be valid.", default=True),
        "ca_path": Argument("path", "A file of certificates to trust instead of the system's."),
        "client_cert": Argument("path", "A certificate to show to the server."),
        "client_key": Argument("path", "Its key, where it is not in the same file."),
    },
    metrics={
        "latency": Metric("Time until the whole answer was there.", "ms"),
        "status": Metric("The HTTP status.", ""),
        "size": Metric("Size of the body.", "B"),
        "query": Metric("What `query` finds; its unit is the check's `unit`.", None),
    },
    default_metric="latency",
    validate=_validate,
    choose_metric=lambda args: "query" if args["query"] is not None else "latency",
)
_SHARED = (
    "url",
    "method",
    "user",
    "password",
    "follow_redirects",
    "validate_certs",
    "ca_path",
    "client_cert",
    "client_key",
)


@dataclass
class Answer:
    """What came back. `error` is set when nothing did, `latency` is in seconds."""

    url: str
    status: int = 0
    reason: str = ""
    body: bytes = b""
    latency: float = 0.0
    error: str | None = None
    headers: dict[str, str] = field(default_factory=dict)


def source_key(check: Check) -> object:
    headers = tuple(sorted((check.args["headers"] or {}).items()))
    return (*(check.args[name] for name in _SHARED), headers)


def prepare() -> None:
    """Load what every request needs, once for all children that are forked afterwards."""
    import_module("urllib.request")


def open_source(checks: list[Check], _progress: object) -> Answer:
    args = checks[0].args
    url, credentials = _split_credentials(args)
    answer = Answer(url)
    # Imported here, in the child: checks that ask no URL do not pay for it.
    import http.client
    import ssl
    import urllib.error
    import urllib.request

    # The scheme is http or https: that was checked with the arguments.
    request = urllib.request.Request(  # noqa: S310
        url, method=args["method"], headers={"User-Agent": "day2.ops", **(args["headers"] or {})}
    )
    if credentials:
        request.add_header("Authorization", credentials)
    begun = time.monotonic()
    try:
        with _opener(args).open(request) as response:
            answer.status, answer.reason = response.status, response.reason
            answer.body = response.read(_MAX_BODY)
    except urllib.error.HTTPError as exc:
        answer.status, answer.reason = exc.code, str(exc.reason)
        answer.body = exc.read(_MAX_BODY)
    except urllib.error.URLError as exc:
        answer.error = _describe(exc.reason)
    except (ssl.SSLError, http.client.HTTPException, OSError, ValueError) as exc:
        answer.error = _describe(exc)
    answer.latency = time.monotonic() - begun
    return answer


def _opener(args: Any) -> Any:
    import urllib.parse
    import urllib.request

    handlers: list[Any] = []
    special = args["ca_path"] or args["client_cert"] or not args["validate_certs"]
    if special or args["url"].lower().startswith("https:"):
        # Reading the system's certificates takes longer than most requests: only who needs them does.
        handlers.append(urllib.request.HTTPSHandler(context=_context(args)))
    if not args["follow_redirects"]:
        handlers.append(_no_redirects())
    if urllib.parse.urlsplit(args["url"]).hostname in ("localhost", "127.0.0.1", "::1"):
        # A proxy knows another localhost than this one.
        handlers.append(urllib.request.ProxyHandler({}))
    return urllib.request.build_opener(*handlers)


def _context(args: Any) -> Any:
    import ssl

    try:
        context = ssl.create_default_context(cafile=args["ca_path"])
        if args["client_cert"]:
            context.load_cert_chain(args["client_cert"], args["client_key"])
    except OSError as exc:
        files = ", ".join(args[name] for name in ("ca_path", "client_cert", "client_key") if args[name])
        raise Undetermined(f"cannot use the certificates in {files}: {exc.strerror or exc}") from exc
    if not args["validate_certs"]:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


def _no_redirects() -> Any:
    import urllib.request

    class Stay(urllib.request.HTTPRedirectHandler):
        def redirect_request(self, *_args: Any, **_kwargs: Any) -> None:
            return None

    return Stay()


def _split_credentials(args: Any) -> tuple[str, str | None]:
    """The address without a user in it, and the header that the user and password make."""
    from base64 import b64encode
    from urllib.parse import unquote, urlsplit, urlunsplit

    try:
        parts = urlsplit(args["url"])
        user, password = args["user"], args["password"]
        if parts.username is not None:
            user = user if user is not None else unquote(parts.username)
            password = password if password is not None else unquote(parts.password or "")
            parts = parts._replace(netloc=parts.netloc.rpartition("@")[2])
    except ValueError as exc:
        raise Undetermined(f"the address cannot be read: {exc}") from exc
    if user is None:
        return urlunsplit(parts), None
    token = b64encode(f"{user}:{password or ''}".encode()).decode()
    return urlunsplit(parts), f"Basic {token}"


def _describe(reason: object) -> str:
    import socket
    import ssl

    if isinstance(reason, ssl.SSLCertVerificationError):
        return f"the certificate is not trusted: {reason.verify_message}"
    if isinstance(reason, ssl.SSLError):
        return f"TLS failed: {reason.reason or reason}"
    if isinstance(reason, socket.gaierror):
        return f"its name cannot be resolved: {reason.strerror}"
    if isinstance(reason, OSError) and reason.strerror:
        return reason.strerror
    return str(reason) or type(reason).__name__


def observe(answer: Answer, check: Check) -> Observation:
    name, url = check.metric.name, answer.url
    if answer.error is not None:
        if name == "query":
            raise Undetermined(f"{url} does not answer: {answer.error}")
        return Observation(None, "", failure=f"{url} does not answer: {answer.error}")
    evidence = [f"HTTP {answer.status} {answer.reason}".strip()]
    allowed = check.args["status_code"]
    good = answer.status in allowed if allowed else answer.status < 400
    wanted = f"expected {' or '.join(map(str, allowed))}" if allowed else "expected a status below 400"
    if not good:
        evidence += _text_lines(answer.body)
        if name != "status":
            return Observation(None, "", failure=f"{url} answered HTTP {answer.status}, {wanted}", evidence=evidence)
    if check.args["body"] is not None and not re.search(check.args["body"], _text(answer.body), re.MULTILINE):
        evidence += _text_lines(answer.body)
        return Observation(
            None, "", failure=f"{url} answered, but its body does not match '{check.args['body']}'", evidence=evidence
        )
    if name == "status":
        seen = Observation(answer.status, f"{url} answered HTTP {answer.status}", evidence=evidence)
        seen.unexpected = None if good else wanted
        return seen
    if name == "size":
        size = format_quantity(len(answer.body), Unit("B", BYTES))
        return Observation(len(answer.body), f"{url} answered with {size}", evidence=evidence)
    if name == "query":
        return _query(answer, check, evidence)
    text = f"{url} answered HTTP {answer.status} in {format_duration(answer.latency)}"
    return Observation(round(answer.latency * 1000, 3), text, evidence=evidence)


def _query(answer: Answer, check: Check, evidence: list[str]) -> Observation:
    query = check.args["query"]
    value = select(parse_json(answer.body, f"the body of {answer.url}"), query)
    unit = check.metric.unit
    if unit is not None and isinstance(value, (int, float)) and not isinstance(value, bool):
        return Observation(value, f"{query} is {format_quantity(value, unit)}", evidence=evidence)
    return Observation(value, f"{query} is {value}", evidence=evidence)


def _text(body: bytes) -> str:
    return body.decode("utf-8", "replace")


def _text_lines(body: bytes) -> list[str]:
    return [line.rstrip() for line in _text(body[:4096]).split("\n") if line.strip()]
