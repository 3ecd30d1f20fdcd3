# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A certificate authority of the host's own and a server certificate signed by it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from .system import file, folder, run, succeeds

KEEP_SECONDS = 45 * 86400
AUTHORITY = "/etc/ssl/lab-ca"
CURVE = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]


@dataclass(frozen=True)
class Certificate:
    """Where a server's certificate is to be, for which names and for how long."""

    certificate: str
    key: str
    authority: str
    names: Sequence[str]
    days: int


def ensure(wanted: Certificate) -> bool:
    """Make the certificate unless there is one that lasts; say whether it was made."""
    lasts = succeeds(["openssl", "x509", "-in", wanted.certificate, "-noout", "-checkend", str(KEEP_SECONDS)])
    if lasts and Path(wanted.key).exists():
        return False
    folder(AUTHORITY, 0o700)
    _authority()
    request, signed = f"{AUTHORITY}/server.csr", f"{AUTHORITY}/server.pem"
    key = f"{AUTHORITY}/server.key"
    run(["openssl", "req", *CURVE, "-keyout", key, "-out", request, "-subj", f"/CN={wanted.names[0]}"])
    names = ",".join(f"DNS:{name}" for name in wanted.names)
    extensions = f"{AUTHORITY}/server.ext"
    file(extensions, f"subjectAltName={names},IP:127.0.0.1\nextendedKeyUsage=serverAuth\n")
    signer = ["-CA", f"{AUTHORITY}/ca.pem", "-CAkey", f"{AUTHORITY}/ca.key", "-CAcreateserial"]
    span = ["-days", str(wanted.days), "-extfile", extensions]
    run(["openssl", "x509", "-req", "-in", request, "-out", signed, *signer, *span])
    chain = Path(signed).read_text() + Path(f"{AUTHORITY}/ca.pem").read_text()
    file(wanted.certificate, chain)
    file(wanted.authority, Path(f"{AUTHORITY}/ca.pem").read_text())
    file(wanted.key, Path(key).read_text(), 0o600)
    Path(key).unlink()
    return True


def _authority() -> None:
    if Path(f"{AUTHORITY}/ca.pem").exists():
        return
    files = ["-keyout", f"{AUTHORITY}/ca.key", "-out", f"{AUTHORITY}/ca.pem"]
    run(["openssl", "req", "-x509", *CURVE, *files, "-days", "3650", "-subj", "/CN=Lab authority"])
