# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Arguments of maintenance_mode, and what they mean."""

from __future__ import annotations

from typing import Any, Mapping

from ansible_collections.day2.ops.plugins.module_utils.checks.entries import meant
from ansible_collections.day2.ops.plugins.module_utils.checks.masking import printable, secret_words
from ansible_collections.day2.ops.plugins.module_utils.maintenance import mode
from ansible_collections.day2.ops.plugins.module_utils.maintenance.leases import ANY, HELD, NEW, LeaseError, Wish
from ansible_collections.day2.ops.plugins.module_utils.maintenance.states import ROOT
from ansible_collections.day2.ops.plugins.module_utils.maintenance.status import describe, sentence, visible
from ansible_collections.day2.ops.plugins.module_utils.maintenance.targets import address
from ansible_collections.day2.ops.plugins.module_utils.maintenance.targets.base import seconds
from ansible_collections.day2.ops.plugins.module_utils.maintenance.targets.registry import TARGETS, in_order
from ansible_collections.day2.ops.plugins.module_utils.maintenance.timers import this_host
from ansible_collections.day2.ops.plugins.module_utils.units.quantity import parse_lifetime

SPEC: dict[str, Mapping[str, Any]] = {
    "service": {"type": "str", "required": True},
    "state": {"type": "str", "choices": ["enabled", "disabled", "extended", "status"], "default": "enabled"},
    "owner": {"type": "str", "default": "ansible"},
    "reason": {"type": "str"},
    "duration": {"type": "str"},
    "begins": {"type": "float"},
    "targets": {"type": "list", "elements": "str", "default": ["web", "units", "alerts"]},
    "approved_by": {"type": "str"},
    "force": {"type": "bool", "default": False},
    "claim": {"type": "str", "choices": [ANY, NEW, HELD], "default": ANY},
    **{name: option for target in TARGETS.values() for name, option in target.options.items()},
    "root": {"type": "path", "default": ROOT},
}


def secret_values(params: Mapping[str, Any]) -> list[str]:
    """What nobody may see in a result, an invocation or a log: parts of addresses and of commands."""
    commands = [argv for target in TARGETS.values() for argv in target.commands(params)]
    urls = [*_addresses(params).values(), *(word for argv in commands for word in argv if "://" in word)]
    words = [secret for argv in commands for secret in secret_words(argv)]
    return [secret for url in urls for secret in address.secrets(url)] + words


def _addresses(params: Mapping[str, Any]) -> dict[str, Any]:
    """All that may be malformed still, too: what is refused may hold secrets."""
    return {option: url for target in TARGETS.values() for option, url in target.addresses(params).items()}


def run(params: Mapping[str, Any], check_mode: bool) -> dict[str, Any]:
    """Carry out what the module's parameters ask for; its result."""
    here, service, state = this_host(params["root"]), params["service"], params["state"]
    here.store.folder(service)
    if state == "status":
        now, found = here.clock(), visible(here.store, service)
        about = describe(found, now)
        return {"changed": False, "steps": [], "before": about, **about, "msg": sentence(found, now)}
    if not mode.is_root():
        raise LeaseError("maintenance mode needs root (become)")
    if state == "disabled":
        # Leaving needs none of the other arguments: a mistake in one of them keeps nobody out of service.
        return mode.disable(here, service, None if params["force"] else params["owner"], {}, check_mode)
    config = {name: target.config(params) for name, target in TARGETS.items()}
    for name, url in _addresses(params).items():
        if address.fault(url):
            raise LeaseError(f"'{name}': {address.fault(url)}")
    duration = seconds(params, "duration", parse_lifetime)
    if state == "extended":
        return mode.extend(here, service, params["owner"], duration, config, check_mode)
    # Folded text of a playbook ends with a line's end.
    reason, approved_by = (printable(" ".join((params[name] or "").split())) for name in ("reason", "approved_by"))
    wish = Wish(params["owner"], reason, duration, _targets(params), approved_by or None, params["claim"])
    if params["begins"] is not None and not check_mode:
        raise LeaseError("'begins' is for a plan (check mode): the mode itself is entered at once")
    return mode.enable(here, service, wish, config, check_mode, params["begins"])


def _targets(params: Mapping[str, Any]) -> list[str]:
    unknown = [name for name in params["targets"] if name not in TARGETS]
    if unknown:
        raise LeaseError(f"'targets' has {unknown[0]!r}; {meant(unknown[0], TARGETS)}")
    return in_order(params["targets"])
