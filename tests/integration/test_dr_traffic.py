# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Traffic of a real PgBouncer, HAProxy, file of hosts and Route 53 is led from one cluster to another, or cut off."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from lab_host import LabHost
from traffic_host import CFG, INI, NEW, OLD, POOL, PROXY, Traffic, traffic_on

SHOP = {"databases": ["shop"]}
BOTH = {"databases": ["shop", "audit"]}
SERVER = {"servers": ["shop/primary"]}


@pytest.fixture(scope="module")
def prepared(lab_host: LabHost) -> Iterator[Traffic]:
    with traffic_on(lab_host) as made:
        yield made


@pytest.fixture
def traffic(prepared: Traffic) -> Traffic:
    prepared.reset()
    return prepared


def test_clients_of_pgbouncer_write_through_it_without_an_error(traffic: Traffic) -> None:
    before = traffic.host.run("cat", INI)
    call = {"kind": "pgbouncer", "primary": NEW, "old": OLD, **SHOP}
    planned = traffic.host.task("day2.ops.dr_traffic", call, become_user="root", check_mode=True)
    assert planned["changed"] and "pause shop" in planned["steps"][0] and traffic.host.run("cat", INI) == before
    with traffic.writing(POOL) as written, traffic.holding(POOL, "audit"):
        traffic.until(lambda: traffic.count(OLD) > 20)
        done = traffic.lead("pgbouncer", **SHOP)
        assert done["changed"], done
        traffic.until(lambda: traffic.count(NEW) > 20)
        # The transaction of another database goes on, where it was.
        assert traffic.connections("pgbouncer", OLD) == 1
    assert written["wrong"] == [] and traffic.count(OLD) + traffic.count(NEW) == written["count"]
    assert traffic.who_answers(POOL, "audit") == "old"
    there = f"port={NEW['port']} user=shop password='it''s' pool_size=5"
    assert traffic.host.run("cat", INI) == before.replace(
        f"port={OLD['port']} user=shop password='it''s' pool_size=5", there
    )
    assert traffic.host.run("stat", "-c", "%U %G %a", INI) == "postgres postgres 640"
    assert not traffic.lead("pgbouncer", **SHOP)["changed"]
    # As a run leaves it that was killed.
    traffic.console("PAUSE shop")
    assert traffic.lead("pgbouncer", **SHOP)["changed"] and traffic.who_answers(POOL) == "new"
    traffic.host.run("systemctl", "restart", "pgbouncer")
    assert traffic.who_answers(POOL) == "new"


def test_a_session_that_is_busy_for_too_long_is_cut(traffic: Traffic) -> None:
    with traffic.holding(POOL):
        done = traffic.lead("pgbouncer", timeout="1s", **SHOP)
        assert done["changed"] and "busy for 1 s" in done["steps"][0], done
    assert traffic.who_answers(POOL) == "new" and traffic.connections("pgbouncer", OLD) == 0


def test_a_client_that_waits_for_a_server_that_is_gone_is_served_at_once(traffic: Traffic) -> None:
    traffic.host.run("systemctl", "stop", "postgresql@15-old")
    try:
        with traffic.asking(POOL) as answers:
            traffic.until(lambda: "|waiting|" in traffic.console("SHOW CLIENTS"))
            assert traffic.lead("pgbouncer", **SHOP)["changed"]
        assert answers == ["new"]
        assert "server_login_retry|15|" in traffic.console("SHOW CONFIG")
    finally:
        traffic.host.run("systemctl", "start", "postgresql@15-old")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"primary": {"host": "127.0.0.1", "port": 1}}, "cannot be reached from this host"),
        ({"databases": ["shp"]}, "did you mean 'shop'"),
        ({"databases": []}, "needs 'databases'"),
        ({"servers": ["a/b"]}, "'servers' is no option of kind pgbouncer"),
        ({"admin_port": 6433}, "missing: PgBouncer does not run, or has another socket"),
        ({"primary": {"host": "db 2"}}, "is no name of a host"),
    ],
)
def test_what_cannot_be_leaves_pgbouncer_as_it_is(prepared: Traffic, arguments: dict[str, Any], words: str) -> None:
    before = prepared.host.run("cat", INI), prepared.console("SHOW DATABASES")
    done = prepared.lead("pgbouncer", **{**SHOP, **arguments})
    assert done.get("failed") and words in done["msg"], done
    assert (prepared.host.run("cat", INI), prepared.console("SHOW DATABASES")) == before


