# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What role postgres_backup made. Pure."""

from __future__ import annotations

from ansible_collections.day2.ops.plugins.plugin_utils.decisions.results import Result, items


def not_due(databases: Result, files: Result) -> list[str]:
    """What had a set that is new enough: the databases, and series of the loop over files."""
    of_files = [entry for entry in items(files) if entry.get("made") is False]
    names = [str((entry.get("postgres_backup_group") or {}).get("series")) for entry in of_files]
    return (["databases"] if databases.get("made") is False else []) + names


def new_directories(before: Result) -> list[str]:
    """What the loop of `stat` over the directories of the sets did not find, before they were made."""
    return [str(entry["item"]) for entry in items(before) if (entry.get("stat") or {}).get("exists") is False]
