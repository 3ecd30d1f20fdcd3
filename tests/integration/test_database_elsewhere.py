# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A database of another server is not backed up, nor replaced, as if it were the host's own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from site_of_hosts import Site

ELSEWHERE = {"name": "shop", "host": "db7.example.com", "user": "shop"}
REFUSAL = "day2_database.host is db7.example.com, and backups and restores would reach the server of here itself"


@pytest.mark.parametrize("playbook", ["backup", "restore", "recover"])
@pytest.mark.parametrize("options", [("--check",), ()], ids=["plan", "run"])
def test_what_only_the_inventory_names_is_refused(playbook: str, options: tuple[str, ...], tmp_path: Path) -> None:
    sets = tmp_path / "sets"
    site = Site(tmp_path)
    variables: dict[str, Any] = {"postgres_backup_repository": str(sets), "recovery_scope": "database"}
    site.host("here", day2_system="shop", day2_database=ELSEWHERE, day2_confirm="shop", **variables)
    assert site.run(*options, playbook=f"day2.ops.{playbook}") == 2
    assert REFUSAL in site.output and "postgres_backup_login" in site.output
    assert not sets.exists()
