# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""HTTP requests of probes: one address, its credentials and certificates, and an answer that never raises."""

from __future__ import annotations

import re
import time
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any, Mapping

from ansible_collections.day2.ops.plugins.module_utils.checks.request import FieldError
from ansible_collections.day2.ops.plugins.module_utils.checks.spec import Argument
from ansible_collections.day2.ops.plugins.module_utils.errors import Undetermined
from ansible_collections.day2.ops.plugins.module_utils.network.address import (
    Address,
    AddressError,
    parse_address,
    redirect_target,
)
from ansible_collections.day2.ops.plugins.module_utils.network.body import read_body
from ansible_collections.day2.ops.plugins.module_utils.network.trust import client_context

_MOST_REDIRECTS = 10
_REDIRECTS = (301, 302, 303, 307, 308)

# What every probe that asks a URL takes.
ARGUMENTS = {
    "headers": Argument(
        "mapping", "Headers to send. A redirect to another scheme, host or port is followed without them.", secret=True
    ),
    "user": Argument("str", "User for basic authentication. Not sent to where a redirect leads away from the server."),
    "password": Argument("str", "Password for basic authentication.", secret=True),
    "validate_certs": Argument("bool", "Whether the server's certificate must be valid.", default=True),
    "ca_path": Argument("path", "A file of certificates to trust instead of the system's."),
    "client_cert": Argument("path", "A certificate that authenticates the client; shown to the URL's server only."),
    "client_key": Argument("path", "The key of `client_cert`, where it is not in the same file."),
}
# RFC 9110, section 5.6.2: a header's name is a token.
_TOKEN = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")


def check_arguments(args: Mapping[str, Any]) -> None:
    """Refuse what cannot be an address or a header, and a key without its certificate."""
    try:
        parse_address(args["url"] or "")
    except AddressError as exc:
        raise FieldError("url", str(exc)) from exc
    for name, value in (args["headers"] or {}).items():
        if _TOKEN.fullmatch(name) is None:
            raise FieldError("headers", f"'{name}' is not the name of a header")
        if re.search(r"[\r\n\0]", value):
            raise FieldError("headers", f"the value of '{name}' has a line break in it")
    if args["client_key"] is not None and args["client_cert"] is None:
        raise FieldError("client_key", "needs 'client_cert'")


def identity(args: Mapping[str, Any]) -> tuple[object, ...]:
    """What tells one request from another; headers are a mapping and have no hash."""
    return tuple(
        tuple(sorted(value.items())) if isinstance(value, dict) else value
        for value in (args[name] for name in ("url", *ARGUMENTS))
    )


@dataclass(frozen=True)
class HttpRequest:
    """What is asked, and what authenticates it: `headers`, a user, a certificate go to the server of `url` only."""

    url: str
    method: str = "GET"
    data: bytes | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    user: str | None = None
    password: str | None = None
    validate_certs: bool = True
    ca_path: str | None = None
    client_cert: str | None = None
    client_key: str | None = None
    follow_redirects: bool = True


def request_of(args: Mapping[str, Any], **more: Any) -> HttpRequest:
    """That of a check, by its arguments; `more` are fields that it has otherwise."""
    given = {name: args[name] for name in ("url", *ARGUMENTS) if args[name] is not None}
    return HttpRequest(**{**given, **more})


@dataclass
class Answer:
    """What came back. `latency` is in seconds, until the whole answer was there.

    `error` is set when nothing came back, `fault` when what came back is not a whole answer: a body that is cut or
    damaged, redirects without an end or to where nobody follows. `size` counts the decoded body, of which `body`
    holds the beginning; it is more than that, or `endless` is set, where there was more. `opaque` names a content
    coding that cannot be decoded. `redirects` are lines for a person, one a redirect.
    """

    url: str
    status: int = 0
    reason: str = ""
    body: bytes = b""
    latency: float = 0.0
    error: str | None = None
    headers: dict[str, str] = field(default_factory=dict)
    fault: str | None = None
    size: int = 0
    endless: bool = False
    opaque: str | None = None
    redirects: list[str] = field(default_factory=list)

    @property
    def whole(self) -> bool:
        """Whether `body` is all of it, as text."""
        return self.size <= len(self.body) and not self.endless and self.opaque is None

    @property
    def content_type(self) -> str:
        return self.headers.get("content-type", "")


def prepare() -> None:
    """Load what every request needs, once for all children that are forked afterwards."""
    import_module("urllib.request")


def fetch(request: HttpRequest) -> Answer:
    """Ask; whatever goes wrong is said in the answer."""
    try:
        first = parse_address(request.url)
    except AddressError as exc:
        raise Undetermined(f"the address {exc}") from exc
    answer = Answer(first.url)
    # Imported here, in the child: checks that ask no URL do not pay for it.
    import http.client
    import ssl
    import urllib.error

    begun = time.monotonic()
    try:
        _follow(first, request, answer)
    except urllib.error.URLError as exc:
        answer.error = _describe(exc.reason)
    except (ssl.SSLError, http.client.HTTPException, OSError, ValueError) as exc:
        answer.error = _describe(exc)
    answer.latency = time.monotonic() - begun
    return answer


