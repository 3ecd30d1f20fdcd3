# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What probes decide and parse, on given values."""

from __future__ import annotations

import struct
import subprocess
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.day2.ops.plugins.module_utils.certificates.x509 import CertificateError, read_all
from ansible_collections.day2.ops.plugins.module_utils.checks.judge import judge
from ansible_collections.day2.ops.plugins.module_utils.checks.request import parse_checks
from ansible_collections.day2.ops.plugins.module_utils.checks.result import Status
from ansible_collections.day2.ops.plugins.module_utils.checks.spec import Check
from ansible_collections.day2.ops.plugins.module_utils.errors import NeedsRoot, Undetermined
from ansible_collections.day2.ops.plugins.module_utils.network import dns
from ansible_collections.day2.ops.plugins.module_utils.network.http import Answer
from ansible_collections.day2.ops.plugins.module_utils.probes import (
    attestation,
    certificate,
    network_io,
    ping,
    process,
    prometheus,
    registry,
)
from ansible_collections.day2.ops.plugins.module_utils.probes.runner import find_spec
from ansible_collections.day2.ops.plugins.module_utils.process.programs import Finished


def check(**fields: Any) -> Check:
    (only,) = parse_checks([{"id": "x", "title": "x", **fields}], find_spec, registry.PROBES, 10)
    return only


@pytest.mark.parametrize(
    ("fields", "today", "status", "left"),
    [
        ({"done_on": "2026-01-01", "every": "90d"}, date(2026, 4, 1), None, 0),
        ({"done_on": "2026-01-01", "every": "90d"}, date(2026, 4, 2), Status.WARNING, -1),
        ({"done_on": "2026-01-01", "every": "90d"}, date(2026, 5, 1), Status.WARNING, -30),
        ({"done_on": "2026-01-01", "every": "90d"}, date(2026, 5, 2), Status.CRITICAL, -31),
        ({"done_on": "2026-01-01", "every": "90d", "grace": "1d"}, date(2026, 4, 3), Status.CRITICAL, -2),
        ({"done_on": "2026-01-01T00:00:00+00:00", "due": "2026-06-30"}, date(2026, 6, 1), None, 29),
        ({"due": "2026-06-30"}, date(2026, 7, 1), Status.WARNING, -1),
    ],
)
def test_attestation(fields: dict[str, str], today: date, status: Status | None, left: int) -> None:
    seen = attestation.judge_duty(check(probe="attestation", by="Security", **fields), today)
    assert (seen.status, seen.value) == (status, left)


@pytest.mark.parametrize("fields", [{"every": "90d"}, {"done_on": "2027-01-01", "by": "X", "every": "90d"}])
def test_attestation_that_cannot_be_true(fields: dict[str, str]) -> None:
    assert attestation.judge_duty(check(probe="attestation", **fields), date(2026, 1, 1)).failure


PING = {
    "iputils": b"5 packets transmitted, 4 received, 20% packet loss, time 801ms\n"
    b"rtt min/avg/max/mdev = 0.026/1.030/2.039/0.005 ms\n",
    "busybox": b"5 packets transmitted, 4 packets received, 20% packet loss\n"
    b"round-trip min/avg/max = 0.026/1.030/2.039 ms\n",
}


@pytest.mark.parametrize("said", PING.values(), ids=PING)
def test_ping(said: bytes) -> None:
    answer = Finished(0, said, b"", 0.8)
    assert ping.read(answer, "h") == (5, 4, (1.03, 2.039))
    assert ping.observe(answer, check(probe="ping", host="h", metric="loss")).value == 20.0
    assert ping.observe(answer, check(probe="ping", host="h")).value == 1.03


def test_ping_without_rights_or_name() -> None:
    with pytest.raises(NeedsRoot):
        ping.read(Finished(2, b"", b"ping: socket: Operation not permitted\n", 0), "h")
    with pytest.raises(Undetermined, match="Name or service not known"):
        ping.read(Finished(2, b"", b"ping: h: Name or service not known\n", 0), "h")


def test_counters_of_interfaces() -> None:
    text = (
        "Inter-|\n face |\n    lo: 10 1 0 0 0 0 0 0 20 2 0 0 0 0 0 0\neth0:4000000000 5 1 2 0 0 0 0 7 8 3 4 0 0 0 0\n"
    )
    counters = network_io.parse(text)
    assert counters["eth0"][:4] == [4000000000, 5, 1, 2] and counters["lo"][8] == 20
    # A counter that was reset has not run backwards.
    assert network_io.Traffic(counters, {"eth0": [0] * 16}, 1.0).rate("eth0", 0) == 0


