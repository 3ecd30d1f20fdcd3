# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Extra variables (`-e`) that nothing reads. Ansible accepts every name, so that a misspelt one does what nobody meant:
`-e day2_host=db1` runs on all hosts.

Only a name that is nearly one of the collection's, with `day2_` or the prefix of a role, and that the inventory and the
playbooks of the site do not mention either, is refused: a restore with `-e recovery_sorce=…` would take the newest set.
Others are warned of, because they may belong to somebody else.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

from ansible_collections.day2.ops.plugins.module_utils.checks.entries import nearest
from ansible_collections.day2.ops.plugins.plugin_utils.lint.names import LISTS, is_list, misspelt_lists

_NAMESPACE = "day2_"
# Settings that no role has: docs/inventory.md describes them.
SETTINGS = (
    "approved_by", "day2_acknowledged", "day2_anchor_dir", "day2_announce_every", "day2_announce_text",
    "day2_announcers", "day2_approvers", "day2_baseline_only", "day2_check_deadline", "day2_check_timeout",
    "day2_check_workers", "day2_confirm", "day2_connections", "day2_database", "day2_fail_on", "day2_health_url",
    "day2_history", "day2_history_days", "day2_hosts", "day2_log_dir", "day2_maintenance", "day2_merge_from",
    "day2_metrics_url", "day2_progress_interval", "day2_report_dir", "day2_rpo", "day2_run_id", "day2_run_part",
    "day2_steps", "day2_system", "day2_upstreams", "day2_windows", "day2_dr_plan", "day2_dr_confirm",
    "day2_dr_approve", "day2_dr_reason", "day2_dr_state", "day2_dr_ref", "day2_dr_member",
)  # fmt: skip
# The playbooks give these their values, which -e would override; and the settings that are meant.
_OWN = {"day2_report": "day2_report_dir", "day2_step": "day2_steps", "day2_window": "day2_windows"}
# Likeness from which on a name is taken for a misspelt one, and for a foreign one without the prefix of its role.
_NEAR, _VERY_NEAR, _NEARLY_EQUAL = 0.85, 0.9, 0.95
_WORD = re.compile(r"[a-z_][a-z0-9_]*")
_DEFAULT = re.compile(r"^([a-z][a-z0-9_]*):", re.MULTILINE)
_TEXTS = frozenset((".yml", ".yaml", ".json", ".ini", ".j2", ".toml", ".py", ""))
# Where a site has its variables and what reads them, beside its inventory and its playbooks.
_BESIDE = ("group_vars", "host_vars", "vars", "roles", "tasks", "templates")
# A site with more than this is not searched to its end: a name that was not found is warned of, not refused.
_MOST_FILES, _MOST_BYTES = 2000, 1_000_000


@dataclass(frozen=True)
class Known:
    """The collection's names: all that its playbooks and roles mention, those that people set, prefixes of roles."""

    mentioned: Collection[str]
    settings: Sequence[str]
    prefixes: Sequence[str]


@dataclass
class Verdict:
    """Sentences about names that are refused, and about those that are only warned of."""

    refused: list[str] = field(default_factory=list)
    warned: list[str] = field(default_factory=list)


def judge(names: Iterable[str], known: Known, is_used: Callable[[str], bool | None]) -> Verdict:
    """`is_used` says whether the site itself mentions a name, None where nobody can tell; it is asked about few."""
    verdict = Verdict()
    for name in sorted(names):
        if _is_known(name, known):
            continue
        sentence = _sentence(name, known)
        if sentence is None:
            continue
        used = is_used(name)
        if used is False and name.startswith((_NAMESPACE, *known.prefixes)) and "did you mean" in sentence:
            verdict.refused.append(sentence)
        elif not used:
            verdict.warned.append(sentence)
    return verdict


def misspelt_settings(variables: Mapping[str, object], known: Known) -> list[str]:
    """Variables of an inventory that are nearly a setting that it does not have, and that no other one mentions, a
    sentence each. Lists of checks, views and steps have a check of their own."""
    # Ansible's own hold all the others once more.
    texts = {name: str(value) for name, value in variables.items() if name not in ("hostvars", "vars")}
    problems = []
    for name in sorted(texts):
        if _is_known(name, known) or misspelt_lists([name]):
            continue
        # A prefix may be what was misspelt.
        least = _NEAR if name.startswith((_NAMESPACE, *known.prefixes)) else _NEARLY_EQUAL
        near = _OWN.get(name) or nearest(name, known.settings, least)
        word = re.compile(rf"\b{re.escape(name)}\b")
        if near and near not in texts and not any(word.search(text) for text in texts.values()):
            problems.append(f"variable '{name}' is read by no playbook and no role of day2.ops; did you mean '{near}'?")
    return problems


