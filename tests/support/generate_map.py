# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Write docs/map.md: which check, step or playbook answers which item of which manual (`make docs`).

Checks say it themselves (`ref`, in the inventories); docs/manuals/done.yml names what is no check, and
docs/manuals/open.yml says why the rest is not there yet. A unit test fails on an item that is in none of the three.
"""

from __future__ import annotations

import re
from collections import defaultdict
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[2]
MANUALS = ROOT / "docs" / "manuals"
CADENCES = ("daily", "weekly", "monthly", "quarterly", "backup", "drill", "recovery")

_HEAD = """# From the manual to the check

<!-- Made by `make docs` from the inventories and docs/manuals; edit those. -->

Each item of the five operations manuals and what answers it: checks of an inventory (by cadence and id), a playbook
or a role. What is not there yet says why.

"""


class _Loader(yaml.SafeLoader):
    """Vault and unsafe tags are of no interest here."""


_Loader.add_multi_constructor("!", lambda loader, _tag, node: loader.construct_scalar(node))


def _load(path: Path) -> Any:
    return yaml.load(path.read_text(encoding="utf-8"), _Loader)


def manuals() -> list[dict[str, Any]]:
    names = ("options_engine", "snowflake_analytics", "entasis", "stock_analysis", "eafix")
    return [_load(MANUALS / f"{name}.yml") for name in names]


def checks(system: str) -> list[tuple[str, dict[str, Any]]]:
    """Cadence and check of everything that a system's inventory asks."""
    return _lists(system, "checks")


def views(system: str) -> list[tuple[str, dict[str, Any]]]:
    """Cadence and view of everything that a system's inventory shows of its history."""
    return _lists(system, "views")


def _lists(system: str, kind: str) -> list[tuple[str, dict[str, Any]]]:
    found = []
    for path in sorted((ROOT / "inventories" / system).glob("group_vars/*/*.yml")):
        for name, value in (_load(path) or {}).items():
            cadence = re.fullmatch(rf"day2_({'|'.join(CADENCES)})_{kind}(?:_\w+)?", name)
            if cadence is not None and isinstance(value, list):
                found += [(cadence[1], check) for check in value]
    return sorted(found, key=lambda each: CADENCES.index(each[0]))


def answered(system: str) -> dict[str, list[str]]:
    """By item: the checks and views that carry its id."""
    answers: dict[str, list[str]] = defaultdict(list)
    for cadence, check in checks(system) + views(system):
        refs = check.get("ref") or []
        for ref in refs if isinstance(refs, list) else [refs]:
            answers[ref].append(f"{cadence} `{check['id']}`")
    return answers


def done() -> dict[str, str]:
    content: dict[str, str] = _load(MANUALS / "done.yml")
    return content


def open_rules() -> list[tuple[re.Pattern[str], str]]:
    return [(re.compile(rule["ids"]), rule["reason"]) for rule in _load(MANUALS / "open.yml")]


def why_open(item: str) -> str | None:
    return next((reason for pattern, reason in open_rules() if pattern.fullmatch(item)), None)


def render() -> str:
    text = _HEAD
    for manual in manuals():
        answers, more = answered(manual["system"]), done()
        text += f"## {manual['title']}\n\n| item | cadence | what | answered by |\n|---|---|---|---|\n"
        for item in manual["items"]:
            name = item["id"]
            found = answers.get(name, []) + ([more[name]] if name in more else [])
            reason = why_open(name)
            if reason is not None and not found:
                found.append(f"*open: {reason}*")
            what = item["what"].replace("|", "\\|")
            text += f"| {name} | {item['cadence']} | {what} | {'; '.join(found)} |\n"
        text += "\n"
    return text.rstrip() + "\n"


if __name__ == "__main__":
    (ROOT / "docs" / "map.md").write_text(render(), encoding="utf-8")