def made(pid: int, parent: int, command: str) -> process.Process:
    return process.Process(pid, parent, command[:15], "S", "root", command, 1, 4096, 1.0)


def test_processes_without_those_that_ask() -> None:
    everything = [
        made(1, 0, "init"), made(10, 1, "sshd"), made(11, 10, "/bin/sh -c python3 /root/.ansible/tmp/AnsiballZ_x.py"),
        made(12, 11, "python3 /root/.ansible/tmp/AnsiballZ_x.py"), made(13, 12, "python3 worker"), made(20, 1, "app"),
    ]  # fmt: skip
    assert [each.pid for each in process.without_us(everything, 12)] == [1, 10, 20]


def dns_answer(number: int, records: list[tuple[int, bytes]], flags: int = 0x8180) -> bytes:
    head = struct.pack(">HHHHHH", number, flags, 1, len(records), 0, 0)
    question = b"\x01x\x04test\x00" + struct.pack(">HH", 1, 1)
    body = b"".join(b"\xc0\x0c" + struct.pack(">HHIH", kind, 1, 60, len(data)) + data for kind, data in records)
    return head + question + body


def test_dns_answers() -> None:
    answer = dns.read(
        dns_answer(7, [(5, b"\x01y\xc0\x0e"), (1, bytes([10, 0, 0, 2])), (1, bytes([10, 0, 0, 1]))]), "A", 7
    )
    assert answer.records == ["10.0.0.1", "10.0.0.2"] and answer.code == 0
    assert dns.read(dns_answer(7, [(5, b"\x01y\xc0\x0e")]), "CNAME", 7).records == ["y.test"]
    assert dns.read(dns_answer(7, [(15, b"\x00\x0a\x02mx\xc0\x0e")]), "MX", 7).records == ["10 mx.test"]
    assert dns.read(dns_answer(7, [(16, b"\x03abc\x02de")]), "TXT", 7).records == ["abcde"]
    assert dns.read(dns_answer(7, [], 0x8183), "A", 7).code == 3
    assert dns.question("x.test", "A", 7) == b"\0\7\1\0\0\1\0\0\0\0\0\0\1x\4test\0\0\1\0\1"
    assert b"\x011\x010\x010\x0210\x07in-addr\x04arpa" in dns.question("10.0.0.1", "PTR", 1)


@pytest.mark.parametrize(
    "message",
    [b"", b"\0" * 12, dns_answer(8, []), dns_answer(7, [(1, b"\1\2\3\4")])[:-2],
     dns_answer(7, [])[:12] + b"\xc0\x0c" + b"\0\1\0\1"],
)  # fmt: skip
def test_damaged_dns_answers_are_refused(message: bytes) -> None:
    with pytest.raises(dns.DnsError):
        dns.read(message, "A", 7)


def prom(body: bytes, status: int = 200) -> Answer:
    return Answer("u", status=status, body=body, size=len(body))


VECTOR = (
    b'{"status":"success","data":{"resultType":"vector","result":['
    b'{"metric":{"__name__":"up","job":"a"},"value":[1,"1"]},{"metric":{"job":"b"},"value":[1,"0.25"]}]}}'
)


@pytest.mark.parametrize(("pick", "value"), [("max", 1.0), ("min", 0.25), ("sum", 1.25)])
def test_prometheus_picks(pick: str, value: float) -> None:
    seen = prometheus.observe(prom(VECTOR), check(probe="prometheus", url="http://h", query="up", pick=pick))
    assert seen.value == value and seen.evidence[0] == 'up{job="a"}: 1'


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (prom(VECTOR.replace(VECTOR[VECTOR.index(b"[") : -2], b"[]")), "no series"),
        (prom(b'{"status":"error","error":"parse error"}', 400), "parse error"),
        (prom(b"<html>", 502), "HTTP 502"),
        (prom(b'{"status":"success","data":{"resultType":"matrix","result":[]}}'), "matrix"),
        (prom(b'{"status":"success","data":{"resultType":"scalar","result":[1,"NaN"]}}'), "nan"),
        (prom(b'{"status":"success"}'), "not Prometheus"),
        (Answer("u", error="Connection refused"), "does not answer"),
        (Answer("u", status=200, fault="the body is cut: 7 of 9 bytes came"), "the body is cut"),
        (Answer("u", status=200, body=b"{", size=99), "cannot be read whole"),
        (prom(b'{"status":"success","data":[]}'), "not Prometheus"),
    ],
)
def test_prometheus_says_why_it_does_not_know(answer: Answer, words: str) -> None:
    with pytest.raises(Undetermined, match=words):
        prometheus.observe(answer, check(probe="prometheus", url="http://h", query="up"))