def _is_known(name: str, known: Known) -> bool:
    return name not in _OWN and (name in known.mentioned or name in known.settings or is_list(name))


def _sentence(name: str, known: Known) -> str | None:
    """What is wrong with a name that the collection does not know; None: it is somebody else's."""
    what = "is set by the playbooks themselves" if name in _OWN else "is read by no playbook and no role of day2.ops"
    said = f"extra variable '{name}' (-e) {what}"
    if name.startswith((_NAMESPACE, *known.prefixes)):
        near = _OWN.get(name) or nearest(name, (*known.settings, *LISTS), _NEAR)
    else:
        tails = {tail: setting for setting in known.settings for tail in _tails(setting)}
        tails.update((setting, setting) for setting in SETTINGS if not setting.startswith(_NAMESPACE))
        tail = nearest(name, tails, _VERY_NEAR)
        near = tails[tail] if tail else None
    if near:
        return f"{said}; did you mean '{near}'?"
    return said if name.startswith(_NAMESPACE) else None


def _tails(setting: str) -> Iterator[str]:
    """`backup_databases` of `postgres_backup_databases`: what is left without the first words, two words at least."""
    words = setting.split("_")
    return ("_".join(words[start:]) for start in range(1, len(words) - 1))


@lru_cache(maxsize=1)
def of_collection(root: Path) -> Known:
    """The names of a collection's folder."""
    roles = sorted((root / "roles").glob("*/defaults/main.yml"))
    mentioned = {
        word
        for place in (root / "playbooks", root / "roles")
        for path in place.rglob("*")
        if path.suffix in (".yml", ".j2")
        for word in _WORD.findall(path.read_text(encoding="utf-8"))
    }
    defaults = [name for path in roles for name in _DEFAULT.findall(path.read_text(encoding="utf-8"))]
    return Known(mentioned, (*SETTINGS, *defaults), [f"{path.parts[-3]}_" for path in roles])


@dataclass(frozen=True)
class Site:
    """Where the site of a run may mention a name: its extra variables, and the files of its inventories (`-i`), of its
    playbooks, by path or by name, and of its folders of roles."""

    extra: Mapping[str, object]
    inventories: Sequence[str]
    playbooks: Sequence[str]
    roles: Sequence[str] = ()

    def mentions(self, name: str) -> bool | None:
        """Whether any of that has the word; None where not all of it can be read."""
        word = re.compile(rf"\b{re.escape(name)}\b")
        if any(word.search(str(value)) for value in self.extra.values()):
            return True
        # Of another collection's playbook nobody knows here which roles it uses.
        whole = not any(self._is_foreign(playbook) for playbook in self.playbooks)
        for number, path in enumerate(self._texts()):
            if number >= _MOST_FILES:
                return None
            try:
                if path.stat().st_size > _MOST_BYTES:
                    whole = False
                    continue
                text = path.read_text(encoding="utf-8", errors="replace")
            except OSError:
                whole = False
                continue
            if word.search(text):
                return True
            # What a program or a vault holds is not in the text.
            whole = whole and not text.startswith(("#!", "$ANSIBLE_VAULT"))
        return False if whole else None

    @staticmethod
    def _is_foreign(playbook: str) -> bool:
        return not playbook.startswith("day2.ops.") and not Path(playbook).exists()

    def _texts(self) -> Iterator[Path]:
        sources = [Path(source) for source in self.inventories if "," not in source]
        files = [Path(playbook) for playbook in self.playbooks if Path(playbook).is_file()]
        # One playbook imports others.
        beside = [path for file in files for path in sorted(file.parent.glob("*.y*ml"))]
        folders = [path.parent / name for path in [*sources, *files] for name in _BESIDE]
        for place in dict.fromkeys([*sources, *beside, *folders, *map(Path, self.roles)]):
            if place.is_file():
                yield place
            elif place.is_dir():
                yield from (path for path in sorted(place.rglob("*")) if path.suffix in _TEXTS and path.is_file())
