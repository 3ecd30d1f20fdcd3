# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The hosts of a play, refused where they are none: a run over no host looks like a good one."""

from __future__ import annotations

DOCUMENTATION = r"""
name: hosts
short_description: Refuse a pattern of hosts that matches no host, and misspelt extra variables
version_added: 0.1.0
author: The day2.ops maintainers (@day2-ops)
description:
  - Returns the pattern unchanged, for C(hosts) of a play, or fails where the play would run on no host. Ansible itself
    skips such a play, and the run succeeds.
  - Each part of the pattern has to match. A part that is no host, no group and no wildcard of the inventory fails, also
    after C(!), and the message names the nearest names that exist.
  - A limit (C(--limit)) that leaves no host of the pattern fails, too.
  - An extra variable (C(-e)) whose name begins with C(day2_), is read by no playbook and no role of the collection, and
    is nearly the name of a variable that is, fails, because C(-e day2_host=db1) would run on all hosts. A name that the
    inventory, the playbooks, another extra variable, or files of variables and roles mention does not fail. Other names
    that look like variables of the collection cause a warning.
options:
  _terms:
    description: The pattern, or patterns that are joined, as C(hosts) of a play takes them.
    required: true
"""

EXAMPLES = r"""
- name: Run on the hosts that the caller names
  hosts: "{{ lookup('day2.ops.hosts', day2_hosts | default('all')) }}"
  gather_facts: false
  tasks:
    - name: Verify the connection
      ansible.builtin.ping:
"""

RETURN = r"""
_raw:
  description: The pattern.
  type: list
  elements: str
"""

import difflib
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from ansible import constants, context
from ansible.errors import AnsibleError, AnsibleLookupError
from ansible.inventory.manager import InventoryManager, split_host_pattern
from ansible.plugins.lookup import LookupBase
from ansible.utils.display import Display
from ansible.utils.vars import load_extra_vars
from ansible_collections.day2.ops.plugins.plugin_utils.lint import extra_variables

# Names that messages list before they stop.
_MOST = 12
_WILD = re.compile(r"[*?\[]")
_COLLECTION = Path(__file__).resolve().parents[2]
# Hosts of a group by their places: web[0], web[-1], web[1:3].
_PLACES = re.compile(r"\[-?\d+(?:[:-]\d*)?\]$")


class LookupModule(LookupBase):  # type: ignore[misc]
    """Looks at the inventory of the run, as Ansible would."""

    def run(self, terms: list[Any], variables: dict[str, Any] | None = None, **options: Any) -> list[str]:
        if options:
            raise AnsibleLookupError(f"day2.ops.hosts has no option '{next(iter(options))}'")
        known = variables or {}
        groups: dict[str, list[str]] = known.get("groups") or {}
        manager = InventoryManager(self._loader, parse=False)
        for group, hosts in groups.items():
            manager.add_group(group)
            for host in hosts:
                manager.add_host(host, group=group)
        pattern = ",".join(str(term) for term in self._flatten(terms) if str(term).strip())
        parts = split_host_pattern(pattern)
        if context.CLIARGS.get("syntax"):
            # A syntax check has no inventory, and runs nothing.
            return [pattern]
        self._refuse_misspelt()
        limit = known.get("ansible_limit")
        try:
            problem = self._problem(manager, groups, parts, str(limit) if limit else None)
        except AnsibleError as error:
            raise AnsibleLookupError(f"the pattern '{pattern}' of day2_hosts cannot be read: {error}") from error
        if problem:
            raise AnsibleLookupError(problem)
        return [pattern]

    def _refuse_misspelt(self) -> None:
        """Extra variables that nothing reads are not seen by anybody else: Ansible accepts every name."""
        arguments = context.CLIARGS
        site = extra_variables.Site(
            load_extra_vars(self._loader),
            arguments.get("inventory") or (),
            arguments.get("args") or (),
            constants.DEFAULT_ROLES_PATH or (),
        )
        verdict = extra_variables.judge(map(str, site.extra), extra_variables.of_collection(_COLLECTION), site.mentions)
        for sentence in verdict.warned:
            Display().warning(sentence)
        if verdict.refused:
            raise AnsibleLookupError("; ".join(verdict.refused))

    @staticmethod
    def _problem(
        manager: InventoryManager, groups: dict[str, list[str]], parts: list[str], limit: str | None
    ) -> str | None:
        """Why the play would run on no host, or on others than were meant."""
        said = ",".join(parts)
        hosts = sorted({host for names in groups.values() for host in names})
        if not parts:
            return "day2_hosts is empty: name a host, a group or 'all'"
        if not hosts and said not in ("localhost", "127.0.0.1", "::1"):
            return "the inventory has no host; name the inventory with -i"
        known = [*groups, *hosts]
        for part in parts:
            whole = part.lstrip("!&")
            name = whole if whole.startswith("~") else _PLACES.sub("", whole)
            is_wild = name.startswith("~") or _WILD.search(name) is not None
            others = part.startswith(("!", "&"))
            if name in known or (is_wild and others):
                continue
            if others or not manager.get_hosts(name):
                return f"no host of the inventory fits {_where(part, parts)}{_hint(name, known)}"
        if not manager.get_hosts(parts):
            return f"no host of the inventory fits day2_hosts ({said}): {_why_none(parts, groups)}"
        if limit is not None:
            manager.subset(limit)
            if not manager.get_hosts(parts):
                return f"--limit {limit} leaves no host of day2_hosts ({said})"
        return None


def _where(part: str, parts: list[str]) -> str:
    whole = f"day2_hosts ({','.join(parts)})"
    return whole if len(parts) == 1 else f"'{part}' of {whole}"


def _hint(name: str, known: Iterable[str]) -> str:
    """What was probably meant, or else what there is."""
    names = sorted(set(known) - {"all", "ungrouped"})
    near = difflib.get_close_matches(name, names, 3)
    if near:
        return f": '{name}' is neither a group nor a host; did you mean {' or '.join(map(repr, near))}?"
    shown = ", ".join(names[:_MOST]) + (f" and {len(names) - _MOST} more" if len(names) > _MOST else "")
    return f": '{name}' is neither a group nor a host; there are {shown or 'no names'}"


def _why_none(parts: list[str], groups: dict[str, list[str]]) -> str:
    empty = [part for part in parts if part in groups and not groups[part]]
    if empty:
        return f"group {empty[0]} has no host"
    return "nothing matches, or all that matches is excluded"