@pytest.mark.parametrize(
    ("notes", "status", "words"),
    [
        (
            '"warnings":["receive series from 10.0.0.3:10901: rpc error: Unavailable"]',
            "unknown",
            "of partial data: receive",
        ),
        ('"warnings":["No StoreAPIs matched for this query"]', "unknown", "of partial data: No StoreAPIs"),
        ('"warnings":["PromQL warning: bucket label le is missing"]', "ok", "up is 1"),
        ('"infos":["PromQL info: metric might not be a counter"]', "ok", "up is 1"),
        ('"warnings":[]', "ok", "up is 1"),
        ('"warnings":null', "ok", "up is 1"),
    ],
)
def test_what_prometheus_says_about_its_answer(notes: str, status: str, words: str) -> None:
    asked = check(probe="prometheus", url="http://h", query="up", critical="> 5")
    seen = prometheus.observe(prom(VECTOR[:-1] + f",{notes}}}".encode()), asked)
    result = judge(asked, seen, started=0, duration=0)
    assert result.status.value == status and words in result.message, result
    assert all(word in "".join(seen.evidence) for word in notes.split('"')[3:4]), seen
    high = prom(VECTOR.replace(b'"1"', b'"9"')[:-1] + f",{notes}}}".encode())
    assert judge(asked, prometheus.observe(high, asked), started=0, duration=0).status is Status.CRITICAL


@pytest.fixture(scope="module")
def chain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("certificates")
    for name, days in (("long", "400"), ("short", "30")):
        subject = f"/O=Lab/CN={name}.example"
        command = ["openssl", "req", "-x509", "-nodes", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"]
        files = ["-keyout", "/dev/null", "-out", str(folder / f"{name}.pem")]
        subprocess.run([*command, "-days", days, "-subj", subject, *files], check=True, capture_output=True)
    (folder / "chain.pem").write_bytes(b"".join((folder / f"{name}.pem").read_bytes() for name in ("long", "short")))
    return folder


def test_certificates_of_a_file(chain: Path) -> None:
    long, short = read_all((chain / "chain.pem").read_bytes())
    assert (long.subject, short.subject) == ("long.example", "short.example")
    assert timedelta(days=369) < long.not_after - short.not_after < timedelta(days=371)
    now = short.not_after - timedelta(days=10)
    seen = certificate.judge_dates(certificate.Found("f", [long, short]), now)
    assert seen.value == 10.0 and "short.example" in seen.text and seen.unexpected is None
    late = certificate.judge_dates(certificate.Found("f", [long, short]), now + timedelta(days=11))
    assert late.value == -1.0 and late.unexpected


@pytest.mark.parametrize(
    ("leaf", "distrust", "days", "fault"),
    [
        ("long", None, 0, None),
        ("long", "self-signed certificate", 0, "a client does not trust it: self-signed certificate"),
        # Another certificate of the chain has ended.
        ("long", "self-signed certificate", 40, "a client does not trust it: self-signed certificate"),
        ("long", "certificate has expired", 40, "a client does not trust it: certificate has expired"),
        ("long", "Hostname mismatch", 40, "a client does not trust it: Hostname mismatch"),
        ("short", "self-signed certificate", 40, "a client does not trust it: self-signed certificate"),
        # That is what the days left say, and thresholds on them may allow it.
        ("short", "certificate has expired", 40, None),
        ("long", None, 40, None),
        ("long", "certificate is not yet valid", -1, "long.example is not valid before"),
        ("long", "Hostname mismatch", -1, "a client does not trust it: Hostname mismatch"),
    ],
)
def test_distrust_is_said_whatever_the_dates_are(
    chain: Path, leaf: str, distrust: str | None, days: int, fault: str | None
) -> None:
    sent = read_all((chain / "chain.pem").read_bytes())
    sent = sent if leaf == "long" else sent[::-1]
    now = sent[0].not_before + timedelta(days=days, minutes=1)
    seen = certificate.judge_dates(certificate.Found("f", sent, distrust=distrust), now)
    assert (fault is None and seen.fault is None) or (fault is not None and fault in (seen.fault or ""))
    assert (seen.unexpected is not None) is (days == 40)


@pytest.mark.parametrize(
    "damage", [lambda pem: pem[:200] + b"-----END", lambda _pem: b"", lambda _pem: b"\x30\x82\xff"]
)
def test_damaged_certificates_are_refused(chain: Path, damage: Any) -> None:
    with pytest.raises(CertificateError):
        read_all(damage((chain / "long.pem").read_bytes()))
