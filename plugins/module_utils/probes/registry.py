# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The registry: a probe's name is the name of the module that answers it, loaded when a check uses it."""

from __future__ import annotations

from importlib import import_module
from types import ModuleType

PROBES = (
    "accounts",
    "attestation",
    "backup",
    "baseline",
    "certificate",
    "command",
    "cpu",
    "directory",
    "disk",
    "dns",
    "failed_logins",
    "file",
    "firewall",
    "http",
    "load",
    "log",
    "log_policy",
    "log_seal",
    "maintenance",
    "memory",
    "network_io",
    "packages",
    "ping",
    "postgres",
    "process",
    "prometheus",
    "redis",
    "schedule",
    "service",
    "tcp",
    "timer",
)


def load(name: str) -> ModuleType:
    """The module of a probe: SPEC, observe(), and where checks share what they read source_key() and open_source()."""
    return import_module(f"{__name__.rpartition('.')[0]}.{name}")


def needed(fields: object) -> set[str]:
    """Files of this package that a check loads, from its entry: its probe's, and those that this names (`parts`)."""
    probe = fields.get("probe") if isinstance(fields, dict) else None
    if not isinstance(fields, dict) or not isinstance(probe, str) or probe not in PROBES:
        return set()
    module = load(probe)
    return {probe, *(module.parts(fields) if hasattr(module, "parts") else ())}
