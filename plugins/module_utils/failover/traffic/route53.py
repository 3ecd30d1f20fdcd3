# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A record in Route 53: it gets another value, is in sync at Amazon's servers, and then at the resolvers of a site.

amazon.aws.route53 writes records too. Here a host's promise to a run stands before the request, what Route 53 refuses
for the moment is tried again within one limit and said, and a record that nobody can lead alone is refused.
"""

from __future__ import annotations

import ipaddress
import sys
import time
from contextlib import suppress
from typing import Any, ClassVar, Iterable, Mapping

from ansible_collections.day2.ops.plugins.module_utils.errors import Undetermined
from ansible_collections.day2.ops.plugins.module_utils.failover.traffic.base import (
    Kind,
    Seen,
    TrafficError,
)
from ansible_collections.day2.ops.plugins.module_utils.network import dns, resolver
from ansible_collections.day2.ops.plugins.module_utils.process.waiting import wait_until
from ansible_collections.day2.ops.plugins.module_utils.repositories.s3_client import code, failures, passing, words

# Seconds: until a connection, until an answer, between two tries at first and at most.
_CONNECT, _ANSWER, _FIRST, _LAST = 5.0, 10.0, 0.5, 8.0
# Another change of the same zone is under way (HTTP 400).
_AGAIN = ("PriorRequestNotComplete",)
_RESOLVER_PATIENCE = (1.0, 2.0)


class Route53(Kind):
    options: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "zone": {"type": "str"},
        "name": {"type": "str"},
        "record_type": {"type": "str", "choices": ["A", "AAAA", "CNAME"]},
        "resolvers": {"type": "list", "elements": "str"},
        "endpoint_url": {"type": "str"},
        "region": {"type": "str"},
        "access_key": {"type": "str", "no_log": False},
        "secret_key": {"type": "str", "no_log": True},
        "session_token": {"type": "str", "no_log": True},
    }
    needs = ("zone", "name")
    # Amazon's servers take up to a minute.
    limit: ClassVar[float] = 120.0

    def __init__(self, options: Mapping[str, Any], wish: Any) -> None:
        super().__init__(options, wish)
        self.name: str = options["name"].rstrip(".").lower()
        self.type: str = options["record_type"] or "A"
        self.resolvers = [_place(text) for text in options["resolvers"] or ()]
        self.troubles: list[str] = []
        self._client: Any = None

    def observe(self) -> Seen:
        if self.wish.cut:
            return Seen("unknown", False, self.cannot_cut())
        record, wanted = self._record(), self._wanted()
        values = [entry["Value"] for entry in record["ResourceRecords"]]
        answers = self._answers(wanted) if values == [wanted] else {}
        evidence = [*self.troubles, *(f"the resolver {where} says {said}" for where, said in answers.items())]
        leads = f"{self.name} ({self.type}) at {', '.join(values)}, TTL {record['TTL']} s"
        more = {"record": record, "wanted": wanted, "ttl": record["TTL"]}
        return Seen(leads, values == [wanted] and not answers, "", evidence, more)

    def steps(self, seen: Seen) -> list[str]:
        said = [f"lead {self.name} to {seen.more['wanted']} (UPSERT), and wait until it is in sync"]
        if self.resolvers:
            said.append(f"wait until {len(self.resolvers)} resolvers answer so, at most the TTL of {seen.more['ttl']} s"
                        f" and {self.wish.limit:g} s")  # fmt: skip
        return said

    def act(self, seen: Seen) -> list[str]:
        record, wanted = seen.more["record"], seen.more["wanted"]
        done = []
        if [entry["Value"] for entry in record["ResourceRecords"]] != [wanted]:
            change = {"Action": "UPSERT", "ResourceRecordSet": {**record, "ResourceRecords": [{"Value": wanted}]}}
            batch = {"Comment": "day2.ops: the primary has changed", "Changes": [change]}
            asked = self._ask("change_resource_record_sets", ChangeBatch=batch, HostedZoneId=self.given["zone"])
            self._await_sync(asked["ChangeInfo"]["Id"])
            done.append(f"{self.name} leads to {wanted}, in sync at Route 53")
        limit = float(record["TTL"]) + self.wish.limit
        if not wait_until(lambda: not self._answers(wanted), limit if self.resolvers else 0):
            said = "; ".join(f"{where} says {said}" for where, said in self._answers(wanted).items())
            raise TrafficError(
                f"route53: {self.name} leads to {wanted} at Route 53, and after {limit:g} s resolvers say otherwise:"
                f" {said}. They keep answers longer than the record's TTL, or ask somebody else"
            )
        if self.resolvers:
            done.append(f"{len(self.resolvers)} resolvers say so")
        return [*done, *self.troubles]

    def cannot_cut(self) -> str:
        return "kind route53 cannot cut a server off: clients keep connections, and answers until their TTL has passed"

    def _wanted(self) -> str:
        target = self.wish.target
        if self.type == "CNAME":
            with suppress(ValueError):
                ipaddress.ip_address(target.host)
                raise TrafficError(f"route53: a CNAME needs a name, and 'primary' is the address {target.host}")
            return f"{target.host.rstrip('.')}."
        version = 4 if self.type == "A" else 6
        found = [one for one in target.addresses() if ipaddress.ip_address(one.partition("%")[0]).version == version]
        if not found:
            raise TrafficError(f"route53: {target.host} has no address for a record of type {self.type}")
        return found[0]

    def _record(self) -> dict[str, Any]:
        """The one that is meant; TrafficError where there is none, or one that has rules of its own."""
        listed = self._ask("list_resource_record_sets", HostedZoneId=self.given["zone"],
                           StartRecordName=self.name)["ResourceRecordSets"]  # fmt: skip
        here = [record for record in listed if record["Name"].rstrip(".").lower() == self.name]
        found = [record for record in here if record["Type"] == self.type]
        if not found:
            there = f"; it has {', '.join(sorted({record['Type'] for record in here}))}" if here else ""
            raise TrafficError(
                f"route53: zone {self.given['zone']} has no {self.type} record {self.name}{there}: it has to be made"
                " beforehand, with a short TTL"
            )
        if len(found) > 1 or "SetIdentifier" in found[0]:
            raise TrafficError(
                f"route53: {self.name} ({self.type}) has a routing policy, which decides where it leads: lead it by"
                " kind command"
            )
        if "AliasTarget" in found[0]:
            raise TrafficError(f"route53: {self.name} ({self.type}) is an alias of Amazon's: lead it by kind command")
        return dict(found[0])

    def _await_sync(self, change: str) -> None:
        def in_sync() -> bool:
            return bool(self._ask("get_change", Id=change)["ChangeInfo"]["Status"] == "INSYNC")

        if not wait_until(in_sync, self.wish.limit):
            raise TrafficError(
                f"route53: {self.name} was changed, and is not in sync at all of Amazon's servers after"
                f" {self.wish.limit:g} s (change {change}): another run waits for it again"
            )

    def _answers(self, wanted: str) -> dict[str, str]:
        """What resolvers say that say something else."""
        found = {}
        for host, port in self.resolvers:
            try:
                answer = resolver.ask(self.name, self.type, host, port, _RESOLVER_PATIENCE)
                said = [dns.same(record, self.type) for record in answer.records]
                words_ = ", ".join(said) or dns.CODES.get(answer.code, "nothing")
                if said != [dns.same(wanted, self.type)]:
                    found[f"{host}:{port}"] = words_
            except Undetermined as exc:
                found[f"{host}:{port}"] = f"nothing ({exc})"
        return found

    def _ask(self, operation: str, **arguments: Any) -> Any:
        """A request, again while Route 53 refuses it for the moment only."""
        call = getattr(self._connected(), operation)
        end, pause, tries = time.monotonic() + self.wish.limit, _FIRST, 0
        while True:
            try:
                answer = call(**arguments)
            except failures() as exc:
                tries += 1
                if not passing(exc) and code(exc) not in _AGAIN:
                    raise TrafficError(f"route53: {operation}: {words(exc)}") from exc
                if time.monotonic() + pause >= end:
                    raise TrafficError(f"route53: {operation}: tried {tries} times in {self.wish.limit:g} s: "
                                       f"{words(exc)}") from exc  # fmt: skip
                said = words(exc)
            else:
                if tries:
                    self.troubles.append(f"Route 53 refused {operation} {tries} times: {said}")
                return answer
            time.sleep(pause)
            pause = min(2 * pause, _LAST)

    def _connected(self) -> Any:
        if self._client is None:
            self._client = _connect(self.given)
        return self._client


def _connect(given: Mapping[str, Any]) -> Any:
    try:
        import boto3
        from botocore.config import Config
    except ImportError as exc:
        raise TrafficError(
            f"kind route53 needs boto3 for {sys.executable}: install python3-boto3 (Debian, RHEL) or boto3 (pip)"
        ) from exc
    wrong: Iterable[type[Exception]] = (*failures(), ValueError)
    try:
        return boto3.client(
            "route53",
            endpoint_url=given["endpoint_url"],
            region_name=given["region"] or "us-east-1",
            aws_access_key_id=given["access_key"],
            aws_secret_access_key=given["secret_key"],
            aws_session_token=given["session_token"],
            # It is asked again here, where that is counted and has one limit.
            config=Config(connect_timeout=_CONNECT, read_timeout=_ANSWER, retries={"total_max_attempts": 1}),
        )
    except tuple(wrong) as exc:
        raise TrafficError(f"route53: {words(exc)}") from exc


def _place(text: str) -> tuple[str, int]:
    """A resolver: an address, or with a port as 10.0.0.53:5353 and [fd00::53]:5353."""
    host, colon, port = text.rpartition(":")
    if text.count(":") > 1 and not text.startswith("["):
        host, colon, port = text, "", ""
    if not colon:
        return text.strip("[]"), resolver.PORT
    if not port.isdigit():
        raise TrafficError(f"route53: 'resolvers' has {text!r}, which is no address with a port")
    return host.strip("[]"), int(port)
