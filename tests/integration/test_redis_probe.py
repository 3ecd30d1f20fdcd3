# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Probe redis on a real server; redis-cli is asked what is right."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest

PREFIX = "options_engine:"


def cli(lab_host: Any, *words: str) -> str:
    return str(lab_host.run("redis-cli", *words))


@pytest.fixture(scope="module")
def seen(lab_host: Any) -> Iterator[dict[str, dict[str, Any]]]:
    for number in range(7):
        cli(lab_host, "RPUSH", "test:queue", str(number))
    # More than one lookup in five misses: others may have restarted it since, which forgets what was asked before.
    lab_host.run("redis-cli", text="GET test:queue-no\nLLEN test:queue\n" + "LLEN test:queue\n" * 2000)
    cli(lab_host, "XADD", "test:stream", "*", "a", "1")
    results: dict[str, dict[str, Any]] = lab_host.checks(
        {"id": "latency", "probe": "redis"},
        {"id": "hits", "probe": "redis", "metric": "hit_rate", "warning": "< 80%"},
        {"id": "idle", "probe": "redis", "metric": "hit_rate", "min_lookups": 1000000000},
        {"id": "memory", "probe": "redis", "metric": "memory", "critical": "> 1GB"},
        {"id": "share", "probe": "redis", "metric": "memory_percent"},
        {"id": "clients", "probe": "redis", "field": "connected_clients", "unit": "clients"},
        {"id": "role", "probe": "redis", "field": "role", "critical": "!= master"},
        {"id": "no-field", "probe": "redis", "field": "nonsense"},
        {"id": "queue", "probe": "redis", "key": "test:queue", "warning": "> 5"},
        {"id": "stream", "probe": "redis", "key": "test:stream"},
        {"id": "empty", "probe": "redis", "key": "test:nothing"},
        {"id": "text", "probe": "redis", "key": f"{PREFIX}session:0001"},
        {"id": "prefix", "probe": "redis", "prefix": PREFIX},
        {"id": "prefixes", "probe": "redis", "metric": "prefix_memory"},
        {"id": "down", "probe": "redis", "port": 6399},
        {"id": "not-redis", "probe": "redis", "port": 8080},
        {"id": "password", "probe": "redis", "password": "wrongwrong"},
        {"id": "lag", "probe": "redis", "metric": "replication_lag"},
    )
    yield results
    cli(lab_host, "DEL", "test:queue", "test:stream")


STATUS = {
    "ok": "latency hits memory clients role stream empty prefix prefixes",
    "warning": "queue",
    "critical": "down not-redis password",
    "unknown": "idle share no-field text lag",
}


@pytest.mark.parametrize(
    ("check", "status"), [(check, status) for status in STATUS for check in STATUS[status].split()]
)
def test_status(seen: dict[str, dict[str, Any]], check: str, status: str) -> None:
    assert seen[check]["status"] == status, seen[check]


def test_values_are_those_of_redis_cli(lab_host: Any, seen: dict[str, dict[str, Any]]) -> None:
    info = dict(line.split(":", 1) for line in cli(lab_host, "INFO").replace("\r", "").splitlines() if ":" in line)
    hits, misses = int(info["keyspace_hits"]), int(info["keyspace_misses"])
    assert seen["hits"]["value"] == pytest.approx(100 * hits / (hits + misses), abs=1)
    assert seen["memory"]["value"] == pytest.approx(int(info["used_memory"]), rel=0.3)
    assert seen["queue"]["value"] == 7 and seen["stream"]["value"] == 1 and seen["empty"]["value"] == 0
    keys = cli(lab_host, "--scan", "--pattern", f"{PREFIX}*").splitlines()
    assert f"{len(keys)} keys" in seen["prefix"]["message"]
    sizes = [int(cli(lab_host, "MEMORY", "USAGE", key)) for key in keys[::20]]
    assert seen["prefix"]["value"] == pytest.approx(sum(sizes) / len(sizes) * len(keys), rel=0.15)
    assert seen["prefixes"]["evidence"][0].startswith(PREFIX)
    assert "wrongwrong" not in json.dumps(seen)


