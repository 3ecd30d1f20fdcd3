# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Route 53 that throttles, errs, takes its time, and resolvers that answer with what was before."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from ansible_collections.day2.ops.plugins.module_utils.errors import Undetermined
from ansible_collections.day2.ops.plugins.module_utils.failover.traffic import route53
from ansible_collections.day2.ops.plugins.module_utils.failover.traffic.base import Endpoint, TrafficError, Wish
from ansible_collections.day2.ops.plugins.module_utils.failover.traffic.route53 import Route53
from ansible_collections.day2.ops.plugins.module_utils.network import dns
from ansible_collections.day2.ops.plugins.module_utils.process import waiting
from botocore.exceptions import ClientError, EndpointConnectionError

OLD, NEW = "192.0.2.1", "192.0.2.2"
LIST, CHANGE, SYNC = "list_resource_record_sets", "change_resource_record_sets", "get_change"


def refusal(code: str, status: int = 400) -> Exception:
    answer: Any = {"Error": {"Code": code, "Message": "no"}, "ResponseMetadata": {"HTTPStatusCode": status}}
    return ClientError(answer, "it")


class Fake:
    """One zone. `faults` are raised by an operation, one a call; `lost` comes after the change was made."""

    def __init__(self, *records: dict[str, Any]) -> None:
        own = {"Name": "Db.shop.example.", "Type": "A", "TTL": 0, "ResourceRecords": [{"Value": OLD}]}
        self.records = list(records) or [own]
        self.faults: dict[str, list[Exception]] = {LIST: [], CHANGE: [], SYNC: []}
        self.lost: list[Exception] = []
        self.pending = 0
        self.is_deaf = False

    def _may(self, operation: str) -> None:
        if self.faults[operation]:
            raise self.faults[operation].pop(0)

    def list_resource_record_sets(self, **_given: Any) -> dict[str, Any]:
        self._may(LIST)
        return {"ResourceRecordSets": self.records}

    def change_resource_record_sets(self, **given: Any) -> dict[str, Any]:
        self._may(CHANGE)
        (change,) = given["ChangeBatch"]["Changes"]
        assert change["Action"] == "UPSERT"
        if not self.is_deaf:
            self.records = [change["ResourceRecordSet"]]
        if self.lost:
            raise self.lost.pop(0)
        return {"ChangeInfo": {"Id": "C1", "Status": "PENDING"}}

    def get_change(self, **_given: Any) -> dict[str, Any]:
        self._may(SYNC)
        self.pending -= 1
        return {"ChangeInfo": {"Status": "PENDING" if self.pending >= 0 else "INSYNC"}}


@pytest.fixture
def kind(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Route53]:
    for module, name, value in ((route53, "_FIRST", 0.001), (route53, "_LAST", 0.002), (waiting, "PAUSE", 0.001)):
        monkeypatch.setattr(module, name, value)

    def make(fake: Fake, limit: float = 5.0, primary: str = NEW, **options: Any) -> Route53:
        given = {**dict.fromkeys(Route53.options), "zone": "Z1", "name": "db.shop.example", **options}
        monkeypatch.setattr(route53, "_connect", lambda _given: fake)
        return Route53(given, Wish(Endpoint(primary, 5432), None, False, limit))

    return make


def lead(kind: Route53) -> list[str]:
    done = kind.act(kind.observe())
    assert kind.observe().is_done
    return done


@pytest.mark.parametrize(
    ("operation", "faults", "said"),
    [
        (CHANGE, [refusal("Throttling")] * 2, "Route 53 refused change_resource_record_sets 2 times: Throttling"),
        (CHANGE, [refusal("PriorRequestNotComplete")], "1 times: PriorRequestNotComplete"),
        (LIST, [refusal("ServiceUnavailable", 503)] * 3, "Route 53 refused list_resource_record_sets 3 times"),
        (SYNC, [refusal("Throttling"), EndpointConnectionError(endpoint_url="x")], "refused get_change 2 times"),
    ],
)
def test_what_passes_is_asked_again_and_said(
    kind: Callable[..., Route53], operation: str, faults: list[Exception], said: str
) -> None:
    fake = Fake()
    fake.faults[operation] = list(faults)
    assert said in " ".join(lead(kind(fake)))


def test_a_change_whose_answer_is_lost_is_made_again(kind: Callable[..., Route53]) -> None:
    fake = Fake()
    fake.lost = [refusal("InternalError", 500)]
    lead(kind(fake))
    assert fake.records[0]["ResourceRecords"] == [{"Value": NEW}] and fake.records[0]["TTL"] == 0


