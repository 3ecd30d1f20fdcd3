# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Files by which traffic is led: what they say, and that nothing but one address changes; and a kind's options."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from ansible_collections.day2.ops.plugins.module_utils.failover.traffic import (
    base,
    haproxy,
    hosts_entry,
    pgbouncer_ini,
    registry,
)
from ansible_collections.day2.ops.plugins.module_utils.failover.traffic.base import Endpoint, TrafficError

INI = """[pgbouncer]
shop = host=not.a.database
[databases]
;shop = host=old port=1
# shop = host=old port=1
%include /etc/pgbouncer/more.ini
{}
[users]
shop = pool_mode=session
"""


@pytest.mark.parametrize(
    ("line", "name", "led"),
    [
        ("shop = host=old port=1 dbname=x", "shop", "shop = host=new port=2 dbname=x"),
        ("shop=  host = 'old'   port='1'  dbname=x ", "shop", "shop=  host=new   port=2  dbname=x "),
        ("shop = dbname=x password='host=old port=1 it''s'", "shop",
         "shop = host=new port=2 dbname=x password='host=old port=1 it''s'"),
        ("shop =", "shop", "shop =host=new port=2"),
        ("shop = host=a,b port=1", "shop", "shop = host=new port=2"),
        ('"my ""shop" = host=old', 'my "shop', '"my ""shop" = port=2 host=new'),
        ("* = host=old", "*", "* = port=2 host=new"),
        ("shop = hostaddr=1 host=old port=1", "shop", "shop = hostaddr=1 host=new port=2"),
        ("shop_ro = host=old port=1", "shop", "shop_ro = host=old port=1"),
        ("shop = host=old port=1\nshop = host=old port=3", "shop", "shop = host=new port=2\nshop = host=new port=2"),
    ],
)  # fmt: skip
def test_a_database_of_pgbouncer_is_led_elsewhere(line: str, name: str, led: str) -> None:
    text = pgbouncer_ini.led_to(INI.format(line), name, "new", 2)
    assert text == INI.format(led)
    assert {(one.host, one.port) for one in pgbouncer_ini.lines(text) if one.name == name} <= {("new", 2)}
    assert pgbouncer_ini.led_to(text, name, "new", 2) == text
    assert pgbouncer_ini.includes(text) == ["/etc/pgbouncer/more.ini"]


CFG = """frontend shop
    bind :1
listen shop
    server other old:1
    {}
backend else
    server primary old:1
"""


@pytest.mark.parametrize(
    ("line", "address"),
    [
        ("server primary old:1 check", "old:1"),
        ("server   primary\t10.0.0.1:5432 # old", "10.0.0.1:5432"),
        ("server primary [fd00::1]:5432 check inter 1s", "[fd00::1]:5432"),
        ("server primary old", "old"),
    ],
)
def test_a_server_of_haproxy_is_led_elsewhere(line: str, address: str) -> None:
    assert [place.address for place in haproxy.places(CFG.format(line), "shop/primary")] == [address]
    assert haproxy.led_to(CFG.format(line), "shop/primary", "new:2") == CFG.format(line.replace(address, "new:2"))


@pytest.mark.parametrize("line", ["# server primary old:1", "server primary2 old:1", "default-server primary old:1"])
def test_no_server_of_haproxy(line: str) -> None:
    assert haproxy.places(CFG.format(line), "shop/primary") == []


def test_a_server_of_haproxy_whose_address_comes_from_dns() -> None:
    (place,) = haproxy.places(CFG.format("server primary db:1 resolvers site"), "shop/primary")
    assert place.resolvers


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("10.0.0.1 db # the shop's", "10.0.0.9 db # the shop's"),
        ("10.0.0.1\tdb1 DB shop # x", "10.0.0.1\tdb1 shop # x\n10.0.0.9\tdb # day2.ops: where traffic leads"),
        ("10.0.0.1 db\nfd00::1 db", "10.0.0.9 db"),
        ("10.0.0.1 db2\n#10.0.0.1 db", "10.0.0.1 db2\n#10.0.0.1 db\n10.0.0.9\tdb # day2.ops: where traffic leads"),
        ("10.0.0.9\tdb # day2.ops: where traffic leads", "10.0.0.9\tdb # day2.ops: where traffic leads"),
        ("nonsense db", "nonsense db\n10.0.0.9\tdb # day2.ops: where traffic leads"),
    ],
)
def test_a_name_in_a_file_of_hosts(before: str, after: str) -> None:
    text = f"127.0.0.1 localhost\n{before}\n"
    led = hosts_entry.led_to(text, "db", "10.0.0.9")
    assert led == f"127.0.0.1 localhost\n{after}\n"
    assert hosts_entry.addresses_of(led, "db") == ["10.0.0.9"]
    assert hosts_entry.led_to(led, "db", "10.0.0.9") == led


@pytest.mark.parametrize(
    ("kind", "given", "wrong"),
    [
        ("pgbouncer", {"databases": ["shop"]}, []),
        ("pgbouncer", {}, ["kind pgbouncer needs 'databases'"]),
        ("haproxy", {"servers": ["a/b"], "databases": ["shop"]},
         ["'databases' is no option of kind haproxy; there are servers, config, socket"]),
        ("pgbouncer", {"database": ["shop"], "timeout": "9s", "config": None},
         ["'database' is no option of kind pgbouncer; did you mean 'databases'?", "kind pgbouncer needs 'databases'"]),
        ("hosts_entry", {"name": "db"}, []),
        ("route53", {"name": "db"}, ["kind route53 needs 'zone'"]),
        ("command", {"check": ["x"]}, ["kind command needs 'argv'"]),
        ("command", {"argv": ["x"], "cut_check": ["x"]},
         ["'cut_check' needs 'cut_argv', the command that cuts the old server off"]),
    ],
)  # fmt: skip
def test_options_of_a_kind(kind: str, given: dict[str, Any], wrong: list[str]) -> None:
    assert registry.faults(kind, given) == wrong


@pytest.mark.parametrize(
    ("raw", "words"),
    [({"host": "a b", "port": 1}, "no name of a host"), ({"host": "a'", "port": 1}, "no name of a host"),
     ({"host": "a", "port": 0}, "is no port"), ({"host": "a", "port": 65536}, "is no port")],
)  # fmt: skip
def test_an_endpoint_that_is_none(raw: dict[str, Any], words: str) -> None:
    with pytest.raises(TrafficError, match=words):
        Endpoint.read(raw, "primary")


def test_a_file_keeps_what_it_is(tmp_path: Path) -> None:
    real, link = tmp_path / "real.ini", tmp_path / "link.ini"
    real.write_bytes(b"\xff old\r\n")
    real.chmod(0o640)
    link.symlink_to(real)
    assert base.rewrite(str(link), base.content(str(link)).replace("old", "new"))
    assert link.is_symlink() and real.read_bytes() == b"\xff new\r\n" and real.stat().st_mode & 0o777 == 0o640
