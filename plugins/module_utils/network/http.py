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

_MAX_BODY = 16 << 20

# What every probe that asks a URL takes.
ARGUMENTS = {
    "headers": Argument("mapping", "Headers to send.", secret=True),
    "user": Argument("str", "User for basic authentication."),
    "password": Argument("str", "Password for basic authentication.", secret=True),
    "validate_certs": Argument("bool", "Whether the server's certificate must be valid.", default=True),
    "ca_path": Argument("path", "A file of certificates to trust instead of the system's."),
    "client_cert": Argument("path", "A certificate to show to the server."),
    "client_key": Argument("path", "Its key, where it is not in the same file."),
}


def check_arguments(args: Mapping[str, Any]) -> None:
    """Refuse what cannot be an address, and a key without its certificate."""
    url = args["url"] or ""
    if not re.match(r"https?://[^/\s]", url, re.IGNORECASE) or re.search(r"\s", url):
        raise FieldError("url", "is no http:// or https:// address")
    if args["client_key"] is not None and args["client_cert"] is None:
        raise FieldError("client_key", "needs 'client_cert'")


def identity(args: Mapping[str, Any]) -> tuple[object, ...]:
    """What tells one request from another; headers are a mapping and have no hash."""
    return tuple(
        tuple(sorted(value.items())) if isinstance(value, dict) else value
        for value in (args[name] for name in ("url", *ARGUMENTS))
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


def prepare() -> None:
    """Load what every request needs, once for all children that are forked afterwards."""
    import_module("urllib.request")


def fetch(args: Mapping[str, Any], data: bytes | None = None) -> Answer:
    """Ask `args["url"]` with the other arguments of a check; whatever goes wrong is said in the answer."""
    url, credentials = _split_credentials(args)
    answer = Answer(url)
    # Imported here, in the child: checks that ask no URL do not pay for it.
    import http.client
    import ssl
    import urllib.error
    import urllib.request

    # The scheme is http or https: that was checked with the arguments.
    request = urllib.request.Request(  # noqa: S310
        url, data, {"User-Agent": "day2.ops", **(args["headers"] or {})}, method=args.get("method")
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


def _opener(args: Mapping[str, Any]) -> Any:
    import urllib.parse
    import urllib.request

    handlers: list[Any] = []
    special = args["ca_path"] or args["client_cert"] or not args["validate_certs"]
    if special or args["url"].lower().startswith("https:"):
        # Reading the system's certificates takes longer than most requests: only who needs them does.
        handlers.append(urllib.request.HTTPSHandler(context=_context(args)))
    if not args.get("follow_redirects", True):
        handlers.append(_no_redirects())
    if urllib.parse.urlsplit(args["url"]).hostname in ("localhost", "127.0.0.1", "::1"):
        # A proxy knows another localhost than this one.
        handlers.append(urllib.request.ProxyHandler({}))
    return urllib.request.build_opener(*handlers)


def _context(args: Mapping[str, Any]) -> Any:
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


def _split_credentials(args: Mapping[str, Any]) -> tuple[str, str | None]:
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
