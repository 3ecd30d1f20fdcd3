# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.day2.ops.plugins.module_utils.errors import CheckError
from ansible_collections.day2.ops.plugins.plugin_utils.connections import (
    Connected,
    ConnectionFault,
    fill,
    fill_checks,
    finder,
    written_as,
)

OMIT = "__omit__"
CONNECTIONS: dict[str, Any] = {
    "shop": {"host": "db1", "port": 5433, "user": "monitor", "password": "hunter2", "database": "shop"},
    "local": {"database": "shop", "run_as": "postgres", "password": OMIT},
    "entry": {"service": "shop"},
    "cache": {"path": "/run/redis.sock", "database": 3},
    "api": {"url": "https://shop.example.com", "headers": {"Authorization": "Bearer x"}},
    "broken": "db1",
    "undefined": {"host": "{{ nobody }}"},
}


def template(value: Any) -> Any:
    if "{{" in str(value):
        raise AssertionError(f"{value} is asked for, and nobody named it")
    return value


def filled(**check: Any) -> dict[str, Any]:
    (result,) = fill_checks([{"id": "x", "title": "X", **check}], finder(CONNECTIONS, template, OMIT))
    return {field: value for field, value in result.items() if field not in ("id", "title", "probe")}


@pytest.mark.parametrize(
    ("check", "expected"),
    [
        ({"probe": "postgres", "connection": "shop"}, CONNECTIONS["shop"]),
        ({"probe": "postgres", "connection": "local"}, {"database": "shop", "run_as": "postgres"}),
        # What a check says itself counts; a field without a value says nothing.
        ({"probe": "postgres", "connection": "shop", "database": "other", "user": None},
         {**CONNECTIONS["shop"], "database": "other"}),
        ({"probe": "postgres", "connection": "local", "run_as": "barman"}, {"database": "shop", "run_as": "barman"}),
        # An address is one thing.
        ({"probe": "postgres", "connection": "entry", "host": "db2"}, {"host": "db2"}),
        ({"probe": "postgres", "connection": "shop", "service": "s"},
         {"service": "s", "user": "monitor", "password": "hunter2", "database": "shop"}),
        ({"probe": "redis", "connection": "cache"}, CONNECTIONS["cache"]),
        ({"probe": "redis", "connection": "cache", "host": "c2"}, {"host": "c2", "database": 3}),
        ({"probe": "http", "connection": "api", "query": "status"}, {**CONNECTIONS["api"], "query": "status"}),
        ({"probe": "prometheus", "connection": "api", "query": "up"}, {**CONNECTIONS["api"], "query": "up"}),
        # Without one nothing is looked for, and what is malformed is somebody else's to refuse.
        ({"probe": "disk", "path": "/"}, {"path": "/"}),
        ({"probe": "dsik", "connection": "shop"}, {"connection": "shop"}),
        ({"probe": "baseline", "of": {"probe": "redis", "connection": "cache"}},
         {"of": {"probe": "redis", **CONNECTIONS["cache"]}}),
    ],
)  # fmt: skip
def test_a_check_is_reached_as_its_connection_says(check: dict[str, Any], expected: dict[str, Any]) -> None:
    assert filled(**check) == expected


@pytest.mark.parametrize(
    ("check", "fault"),
    [
        ({"probe": "postgres", "connection": "shpo"}, "'shpo' is not in day2_connections; did you mean 'shop'?"),
        ({"probe": "postgres", "connection": "zebra"}, "there are shop, local, entry"),
        ({"probe": "postgres", "connection": ["shop"]}, "it is the name of one in day2_connections"),
        ({"probe": "disk", "connection": "shop"}, "probe 'disk' takes none"),
        ({"probe": "postgres", "connection": "broken"}, "day2_connections['broken'] is no mapping"),
        ({"probe": "postgres", "connection": "cache"}, "'cache' has the field 'path', which probe 'postgres' does not"),
        ({"probe": "redis", "connection": "entry"}, "has the field 'service', which probe 'redis' does not take"),
        ({"probe": "baseline", "of": {"probe": "redis", "connection": "cahce"}}, "did you mean 'cache'?"),
    ],
)
def test_a_connection_that_does_not_fit_is_refused_by_its_check(check: dict[str, Any], fault: str) -> None:
    with pytest.raises(CheckError) as refused:
        filled(**check)
    assert fault in str(refused.value) and "field 'connection'" in str(refused.value)
    assert "hunter2" not in str(refused.value)


def test_all_faults_are_named_at_once() -> None:
    """The others of the checks too, but none that a connection might not have."""
    checks: list[Any] = [
        {"id": name, "title": name, "probe": "postgres", "connection": name} for name in ("one", "shop", "two")
    ]
    checks += [
        {"id": "page", "title": "Page", "probe": "http", "connection": "apu", "user": "x"},
        {"id": "cache", "title": "Cache", "probe": "redis", "connection": "cahce", "quary": "x", "warning": "> 5"},
        {"id": "cache", "title": "Cache", "probe": "redi"},
        "text",
    ]
    with pytest.raises(CheckError) as refused:
        fill_checks(checks, finder(CONNECTIONS, template))
    assert [" ".join(problem.split(" ")[:4]).rstrip(":") for problem in refused.value.problems] == [
        "check 'one', field 'connection'", "check 'two', field 'connection'", "check 'page', field 'connection'",
        "check 'cache', field 'connection'", "check 'cache', field 'quary'", "check 'cache', field 'id'",
        "check 'cache', field 'probe'", "check 7 is text,",
    ]  # fmt: skip


@pytest.mark.parametrize("raw", [None, [], "db1", 5])
def test_where_there_are_no_connections_that_is_said(raw: object) -> None:
    with pytest.raises(ConnectionFault, match="'shop' is looked for in day2_connections, which is n"):
        finder(raw, template)("shop")


@pytest.mark.parametrize("checks", [None, "text", ["text"], [None], [{"id": "x", "probe": ["a"]}]])
def test_what_is_no_check_is_left_to_who_refuses_it(checks: Any) -> None:
    assert fill_checks(checks, finder(None, template)) == checks


def test_a_module_takes_the_fields_of_its_server_alone() -> None:
    taken = fill(
        {"databases": ["a"]}, "shop", CONNECTIONS["shop"], Connected.fields, "module pg_backup", Connected.ignored
    )
    assert taken == {"databases": ["a"], "host": "db1", "port": 5433, "user": "monitor", "password": "hunter2"}
    with pytest.raises(ConnectionFault, match="'pasword', which module pg_backup does not take; did you mean 'passwo"):
        fill({}, "connection", {"pasword": "x"}, Connected.fields, "module pg_backup", Connected.ignored)


@pytest.mark.parametrize(
    ("raw", "name"),
    [
        ("{{ shop_login }}", "shop_login"), ("{{ drill_login }}", "shop_login"), ("{{mine|default('x')}}", "mine"),
        ("{{ round }}", "round"), ("{{ nobody }}", None), ("{{ shop_login ~ 'x' }}", None), ("shop", None),
        ({"host": "db1"}, None), (None, None), ("{{ built }}", "built"),
    ],
)  # fmt: skip
def test_a_fault_names_the_variable_that_somebody_wrote(raw: object, name: str | None) -> None:
    variables = {
        "shop_login": "shpo", "drill_login": "{{ shop_login | default({}) }}", "mine": {"host": "db1"},
        "round": "{{ round }}", "built": "{{ 'a' if day else 'b' }}",
    }  # fmt: skip
    assert written_as(raw, variables) == name