def test_a_configuration_that_pgbouncer_does_not_take_is_put_back(traffic: Traffic) -> None:
    traffic.host.run("sed", "-i", "s/pool_size=5/pool_mode=none/", INI)
    before = traffic.host.run("cat", INI)
    done = traffic.lead("pgbouncer", **SHOP)
    assert done.get("failed") and "its log says" in done["msg"], done
    assert traffic.host.run("cat", INI) == before and traffic.who_answers(POOL) == "old"


def test_what_pgbouncer_cuts_off_stays_so_until_it_is_led_on(traffic: Traffic) -> None:
    with traffic.holding(POOL):
        alone = traffic.lead("pgbouncer", cut=True, **SHOP)
        assert not alone["proven"] and "audit of this PgBouncer leads to 127.0.0.1:5471 as well" in alone["msg"], alone
        done = traffic.lead("pgbouncer", cut=True, **BOTH)
        assert done["proven"] and done["survives_reboot"] and done["changed"], done
        assert traffic.connections("pgbouncer", OLD) == 0
    again = traffic.lead("pgbouncer", cut=True, **BOTH)
    assert again["proven"] and not again["changed"]
    traffic.host.run("systemctl", "restart", "pgbouncer")
    assert traffic.who_answers(POOL) == "" and traffic.connections("pgbouncer", OLD) == 0
    assert traffic.lead("pgbouncer", **BOTH)["changed"] and traffic.who_answers(POOL) == "new"


def test_pgbouncer_that_does_not_run_is_cut_off_in_its_file(traffic: Traffic) -> None:
    traffic.host.run("systemctl", "stop", "pgbouncer")
    done = traffic.lead("pgbouncer", cut=True, **BOTH)
    assert done["proven"] and done["changed"], done
    traffic.host.run("systemctl", "start", "pgbouncer")
    assert traffic.who_answers(POOL) == ""


def test_haproxy_leads_on_at_once_and_after_a_restart(traffic: Traffic) -> None:
    before = traffic.host.run("cat", CFG)
    assert traffic.lead("haproxy", check_mode=True, **SERVER)["changed"]
    assert traffic.who_answers(PROXY) == "old" and traffic.host.run("cat", CFG) == before
    with traffic.holding(PROXY):
        done = traffic.lead("haproxy", **SERVER)
        assert done["changed"] and traffic.who_answers(PROXY) == "new", done
        assert traffic.connections("haproxy", OLD) == 0
    assert traffic.host.run("cat", CFG) == before.replace(
        f"primary 127.0.0.1:{OLD['port']}", f"primary 127.0.0.1:{NEW['port']}"
    )
    assert not traffic.lead("haproxy", **SERVER)["changed"]
    traffic.host.run("systemctl", "restart", "haproxy")
    traffic.until(lambda: traffic.who_answers(PROXY) == "new")


def test_what_haproxy_cuts_off_stays_so_until_it_is_led_on(traffic: Traffic) -> None:
    with traffic.holding(PROXY):
        done = traffic.lead("haproxy", cut=True, **SERVER)
        assert done["proven"] and done["survives_reboot"], done
        assert traffic.connections("haproxy", OLD) == 0
    assert not traffic.lead("haproxy", cut=True, **SERVER)["changed"]
    traffic.host.run("systemctl", "restart", "haproxy")
    assert traffic.who_answers(PROXY) == ""
    assert traffic.lead("haproxy", **SERVER)["changed"] and traffic.who_answers(PROXY) == "new"


def test_a_process_of_haproxy_from_before_a_reload_is_seen(traffic: Traffic) -> None:
    with traffic.holding(PROXY):
        traffic.host.run("systemctl", "reload", "haproxy")
        traffic.until(lambda: traffic.who_answers(PROXY) == "old")
        done = traffic.lead("haproxy", cut=True, timeout="1s", **SERVER)
        assert not done["proven"] and "HAProxy has 1 connections to 127.0.0.1:5471" in done["msg"], done
    traffic.until(lambda: traffic.lead("haproxy", cut=True, **SERVER)["proven"])


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"primary": {"host": "127.0.0.1", "port": 1}}, "cannot be reached from this host"),
        ({"servers": ["shop/prmary"]}, "has no line for the server"),
        ({"servers": ["shop"]}, "no backend/server"),
        ({"socket": "/run/haproxy/none.sock"}, "none.sock is missing"),
    ],
)
def test_what_cannot_be_leaves_haproxy_as_it_is(prepared: Traffic, arguments: dict[str, Any], words: str) -> None:
    before = prepared.host.run("cat", CFG)
    done = prepared.lead("haproxy", **{**SERVER, **arguments})
    assert done.get("failed") and words in done["msg"], done
    assert prepared.host.run("cat", CFG) == before


