# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Chains of certificates, in a file and of a real TLS server on loopback."""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.day2.ops.plugins.module_utils.certificates import tls
from ansible_collections.day2.ops.plugins.module_utils.certificates.x509 import read
from ansible_collections.day2.ops.plugins.module_utils.checks.judge import judge
from ansible_collections.day2.ops.plugins.module_utils.checks.request import parse_checks
from ansible_collections.day2.ops.plugins.module_utils.checks.result import Result
from ansible_collections.day2.ops.plugins.module_utils.errors import Undetermined
from ansible_collections.day2.ops.plugins.module_utils.probes import certificate, registry
from ansible_collections.day2.ops.plugins.module_utils.probes.runner import find_spec
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

NOW = datetime.now(timezone.utc)


@dataclass
class Signed:
    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey

    @property
    def pem(self) -> bytes:
        return self.certificate.public_bytes(serialization.Encoding.PEM)


def sign(name: str, days: float, by: Signed | None = None, since: float = -10, authority: bool = False) -> Signed:
    """A certificate that begins and ends so many days from now; without `by` it signs itself."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(by.certificate.subject if by else subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(NOW + timedelta(days=since))
        .not_valid_after(NOW + timedelta(days=days, minutes=5))
        .add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True)
    )
    if not authority:
        builder = builder.add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
    return Signed(builder.sign(by.key if by else key, hashes.SHA256()), key)


ROOT = sign("Root", 3000, authority=True)
OLD_ROOT = sign("Old Root", -1, since=-3000, authority=True)
SOON = sign("Intermediate", 5, ROOT, authority=True)
GOOD = sign("Intermediate", 900, ROOT, authority=True)
GONE = sign("Intermediate", -2, ROOT, since=-900, authority=True)
EARLY = sign("Intermediate", 900, ROOT, since=2, authority=True)
UNDER_OLD = sign("Intermediate", 900, OLD_ROOT, authority=True)

# What a server sends, own certificate first.
CHAINS = {
    "good": [sign("localhost", 300, GOOD), GOOD],
    "good with root": [sign("localhost", 300, GOOD), GOOD, ROOT],
    "intermediate ends": [sign("localhost", 300, SOON), SOON],
    "intermediate ended": [sign("localhost", 300, GONE), GONE],
    "intermediate not yet": [sign("localhost", 300, EARLY), EARLY],
    "own ends": [sign("localhost", 3, GOOD), GOOD],
    "own ended": [sign("localhost", -3, GOOD, since=-300), GOOD],
    "own not yet": [sign("localhost", 300, GOOD, since=1), GOOD],
    "without its intermediate": [sign("localhost", 300, GOOD)],
    "expired root": [sign("localhost", 300, UNDER_OLD), UNDER_OLD],
    "nobody's": [sign("localhost", 300)],
}


@contextmanager
def serving(folder: Path, chain: list[Signed], newest: ssl.TLSVersion, preface: bytes = b"") -> Iterator[int]:
    """A TLS server that shows a chain to everybody who asks; its port."""
    key = chain[0].key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    (folder / "server.pem").write_bytes(key + b"".join(entry.pem for entry in chain))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "server.pem")
    context.maximum_version = newest

    def answer(channel: socket.socket) -> None:
        with channel:
            try:
                if preface:
                    channel.recv(8)
                    channel.sendall(preface)
                with context.wrap_socket(channel, server_side=True) as wrapped:
                    wrapped.recv(1)
            except OSError:
                # A client that does not trust it hangs up.
                return

    with socket.create_server(("127.0.0.1", 0)) as listener:

        def accept() -> None:
            while True:
                try:
                    channel, _address = listener.accept()
                except OSError:
                    return
                threading.Thread(target=answer, args=(channel,), daemon=True).start()

        threading.Thread(target=accept, daemon=True).start()
        yield listener.getsockname()[1]
        listener.shutdown(socket.SHUT_RDWR)


def result(**fields: Any) -> Result:
    raw = {"id": "x", "title": "x", "probe": "certificate", **fields}
    (check,) = parse_checks([raw], find_spec, registry.PROBES, 10)
    seen = certificate.observe(certificate.open_source([check], None), check)
    return judge(check, seen, started=0, duration=0)


@pytest.fixture
def trust(tmp_path: Path) -> str:
    (tmp_path / "ca.pem").write_bytes(ROOT.pem + OLD_ROOT.pem)
    return str(tmp_path / "ca.pem")


# Status and days of the certificate that ends first, words of the message; as a file shows them and as a client does.
EXPECTED = {
    "good": ("ok", 300, "localhost in"),
    "good with root": ("ok", 300, "localhost in"),
    "intermediate ends": ("critical", 5, "Intermediate in"),
    "intermediate ended": ("critical", -2, "Intermediate in"),
    "intermediate not yet": ("critical", 300, "Intermediate is not valid before"),
    "own ends": ("critical", 3, "localhost in"),
    "own ended": ("critical", -3, "ended on"),
    "own not yet": ("critical", 300, "it is not valid before"),
}
DISTRUSTED = {
    "without its intermediate": "a client does not trust it: unable to get local issuer certificate",
    "expired root": "certificate has expired (not one that the server sends: the root that this host trusts)",
    "nobody's": "a client does not trust it: self-signed certificate",
}


@pytest.mark.parametrize("newest", [ssl.TLSVersion.TLSv1_3, ssl.TLSVersion.TLSv1_2])
@pytest.mark.parametrize("name", EXPECTED)
def test_a_server_is_judged_as_its_chain_in_a_file(tmp_path: Path, trust: str, name: str, newest: Any) -> None:
    status, days, words = EXPECTED[name]
    (tmp_path / "chain.pem").write_bytes(b"".join(entry.pem for entry in CHAINS[name]))
    in_file = result(path=str(tmp_path / "chain.pem"), critical="< 14d")
    with serving(tmp_path, CHAINS[name], newest) as port:
        of_server = result(host="localhost", port=port, ca_path=trust, critical="< 14d")
    for found in (in_file, of_server):
        assert (found.status.value, found.value) == (status, pytest.approx(days, abs=0.1)), found
        assert words in found.message and len(found.evidence) == len(CHAINS[name]), found


@pytest.mark.parametrize("name", DISTRUSTED)
def test_trust_is_no_matter_of_days(tmp_path: Path, trust: str, name: str) -> None:
    with serving(tmp_path, CHAINS[name], ssl.TLSVersion.TLSv1_3) as port:
        found = result(host="localhost", port=port, ca_path=trust, critical="< 14d")
        assert found.status.value == "critical" and DISTRUSTED[name] in found.message, found
        assert result(host="localhost", port=port, validate_certs=False, critical="< 14d").status.value == "ok"


def test_another_hosts_certificate_is_critical(tmp_path: Path, trust: str) -> None:
    with serving(tmp_path, CHAINS["good"], ssl.TLSVersion.TLSv1_3) as port:
        found = result(host="localhost", port=port, server_name="other.example", ca_path=trust, critical="< 14d")
        assert found.status.value == "critical" and "ostname mismatch" in found.message, found
        found = result(host="127.0.0.1", port=port, server_name="localhost", ca_path=trust, critical="< 14d")
        assert found.status.value == "ok", found
        # A name with DNS's final dot is the same name.
        assert result(host="127.0.0.1", server_name="localhost.", port=port, ca_path=trust).status.value == "ok"


@pytest.mark.parametrize("name", ["good with root", "intermediate ends", "nobody's"])
def test_a_chain_is_overheard_where_python_does_not_show_it(tmp_path: Path, name: str) -> None:
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with serving(tmp_path, CHAINS[name], ssl.TLSVersion.TLSv1_3) as port:
        sent = tls.overheard(lambda: socket.create_connection(("127.0.0.1", port)), context, "localhost")
    assert [read(der).serial for der in sent] == [entry.certificate.serial_number for entry in CHAINS[name]]


@pytest.mark.parametrize(
    "stream", [b"", b"HTTP/1.1 400 Bad Request\r\n", b"\x15\x03\x03\0\2\2\x28", b"\x16\x03\x03\0\4\x0b\0\0"]
)
def test_streams_without_a_chain(stream: bytes) -> None:
    assert tls.certificates(stream) == []


def test_after_postgresql_has_agreed(tmp_path: Path, trust: str) -> None:
    chain = CHAINS["intermediate ends"]
    with serving(tmp_path, chain, ssl.TLSVersion.TLSv1_3, preface=b"S") as port:
        found = result(host="localhost", port=port, starttls="postgres", ca_path=trust, critical="< 14d")
        assert (found.status.value, found.value) == ("critical", pytest.approx(5, abs=0.1)), found
    with serving(tmp_path, chain, ssl.TLSVersion.TLSv1_3, preface=b"N") as port:
        found = result(host="localhost", port=port, starttls="postgres", ca_path=trust)
        assert found.status.value == "critical" and "TLS switched off" in found.message


@pytest.mark.parametrize(
    ("host", "words"), [("bücher..example", "cannot be a name in DNS"), ("no.such.invalid", "cannot be resolved")]
)
def test_names_that_cannot_be_asked(host: str, words: str) -> None:
    with pytest.raises(Undetermined, match=words):
        result(host=host)


def test_a_file_that_is_no_file_of_certificates(tmp_path: Path) -> None:
    (tmp_path / "big").write_bytes(GOOD.pem + b"\0" * (1 << 20))
    with pytest.raises(Undetermined, match="that is no file of certificates"):
        result(path=str(tmp_path / "big"))
