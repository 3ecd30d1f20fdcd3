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

from ansible_collections.day2.ops.plugins.module_utils.certificates import tls
from ansible_collections.day2.ops.plugins.module_utils.certificates.x509 import (
    Certificate,
    CertificateError,
    read,
    read_all,
)
from ansible_collections.day2.ops.plugins.module_utils.checks.request import FieldError
from ansible_collections.day2.ops.plugins.module_utils.checks.result import Observation
from ansible_collections.day2.ops.plugins.module_utils.checks.spec import Argument, Check, Metric, ProbeSpec
from ansible_collections.day2.ops.plugins.module_utils.errors import NeedsRoot, Undetermined
from ansible_collections.day2.ops.plugins.module_utils.network.address import AddressError, ascii_host
from ansible_collections.day2.ops.plugins.module_utils.network.trust import client_context
from ansible_collections.day2.ops.plugins.module_utils.units.quantity import format_bytes, format_duration
from ansible_collections.day2.ops.plugins.module_utils.units.timestamps import day


def _validate(args: dict[str, Any], _metric: str | None) -> None:
    for name in ("server_name", "starttls", "ca_path"):
        if args[name] is not None and args["host"] is None:
            raise FieldError(name, "is for a server; it needs 'host'")


SPEC = ProbeSpec(
    doc="The certificates in a file, or those that a TLS server sends, its chain included: the one that ends first"
    " counts. One that is not valid now is critical, and so is a server's that is not trusted or is another host's.",
    arguments={
        "path": Argument("path", "A file in PEM or DER."),
        "host": Argument("str", "A server's name or address."),
        "port": Argument("port", "The port of `host`.", default=443),
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
# OpenSSL's words.
_IS_EXPIRED, _IS_EARLY = "certificate has expired", "certificate is not yet valid"
# X509_V_ERR_CERT_HAS_EXPIRED of OpenSSL.
_EXPIRED = 10
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
        # As bytes: a host whose locale is not UTF-8 has files with such names too.
        with open(path.encode("utf-8", "surrogateescape"), "rb") as stream:
            data = stream.read(_MAX_FILE + 1)
        if len(data) > _MAX_FILE:
            raise Undetermined(f"{path} has more than {format_bytes(_MAX_FILE)}: that is no file of certificates")
        return Found(path, read_all(data))
    except PermissionError:
        raise NeedsRoot(f"{path} cannot be read") from None
    except OSError as exc:
        raise Undetermined(f"{path}: {exc.strerror}") from exc
    except CertificateError as exc:
        raise Undetermined(f"{path}: {exc}") from exc


def _of_server(args: Any) -> Found:
    found = Found(f"{args['host']}:{args['port']}")
    try:
        trusting, strict = client_context(args["ca_path"], validate=False), client_context(args["ca_path"])
        host, name = ascii_host(args["host"]), ascii_host(args["server_name"] or args["host"]).rstrip(".")
    except OSError as exc:
        raise Undetermined(f"cannot use the certificates in {args['ca_path']}: {exc.strerror or exc}") from exc
    except AddressError as exc:
        raise Undetermined(f"the server {exc}") from exc

    def connect() -> socket.socket:
        return _connect(host, args["port"], args["starttls"])

    try:
        sent = tls.chain(connect, trusting, name)
        distrust = _distrust(connect, strict, name) if args["validate_certs"] else None
    except socket.gaierror as exc:
        raise Undetermined(f"{args['host']} cannot be resolved: {exc.strerror}") from exc
    except ssl.SSLError as exc:
        found.failure = f"{found.where} does not speak TLS with this host: {exc.reason or exc}"
        return found
    except (OSError, ValueError) as exc:
        found.failure = f"no connection to {found.where}: {getattr(exc, 'strerror', None) or exc}"
        return found
    if not sent:
        raise Undetermined(f"{found.where} shows no certificate")
    try:
        found.certificates = [read(der) for der in sent]
    except CertificateError as exc:
        raise Undetermined(f"a certificate of {found.where}: {exc}") from exc
    if distrust is not None:
        found.distrust = _explained(distrust, found.certificates, datetime.now(timezone.utc))
    return found


def _distrust(connect: tls.Connect, strict: ssl.SSLContext, name: str) -> ssl.SSLCertVerificationError | None:
    """Why a client that verifies would not go on; None when it would."""
    try:
        with connect() as plain, strict.wrap_socket(plain, server_hostname=name):
            return None
    except ssl.SSLCertVerificationError as exc:
        return exc


def _explained(distrust: ssl.SSLCertVerificationError, sent: list[Certificate], now: datetime) -> str:
    """OpenSSL's words, and where those of an end can only mean a certificate that the server does not send."""
    if distrust.verify_code == _EXPIRED and all(certificate.not_after > now for certificate in sent):
        return f"{distrust.verify_message} (not one that the server sends: the root that this host trusts)"
    return distrust.verify_message


def _connect(host: str, port: int, starttls: str | None) -> socket.socket:
    """A connection on which TLS may begin."""
    plain = socket.create_connection((host, port))
    try:
        if starttls is not None:
            _ask_for_tls(plain, starttls)
    except BaseException:
        plain.close()
        raise
    return plain


def _ask_for_tls(plain: socket.socket, protocol: str) -> None:
    if protocol == "postgres":
        plain.sendall(_SSL_REQUEST)
        answer = plain.recv(1)
        if not answer:
            raise ConnectionError("the server closed the connection when it was asked for TLS")
        if answer != b"S":
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
    """The certificate that ends first decides how many days are left; whatever else is wrong is a fault beside it."""
    first = min(found.certificates, key=lambda certificate: certificate.not_after)
    left = (first.not_after - now).total_seconds()
    ends = day(first.not_after)
    if left >= 0:
        text = f"{first.subject} in {found.where} ends on {ends}, in {format_duration(left)}"
    else:
        text = f"{first.subject} in {found.where} ended on {ends}, {format_duration(-left)} ago"
    evidence = [
        f"{certificate.subject}, by {certificate.issuer}, {certificate.not_before:%Y-%m-%d} to"
        f" {certificate.not_after:%Y-%m-%d}, serial {certificate.serial:x}"
        for certificate in found.certificates
    ]
    seen = Observation(round(left / _DAY, 3), text, evidence=evidence)
    early = [certificate for certificate in found.certificates if certificate.not_before > now]
    if early:
        which = "it" if early[0] is first else early[0].subject
        seen.fault = f"{which} is not valid before {early[0].not_before:%Y-%m-%d %H:%M} UTC"
    if left < 0:
        seen.unexpected = "it should be valid"
    # Its own end is what the days say, and its beginning is said above; a client may have other reasons.
    is_said = (found.distrust == _IS_EXPIRED and found.certificates[0] is first and left < 0) or (
        found.distrust == _IS_EARLY and bool(early)
    )
    if found.distrust is not None and not is_said:
        seen.fault = ", ".join(filter(None, (seen.fault, f"a client does not trust it: {found.distrust}")))
    return seen
