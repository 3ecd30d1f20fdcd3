# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Updates of packages as a step: which there are, and what became of them. apt and dnf do the work, not this."""

from __future__ import annotations

import shutil
from dataclasses import dataclass, field
from typing import Any, Mapping, Sequence

from ansible_collections.day2.ops.plugins.module_utils.checks.result import Status
from ansible_collections.day2.ops.plugins.module_utils.errors import Day2Error
from ansible_collections.day2.ops.plugins.module_utils.probes.packages import Update, installable, reboot
from ansible_collections.day2.ops.plugins.module_utils.process.programs import run

_APT = ("dpkg-query", "--show", "--showformat", "${db:Status-Status} ${binary:Package} ${Version}\\n")
_RPM = ("rpm", "-qa", "--queryformat", "installed %{NAME}.%{ARCH} %{EVR}\\n")


@dataclass(frozen=True)
class Survey:
    """What a host has and what waits for it. `held` packages are never upgraded; `reboot` says why one is due."""

    installed: Mapping[str, str]
    waiting: Sequence[Update]
    held: Sequence[str]
    reboot: Sequence[str] | None = None
    manager: str = field(default="apt")


def survey() -> Survey:
    """Day2Error says why the host's package manager cannot tell."""
    apt = shutil.which("apt-get") is not None
    waiting = installable()
    installed = parse_installed(_said(_APT if apt else _RPM))
    held = _said(("apt-mark", "showhold")).split() if apt else _locked()
    seen = reboot()
    due = (seen.evidence or ["no package said so"]) if seen.value == "required" else None
    return Survey(installed, waiting, sorted(held), due, "apt" if apt else "dnf")


def _said(argv: Sequence[str]) -> str:
    answer = run(argv, cap=1 << 24)
    if answer.code != 0:
        raise Day2Error(f"{argv[0]} cannot tell: {answer.complaint}")
    return answer.stdout.decode("utf-8", "replace")


def _locked() -> list[str]:
    # The plug-in is often not there; then nothing is locked.
    answer = run(["dnf", "--quiet", "--cacheonly", "versionlock", "list"])
    return answer.stdout.decode("utf-8", "replace").split() if answer.code == 0 else []


def parse_installed(text: str) -> dict[str, str]:
    """Versions by name. Kernels of several versions stand beside each other."""
    found: dict[str, list[str]] = {}
    for line in text.split("\n"):
        words = line.split()
        if len(words) == 3 and words[0] == "installed":
            found.setdefault(words[1], []).append(words[2])
    return {name: " ".join(sorted(versions)) for name, versions in found.items()}


def chosen(found: Survey, security: bool) -> list[Update]:
    return [update for update in found.waiting if update.security or not security]


def specs(found: Survey, security: bool) -> list[str]:
    """What a package manager is told to bring up to date. apt is told the version too: what was announced is done."""
    return [
        f"{update.name}={update.new}" if found.manager == "apt" else update.name for update in chosen(found, security)
    ]


def plan(found: Survey, security: bool) -> dict[str, Any]:
    """The outcome of a step that is only looked at."""
    updates = chosen(found, security)
    lines = [
        f"{update.name} {update.old or '?'} -> {update.new}{' (security)' * update.security}" for update in updates
    ]
    what = "security updates" if security else "updates"
    message = f"would install {len(updates)} {what}, by the lists that the host has{_aside(found)}"
    return {"status": Status.SKIPPED.value, "message": message, "evidence": _held(found) + sorted(lines)}


def outcome(before: Mapping[str, str], planned: Sequence[str], found: Survey, security: bool) -> dict[str, Any]:
    """What became of the updates: `before` is what was installed, `planned` the specs that were asked for."""
    lines = changes(before, found.installed)
    left = sorted(set(specs(found, security)) & set(planned))
    status = Status.WARNING if left or found.reboot is not None else Status.OK
    what = "security updates" if security else "updates"
    message = f"{len(lines)} packages changed by {len(planned)} {what}" if lines else f"no {what} to install"
    message += f"; {len(left)} could not be installed" if left else ""
    message += "; a reboot is required" if found.reboot is not None else ""
    evidence = [f"a reboot is required: {', '.join(found.reboot)}"] if found.reboot is not None else []
    evidence += [f"not installed: {spec}" for spec in left] + _held(found) + lines
    return {"status": status.value, "message": message + _aside(found), "evidence": evidence}


def changes(before: Mapping[str, str], after: Mapping[str, str]) -> list[str]:
    """Packages that are not as they were, a line each."""
    lines = []
    for name in sorted({*before, *after}):
        old, new = before.get(name), after.get(name)
        if old != new:
            lines.append(
                f"{name} {old} -> {new}" if old and new else f"{name} {new or old} {'new' if new else 'removed'}"
            )
    return lines


def _aside(found: Survey) -> str:
    return f"; {len(found.held)} held" if found.held else ""


def _held(found: Survey) -> list[str]:
    return [f"held: {', '.join(found.held)}"] if found.held else []