def _follow(first: Address, request: HttpRequest, answer: Answer) -> None:
    """Ask, and ask again where a redirect points to, until something else than a redirect comes."""
    address, method, data = first, request.method, request.data
    asked = {(method, first.url)}
    while True:
        with _open(address, first, method, data, request) as response:
            answer.status, answer.reason = response.status, response.reason
            answer.headers = {name.lower(): value for name, value in response.headers.items()}
            if response.status not in _REDIRECTS or not request.follow_redirects:
                body = read_body(response)
                answer.body, answer.size, answer.fault = body.kept, body.size, body.fault
                answer.endless, answer.opaque = body.endless, body.opaque
                return
            location = response.headers.get("Location")
        where = f"HTTP {answer.status} from {address.url}"
        try:
            address = redirect_target(address, location)
        except AddressError as exc:
            answer.fault = f"it redirects to an address that {exc} ({where})"
            return
        answer.redirects.append(f"{where} to {address.url}{_left_behind(address, first, request)}")
        # RFC 9110, 15.4: 303 always asks by GET, 301 and 302 do what browsers always did with POST.
        if (answer.status == 303 and method != "HEAD") or (answer.status in (301, 302) and method == "POST"):
            method, data = "GET", None
        if (method, address.url) in asked:
            answer.fault = f"it redirects in a circle, back to {address.url}"
        elif len(answer.redirects) > _MOST_REDIRECTS:
            answer.fault = f"it redirects more than {_MOST_REDIRECTS} times, at last to {address.url}"
        if answer.fault is not None:
            return
        asked.add((method, address.url))


def _left_behind(address: Address, first: Address, request: HttpRequest) -> str:
    secret = request.headers or request.user is not None or request.client_cert or first.user is not None
    return ", without the check's headers and credentials" if secret and address.origin != first.origin else ""


def _open(address: Address, first: Address, method: str, data: bytes | None, asked: HttpRequest) -> Any:
    """One request, answered by a response of whatever status; secrets go to their own server only."""
    import urllib.request
    from base64 import b64encode

    own = address.origin == first.origin
    # The scheme is http or https: parse_address has seen to that.
    request = urllib.request.Request(address.url, data, {"User-Agent": "day2.ops"}, method=method)  # noqa: S310
    for name, value in asked.headers.items() if own else ():
        # UTF-8 byte by byte: http.client sends Latin-1, and fails on what that has not.
        request.add_header(name, value.encode("utf-8").decode("latin-1"))
    user, password = (asked.user, asked.password) if own else (None, None)
    holder = first if own and address.user is None else address
    user = user if user is not None else holder.user
    password = password if password is not None else holder.password
    if user is not None:
        token = b64encode(f"{user}:{password or ''}".encode()).decode()
        request.add_header("Authorization", f"Basic {token}")
    opener = urllib.request.OpenerDirector()
    # A proxy knows another localhost than this one.
    opener.add_handler(urllib.request.ProxyHandler({} if address.loopback else None))
    opener.add_handler(urllib.request.HTTPHandler())
    if address.scheme == "https" or asked.ca_path or asked.client_cert or not asked.validate_certs:
        # Reading the system's certificates takes longer than most requests: only who needs them does.
        opener.add_handler(urllib.request.HTTPSHandler(context=_context(asked, own)))
    return opener.open(request)


def _context(asked: HttpRequest, own: bool) -> Any:
    try:
        context = client_context(asked.ca_path, asked.validate_certs)
        if asked.client_cert and own:
            context.load_cert_chain(asked.client_cert, asked.client_key)
    except OSError as exc:
        files = ", ".join(filter(None, (asked.ca_path, asked.client_cert, asked.client_key)))
        raise Undetermined(f"cannot use the certificates in {files}: {exc.strerror or exc}") from exc
    return context


def _describe(reason: object) -> str:
    import http.client
    import socket
    import ssl

    if isinstance(reason, ssl.SSLCertVerificationError):
        return f"the certificate is not trusted: {reason.verify_message}"
    if isinstance(reason, ssl.SSLError):
        return f"TLS failed: {reason.reason or reason}"
    if isinstance(reason, socket.gaierror):
        return f"its name cannot be resolved: {reason.strerror}"
    if isinstance(reason, http.client.RemoteDisconnected):
        return "the server closed the connection without an answer"
    if isinstance(reason, http.client.BadStatusLine):
        return "what it says is not HTTP"
    if isinstance(reason, http.client.HTTPException):
        return f"its answer is not HTTP as it should be: {reason or type(reason).__name__}"
    if isinstance(reason, OSError) and reason.strerror:
        return reason.strerror
    return str(reason) or type(reason).__name__