def test_a_million_keys_do_not_stall_the_server(lab_host: Any) -> None:
    lab_host.run(
        "bash",
        "-c",
        "redis-server --port 6390 --save '' --daemonize yes --dir /tmp --logfile /tmp/r.log"
        " --enable-debug-command yes --pidfile /tmp/r.pid;"
        " until redis-cli -p 6390 ping; do sleep 0.1; done; redis-cli -p 6390 DEBUG POPULATE 1000000 big 30;"
        " redis-cli -p 6390 config resetstat",
    )
    try:
        check = {"id": "x", "probe": "redis", "port": 6390, "metric": "prefix_memory", "timeout": 5}
        result = lab_host.checks(check)["x"]
        assert result["status"] == "ok", result
        stats = lab_host.run("redis-cli", "-p", "6390", "info", "commandstats")
        assert "cmdstat_scan" in stats and "cmdstat_keys" not in stats
        # In pieces, between which others are served; on a busy machine it ends before it has seen them all.
        assert int(re.search(r"cmdstat_scan:calls=(\d+)", stats)[1]) >= 100
        size = int(lab_host.run("redis-cli", "-p", "6390", "memory", "usage", "big:1"))
        assert result["value"] == pytest.approx(1000000 * size, rel=0.2)
    finally:
        lab_host.run("redis-cli", "-p", "6390", "shutdown", "nosave", check=False)


def test_password_and_socket(lab_host: Any) -> None:
    lab_host.run(
        "bash",
        "-c",
        "redis-server --port 0 --unixsocket /tmp/r.sock --unixsocketperm 700 --save ''"
        " --requirepass secretsecret --daemonize yes --dir /tmp; until redis-cli -s /tmp/r.sock -a secretsecret"
        " ping 2>/dev/null | grep PONG; do sleep 0.1; done",
    )
    try:
        results = lab_host.checks(
            {"id": "in", "probe": "redis", "path": "/tmp/r.sock", "password": "secretsecret"},
            {"id": "out", "probe": "redis", "path": "/tmp/r.sock"},
            {"id": "wrong", "probe": "redis", "path": "/tmp/r.sock", "password": "nonenone", "metric": "memory"},
        )
        assert [results[name]["status"] for name in ("in", "out", "wrong")] == ["ok", "critical", "unknown"], results
        assert "NOAUTH" in results["out"]["message"]
    finally:
        lab_host.run("redis-cli", "-s", "/tmp/r.sock", "-a", "secretsecret", "shutdown", "nosave", check=False)


def test_server_that_never_answers_costs_its_own_time_only(lab_host: Any) -> None:
    listener = "import socket,time; s=socket.create_server(('127.0.0.1', 6391)); time.sleep(60)"
    lab_host.run("bash", "-c", f'nohup python3 -c "{listener}" >/dev/null 2>&1 & echo $! > /tmp/hang.pid; sleep 0.3')
    try:
        results = lab_host.checks(
            {"id": "hung", "probe": "redis", "port": 6391, "timeout": 2},
            {"id": "slow", "probe": "redis", "port": 6391, "timeout": 2, "critical": "> 1s"},
            {"id": "fine", "probe": "redis"},
        )
        assert [results[name]["status"] for name in ("hung", "slow", "fine")] == ["unknown", "critical", "ok"], results
    finally:
        lab_host.run("bash", "-c", "kill $(cat /tmp/hang.pid)")


def test_a_user_who_may_only_ping_finds_a_server_that_serves(lab_host: Any) -> None:
    cli(lab_host, "ACL", "SETUSER", "watch", "on", ">watchwatch", "-@all", "+ping")
    cli(lab_host, "ACL", "SETUSER", "mute", "on", ">mutemute", "-@all", "+info")
    try:
        watch = {"probe": "redis", "user": "watch", "password": "watchwatch"}
        results = lab_host.checks(
            {"id": "serves", **watch},
            {"id": "memory", "metric": "memory", **watch},
            {"id": "field", "field": "role", **watch},
            {"id": "lag", "metric": "replication_lag", **watch},
            {"id": "length", "key": "x", **watch},
            {"id": "mute", "probe": "redis", "user": "mute", "password": "mutemute"},
            {"id": "role", "probe": "redis", "user": "mute", "password": "mutemute", "field": "role"},
        )
    finally:
        cli(lab_host, "ACL", "DELUSER", "watch", "mute")
    assert results["serves"]["status"] == "ok" and "INFO is refused to this user" in results["serves"]["message"]
    for name in ("memory", "field", "lag", "length"):
        assert results[name]["status"] == "unknown" and "NOPERM" in results[name]["message"], results[name]
    assert results["mute"]["status"] == results["role"]["status"] == "ok", results
