# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Certificates: how long they are still good, in a file or as a server shows them."""

from __future__ import annotations

import socket
import ssl
from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import Any

from ansible_collections.day2.ops.plugins.module_utils.certificates.x509 import (
    Certificate,
    CertificateError,
    read,
    read_all,
)
from ansible_collections.day2.ops.plugins.module_utils.checks.quantity import format_duration
from ansible_collections.day2.ops.plugins.module_utils.checks.request import FieldError
from ansible_collections.day2.ops.plugins.module_utils.checks.result import Observation
from ansible_collections.day2.ops.plugins.module_utils.checks.spec import Argument, Check, Metric, ProbeSpec
from ansible_collections.day2.ops.plugins.module_utils.errors import NeedsRoot, Undetermined


def _validate(args: dict[str, Any], _metric: str | None) -> None:
    for name in ("server_name", "starttls", "ca_path"):
        if args[name] is not None and args["host"] is None:
            raise FieldError(name, "is for a server; it needs 'host'")


SPEC = ProbeSpec(
    doc="A certificate in a file (of several in it, the one that ends first) or of a TLS server. One that is not valid"
    " now is critical, and so is a server's that is not trusted or is another host's.",
    arguments={
        "path": Argument("path", "A file in PEM or DER."),
        "host": Argument("str", "A server's name or address."),
        "port": Argument("port", "Its port.", default=443),
        "server_name": Argument("str", "The name to ask for and to verify, where it is not `host`."),
        "starttls": Argument("str", "What to say before TLS begins.", choices=("postgres", "smtp")),
        "ca_path": Argument("path", "A file of certificates to trust instead of the system's."),
        "validate_certs": Argument("bool", "Whether the server's certificate has to be trusted.", default=True),
    },
    metrics={"remaining": Metric("Time until it ends; negative when it has ended.", "d")},
    default_metric="remaining",
    one_of=("path", "host"),
    validate=_validate,
)
_MAX_FILE = 1 << 20
_DAY = 86400
# PostgreSQL's SSLRequest: a length of 8 and the code 80877103 (protocol documentation, message formats).
_SSL_REQUEST = (8).to_bytes(4, "big") + (80877103).to_bytes(4, "big")


@dataclass
class Found:
    """Certificates, and why a client would not trust them."""

    where: str
    certificates: list[Certificate] = field(default_factory=list)
    distrust: str | None = None
    failure: str | None = None


def source_key(check: Check) -> object:
    return tuple(check.args.values())


def open_source(checks: list[Check], _progress: object) -> Found:
    args = checks[0].args
    return _of_file(args["path"]) if args["path"] is not None else _of_server(args)


def _of_file(path: str) -> Found:
    try:
        with open(path, "rb") as stream:
            return Found(path, read_all(stream.read(_MAX_FILE)))
    except PermissionError:
        raise NeedsRoot(f"{path} cannot be read") from None
    except OSError as exc:
        raise Undetermined(f"{path}: {exc.strerror}") from exc
    except CertificateError as exc:
        raise Undetermined(f"{path}: {exc}") from exc


def _of_server(args: Any) -> Found:
    found = Found(f"{args['host']}:{args['port']}")
    try:
        trusting = ssl.create_default_context(cafile=args["ca_path"])
    except OSError as exc:
        raise Undetermined(f"cannot use the certificates in {args['ca_path']}: {exc.strerror or exc}") from exc
    trusting.check_hostname = False
    trusting.verify_mode = ssl.CERT_NONE
    strict = ssl.create_default_context(cafile=args["ca_path"])
    try:
        der = _shown(args, trusting)
        if args["validate_certs"]:
            try:
                _shown(args, strict)
            except ssl.SSLCertVerificationError as exc:
                found.distrust = exc.verify_message
    except socket.gaierror as exc:
        raise Undetermined(f"{args['host']} cannot be resolved: {exc.strerror}") from exc
    except ssl.SSLError as exc:
        found.failure = f"{found.where} does not speak TLS: {exc.reason or exc}"
        return found
    except (OSError, UnicodeError) as exc:
        found.failure = f"no connection to {found.where}: {getattr(exc, 'strerror', None) or exc}"
        return found
    if der is None:
        raise Undetermined(f"{found.where} shows no certificate")
    try:
        found.certificates = [read(der)]
    except CertificateError as exc:
        raise Undetermined(f"the certificate of {found.where}: {exc}") from exc
    return found


def _shown(args: Any, context: ssl.SSLContext) -> bytes | None:
    with socket.create_connection((args["host"], args["port"])) as plain:
        if args["starttls"] is not None:
            _ask_for_tls(plain, args["starttls"])
        with context.wrap_socket(plain, server_hostname=args["server_name"] or args["host"]) as wrapped:
            return wrapped.getpeercert(binary_form=True)


def _ask_for_tls(plain: socket.socket, protocol: str) -> None:
    if protocol == "postgres":
        plain.sendall(_SSL_REQUEST)
        if plain.recv(1) != b"S":
            raise ConnectionError("the server has TLS switched off")
        return
    with plain.makefile("rwb") as stream:
        for said, wanted in ((b"", b"220"), (b"EHLO day2.ops\r\n", b"250"), (b"STARTTLS\r\n", b"220")):
            stream.write(said)
            stream.flush()
            line = stream.readline(1024)
            while line[3:4] == b"-":
                line = stream.readline(1024)
            if not line.startswith(wanted):
                raise ConnectionError(f"the server answered {line.decode('ascii', 'replace').strip()!r}")


def observe(found: Found, check: Check) -> Observation:
    if found.failure is not None:
        return Observation(None, "", failure=found.failure)
    return judge_dates(found, datetime.now(timezone.utc))


def judge_dates(found: Found, now: datetime) -> Observation:
    """The certificate that ends first decides."""
    first = min(found.certificates, key=lambda certificate: certificate.not_after)
    left = (first.not_after - now).total_seconds()
    ends = first.not_after.strftime("%Y-%m-%d")
    if left >= 0:
        text = f"{first.subject} in {found.where} ends on {ends}, in {format_duration(left)}"
    else:
        text = f"{first.subject} in {found.where} ended on {ends}, {format_duration(-left)} ago"
    wrong = None
    if left < 0:
        wrong = "it should be valid"
    elif first.not_before > now:
        wrong = f"it is not valid before {first.not_before:%Y-%m-%d %H:%M} UTC"
    elif found.distrust is not None:
        wrong = f"a client does not trust it: {found.distrust}"
    evidence = [
        f"{each.subject}, by {each.issuer}, {each.not_before:%Y-%m-%d} to {each.not_after:%Y-%m-%d},"
        f" serial {each.serial:x}"
        for each in found.certificates
    ]
    seen = Observation(round(left / _DAY, 3), text, evidence=evidence)
    if wrong is not None and left >= 0 and found.distrust is not None:
        # A threshold on the days that are left says nothing about trust.
        seen.failure = f"{text}, {wrong}"
    seen.unexpected = wrong
    return seen
