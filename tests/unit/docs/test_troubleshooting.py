# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Each message that the troubleshooting page quotes is in the source, word for word: somebody can meet it."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
PAGE = ROOT / "docs" / "troubleshooting.md"
# What Ansible itself says is not in this source.
OF_ANSIBLE = "## Messages of Ansible"


def quoted() -> list[str]:
    """The code spans in the first column of the tables of messages."""
    rows = re.findall(r"^\| (.*?) \| ", PAGE.read_text().partition(OF_ANSIBLE)[0].partition("## Before")[2], re.M)
    return [span for row in rows for span in re.findall(r"`([^`]+)`", row)]


def rendered(node: ast.AST) -> str:
    """A string of the source with its pieces joined, and a gap for what is put in at run time."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    if isinstance(node, ast.JoinedStr):
        return "".join(rendered(value) for value in node.values)
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        return rendered(node.left) + rendered(node.right)
    return "…"


def strings() -> Iterator[str]:
    for file in [*ROOT.glob("plugins/**/*.py"), *ROOT.glob("roles/**/*.py")]:
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, (ast.Constant, ast.JoinedStr, ast.BinOp)):
                yield " ".join(rendered(node).split())
    for file in [*ROOT.glob("roles/*/tasks/*.yml"), *ROOT.glob("playbooks/**/*.yml")]:
        yield " ".join(file.read_text().split())


@cache
def source() -> str:
    return "\n".join(strings())


def in_source(message: str) -> bool:
    """Gaps of the page are gaps of the source, or whatever the source has there."""
    parts = [re.escape(part.strip()) for part in message.split("…") if part.strip()]
    return re.search(r"[^\n]{0,200}?".join(parts), source()) is not None


def test_there_are_messages() -> None:
    assert len(quoted()) > 50 and len(set(quoted())) == len(quoted())


@pytest.mark.parametrize("message", quoted())
def test_a_quoted_message_is_in_the_source(message: str) -> None:
    assert in_source(message), message


def test_what_nobody_says_is_found_out() -> None:
    assert not in_source("the moon is in the way of …")
    assert not in_source("no backup was made, and everything was pruned")


def test_pages_link_to_it() -> None:
    for page in ("README.md", "docs/checklist.md", "docs/backup.md", "docs/restore.md", "docs/maintenance.md",
                 "docs/schedule.md", "docs/report.md"):  # fmt: skip
        assert "troubleshooting.md" in (ROOT / page).read_text(), page