def test_one_that_takes_its_time_is_waited_for(kind: Callable[..., Route53]) -> None:
    fake = Fake()
    fake.pending = 3
    assert "in sync" in lead(kind(fake))[0]


@pytest.mark.parametrize(
    ("operation", "fault", "words"),
    [
        (LIST, refusal("AccessDenied", 403), "AccessDenied: no"),
        (LIST, refusal("NoSuchHostedZone", 404), "NoSuchHostedZone"),
        (CHANGE, refusal("InvalidChangeBatch"), "InvalidChangeBatch: no"),
        (CHANGE, refusal("Throttling"), r"tried \d+ times in 0.05 s: Throttling"),
    ],
)
def test_what_does_not_pass_is_said(kind: Callable[..., Route53], operation: str, fault: Exception, words: str) -> None:
    fake = Fake()
    fake.faults[operation] = [fault] * 1000
    with pytest.raises(TrafficError, match=words):
        lead(kind(fake, limit=0.05))


def test_one_that_is_never_in_sync(kind: Callable[..., Route53]) -> None:
    fake = Fake()
    fake.pending = 1_000_000
    with pytest.raises(TrafficError, match="is not in sync at all of Amazon's servers"):
        lead(kind(fake, limit=0.05))


def test_one_that_says_in_sync_and_has_changed_nothing(kind: Callable[..., Route53]) -> None:
    fake = Fake()
    fake.is_deaf = True
    one = kind(fake)
    one.act(one.observe())
    assert not one.observe().is_done and OLD in one.observe().leads


@pytest.mark.parametrize(
    ("records", "options", "words"),
    [
        ([{"Type": "CNAME", "ResourceRecords": []}], {}, "has no A record db.shop.example; it has CNAME"),
        ([{"Type": "A", "AliasTarget": {}}], {}, "is an alias"),
        ([{"Type": "A", "SetIdentifier": "1", "ResourceRecords": []}], {}, "has a routing policy"),
        ([{"Type": "AAAA", "TTL": 1, "ResourceRecords": []}], {"record_type": "AAAA"}, "has no address for a record"),
        ([{"Type": "CNAME", "TTL": 1, "ResourceRecords": []}], {"record_type": "CNAME"}, "a CNAME needs a name"),
    ],
)
def test_a_record_that_cannot_be_led(
    kind: Callable[..., Route53], records: list[dict[str, Any]], options: dict[str, Any], words: str
) -> None:
    with pytest.raises(TrafficError, match=words):
        kind(Fake(*({"Name": "db.shop.example.", **record} for record in records)), **options).observe()


def test_resolvers_that_keep_the_old_answer_for_a_while(
    kind: Callable[..., Route53], monkeypatch: pytest.MonkeyPatch
) -> None:
    answers = {"10.0.0.53": [OLD, OLD, NEW], "10.0.0.54": [None, NEW]}
    asked = []

    def ask(name: str, record: str, host: str, port: int, _patience: object) -> dns.Answer:
        asked.append((name, record, port))
        known = answers[host]
        said = known.pop(0) if len(known) > 1 else known[0]
        if said is None:
            raise Undetermined("no answer")
        return dns.Answer(0, [said], False)

    monkeypatch.setattr(route53.resolver, "ask", ask)
    done = lead(kind(Fake(), resolvers=["10.0.0.53", "10.0.0.54:5353"]))
    assert "2 resolvers say so" in done and set(asked) == {
        ("db.shop.example", "A", 53), ("db.shop.example", "A", 5353)
    }  # fmt: skip


def test_resolvers_that_keep_it_for_too_long(kind: Callable[..., Route53], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(route53.resolver, "ask", lambda *_given: dns.Answer(0, [OLD], False))
    fake = Fake()
    with pytest.raises(TrafficError, match=rf"10.0.0.53:53 says {OLD}"):
        lead(kind(fake, limit=0.05, resolvers=["10.0.0.53"]))
    # Another run finds the record as it should be, and waits for the resolvers alone.
    seen = kind(fake, limit=0.05, resolvers=["10.0.0.53"]).observe()
    assert not seen.is_done and "says 192.0.2.1" in seen.evidence[0]


@pytest.mark.parametrize(
    ("text", "place"),
    [("10.0.0.53", ("10.0.0.53", 53)), ("10.0.0.53:5353", ("10.0.0.53", 5353)), ("fd00::53", ("fd00::53", 53)),
     ("[fd00::53]:5353", ("fd00::53", 5353)), ("dns.example", ("dns.example", 53))],
)  # fmt: skip
def test_a_resolver(text: str, place: tuple[str, int]) -> None:
    assert route53._place(text) == place
