# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Patterns of hosts that match, and those that would run a playbook over nothing, or over others than were meant."""

from __future__ import annotations

from typing import Any

import pytest
from ansible import context
from ansible.errors import AnsibleError
from ansible.parsing.dataloader import DataLoader
from ansible.utils.context_objects import CLIArgs
from ansible.utils.vars import load_extra_vars
from ansible_collections.day2.ops.plugins.lookup.hosts import LookupModule

GROUPS = {
    "all": ["web1", "web2", "db1", "db2", "10.0.0.7"], "ungrouped": ["10.0.0.7"], "web": ["web1", "web2"],
    "database": ["db1", "db2"], "staging": ["web2", "db2"], "void": [],
}  # fmt: skip


def resolve(pattern: Any, groups: dict[str, list[str]] | None = None, **variables: Any) -> str:
    lookup = LookupModule(loader=DataLoader())
    (found,) = lookup.run([pattern], {"groups": GROUPS if groups is None else groups, **variables})
    return str(found)


@pytest.mark.parametrize(
    "pattern",
    [
        "all", "*", "web", "web1", "web,database", "web:database", "web:&staging", "all:!void", "web:!web1", "web*",
        "~(web|db)[0-9]", "web[0]", "10.0.0.7", "all:!nomatch*", "database:&staging:!db1", "web1,db1",
        "web[-1]", "web[0:1]", "all:!web[0]", "web,~db[0-9]",
    ],
)  # fmt: skip
def test_a_pattern_that_matches_stays(pattern: str) -> None:
    assert resolve(pattern).replace(":", ",") == pattern.replace(":", ",")


def test_patterns_may_be_a_list() -> None:
    assert resolve(["web", "db1"]) == "web,db1"


@pytest.mark.parametrize(
    ("pattern", "words"),
    [
        ("wbe", "did you mean 'web'?"), ("databse", "did you mean 'database'?"), ("web3", "did you mean"),
        ("web,databse", "'databse' of day2_hosts (web,databse)"), ("web:!stagin", "did you mean 'staging'?"),
        ("all:&stagging", "did you mean 'staging'?"), ("void", "group void has no host"), ("", "is empty"),
        ("web:!web", "all that matches is excluded"), ("web:&database", "all that matches is excluded"),
        ("zzz", "there are 10.0.0.7, database, db1"), ("nomatch*", "no host of the inventory fits"),
        ("wbe[0]", "did you mean 'web'?"), ("all:!databse[0]", "did you mean 'database'?"),
        ("web1,databse[0:1]", "'databse[0:1]' of day2_hosts"), ("web,nomatch*", "'nomatch*' of day2_hosts"),
        ("web,~nomatch", "'~nomatch' of day2_hosts"), ("db1,web[7]", "No hosts matched the subscripted pattern"),
        ("WEB", "neither a group nor a host"), ([], "is empty"), ("  ", "is empty"),
    ],
)  # fmt: skip
def test_a_pattern_that_matches_nothing_is_refused(pattern: Any, words: str) -> None:
    with pytest.raises(AnsibleError) as refused:
        resolve(pattern)
    assert words in str(refused.value)


def test_an_inventory_without_hosts_is_refused() -> None:
    with pytest.raises(AnsibleError, match="the inventory has no host"):
        resolve("all", {"all": [], "ungrouped": []})


def test_this_machine_needs_no_inventory() -> None:
    assert resolve("localhost", {"all": [], "ungrouped": []}) == "localhost"


@pytest.mark.parametrize(("pattern", "limit"), [("web", "database"), ("web1", "web2"), ("all:!staging", "db2,web2")])
def test_a_limit_that_leaves_no_host_is_refused(pattern: str, limit: str) -> None:
    with pytest.raises(AnsibleError, match=f"--limit {limit} leaves no host of day2_hosts"):
        resolve(pattern, ansible_limit=limit)


def test_a_limit_that_leaves_some_is_none_of_its_business() -> None:
    assert resolve("web", ansible_limit="web1,db1") == "web"


def test_a_misspelt_option_is_refused() -> None:
    with pytest.raises(AnsibleError, match="has no option 'patern'"):
        LookupModule(loader=DataLoader()).run(["all"], {"groups": GROUPS}, patern="web")


@pytest.fixture
def extra(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> Any:
    """Sets what comes with -e, in a directory without an inventory."""
    monkeypatch.chdir(tmp_path)

    def give(*options: str) -> None:
        monkeypatch.setattr(context, "CLIARGS", CLIArgs({"extra_vars": options, "inventory": (), "args": ()}))
        # Ansible reads them once.
        monkeypatch.setattr(load_extra_vars, "extra_vars", None, raising=False)

    return give


@pytest.mark.parametrize(
    "option", ["day2_host=web1", '{"day2_host": "web1"}', "day2_hosts=web1 day2_host=web2", "@vars.yml"]
)
def test_a_misspelt_extra_variable_is_refused(extra: Any, tmp_path: Any, option: str) -> None:
    (tmp_path / "vars.yml").write_text("day2_host: web1")
    extra(option)
    with pytest.raises(AnsibleError, match=r"extra variable 'day2_host' .* did you mean 'day2_hosts'\?"):
        resolve("all")


def test_extra_variables_that_are_meant_pass(extra: Any, capsys: pytest.CaptureFixture[str]) -> None:
    extra("day2_hosts=web", "shop_version=3", '{"day2_daily_checks_mine": []}')
    assert resolve("web") == "web" and capsys.readouterr().err == ""


def test_an_extra_variable_that_may_be_misspelt_is_warned_of(extra: Any, capsys: pytest.CaptureFixture[str]) -> None:
    extra("backup_databses=shop")
    assert resolve("web") == "web"
    assert "did you mean 'postgres_backup_databases'?" in " ".join(capsys.readouterr().err.split())