def test_a_name_in_the_file_of_hosts(traffic: Traffic) -> None:
    before = traffic.host.run("cat", "/etc/hosts")
    traffic.host.run("tee", "/etc/hosts", text=f"{before}\n192.0.2.7 db1 Shop-Db other # the first\n")
    try:
        done = traffic.lead("hosts_entry", name="shop-db")
        assert done["changed"], done
        assert traffic.host.run("getent", "hosts", "shop-db").split()[0] == "127.0.0.1"
        assert "192.0.2.7\tdb1 other # the first" in traffic.host.run("cat", "/etc/hosts").splitlines()
        assert not traffic.lead("hosts_entry", name="shop-db")["changed"]
        cut = traffic.lead("hosts_entry", name="shop-db", cut=True)
        assert not cut["proven"] and not cut["changed"] and "cannot cut a server off" in cut["msg"]
    finally:
        traffic.host.run("tee", "/etc/hosts", text=f"{before}\n")


def test_commands_of_a_site(traffic: Traffic) -> None:
    given = {
        "argv": ["sh", "-c", 'echo "$DAY2_PRIMARY_PORT" > /run/day2-led'],
        "check": ["grep", "-qsx", "5472", "/run/day2-led"],
        "cut_argv": ["rm", "/run/day2-led"],
        "cut_check": ["test", "!", "-e", "/run/day2-led"],
    }
    missing = traffic.lead("command", **given)
    assert missing.get("failed") and "'check'" in missing["msg"], missing
    traffic.host.run("tee", "/run/day2-led", text="5471\n")
    assert traffic.lead("command", **given)["changed"] and traffic.host.run("cat", "/run/day2-led") == "5472"
    assert not traffic.lead("command", **given)["changed"]
    assert not traffic.lead("command", cut=True, argv=given["argv"])["proven"]
    assert traffic.host.run("cat", "/run/day2-led") == "5472"
    done = traffic.lead("command", cut=True, **given)
    assert done["proven"] and done["survives_reboot"] is None and done["layer"] == "command", done


def test_a_record_in_route_53(traffic: Traffic) -> None:
    endpoint = traffic.host.lab.s3()
    keys = {"region_name": "us-east-1", "aws_access_key_id": "x", "aws_secret_access_key": "x"}
    client = boto3.client("route53", endpoint_url=endpoint, **keys)
    zone = client.create_hosted_zone(Name="shop.example", CallerReference="once")["HostedZone"]["Id"]
    record = {"Name": "db.shop.example.", "Type": "A", "TTL": 17, "ResourceRecords": [{"Value": "192.0.2.7"}]}
    client.change_resource_record_sets(
        HostedZoneId=zone, ChangeBatch={"Changes": [{"Action": "CREATE", "ResourceRecordSet": record}]}
    )
    given = {
        "zone": zone,
        "name": "db.shop.example",
        "endpoint_url": endpoint,
        "access_key": "x",
        "secret_key": "x-secret",
    }
    assert traffic.lead("route53", check_mode=True, **given)["changed"]
    done = traffic.lead("route53", **given)
    assert done["changed"] and done["ttl"] == 17 and "192.0.2.7" in done["before"], done
    listed = client.list_resource_record_sets(HostedZoneId=zone)["ResourceRecordSets"]
    assert [one for one in listed if one["Type"] == "A"] == [{**record, "ResourceRecords": [{"Value": "127.0.0.1"}]}]
    assert not traffic.lead("route53", **given)["changed"]
    none = traffic.lead("route53", **{**given, "name": "dbx.shop.example"})
    assert none.get("failed") and "has no A record dbx.shop.example" in none["msg"], none


def test_a_run_that_was_superseded_changes_nothing(traffic: Traffic) -> None:
    first = {"system": "traffic-test", "epoch": 4, "run": "first", **SHOP}
    assert traffic.lead("pgbouncer", **{**first, "epoch": 5, "run": "second", "primary": OLD})["changed"] is False
    for check_mode in (True, False):
        done = traffic.lead("pgbouncer", check_mode, **first)
        assert done.get("failed") and "second" in done["msg"], done
    assert traffic.who_answers(POOL) == "old"
