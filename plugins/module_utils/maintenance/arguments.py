# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Arguments of maintenance_mode, and what they mean."""

from __future__ import annotations

from typing import Any, Mapping

from ansible_collections.day2.ops.plugins.module_utils.checks.quantity import QuantityError, parse_duration
from ansible_collections.day2.ops.plugins.module_utils.maintenance import mode
from ansible_collections.day2.ops.plugins.module_utils.maintenance.leases import ANY, HELD, NEW, ORDER, LeaseError, Wish
from ansible_collections.day2.ops.plugins.module_utils.maintenance.store import ROOT, Store, reading

SPEC: dict[str, dict[str, Any]] = {
    "service": {"type": "str", "required": True},
    "state": {"type": "str", "choices": ["enabled", "disabled", "extended", "status"], "default": "enabled"},
    "owner": {"type": "str", "default": "ansible"},
    "reason": {"type": "str"},
    "duration": {"type": "str"},
    "targets": {"type": "list", "elements": "str", "default": ["web", "units", "alerts"]},
    "approved_by": {"type": "str"},
    "force": {"type": "bool", "default": False},
    "claim": {"type": "str", "choices": [ANY, NEW, HELD], "default": ANY},
    "web": {
        "type": "dict",
        "default": {},
        "options": {"snippet": {"type": "path"}, "probe": {"type": "str"}, "ready": {"type": "str"}},
    },
    "units": {"type": "list", "elements": "raw", "default": []},
    "units_timeout": {"type": "str", "default": "90s"},
    "alerts": {
        "type": "dict",
        "default": {},
        "options": {
            "alertmanager": {"type": "str"},
            "matchers": {"type": "list", "elements": "dict", "default": []},
            "pagerduty": {"type": "dict"},
        },
    },
    "root": {"type": "path", "default": ROOT},
}


def run(params: Mapping[str, Any], check_mode: bool) -> dict[str, Any]:
    """What the module was told."""
    store, service, state = Store(params["root"]), params["service"], params["state"]
    store.folder(service)
    if state == "status":
        now, found = reading(), store.load(service)
        told = mode.describe(found, now)
        return {"changed": False, "steps": [], "before": told, **told, "msg": mode.sentence(found, now)}
    if not mode.is_root():
        raise LeaseError("maintenance mode needs root (become)")
    config = {
        "web": params["web"],
        "units": {"units": params["units"], "timeout": _seconds(params, "units_timeout")},
        "alerts": params["alerts"],
    }
    if state == "disabled":
        return mode.disable(store, service, None if params["force"] else params["owner"], config, check_mode)
    duration = _seconds(params, "duration")
    if state == "extended":
        return mode.extend(store, service, params["owner"], duration, config, check_mode)
    # Folded text of a playbook ends with a line's end.
    reason, approved_by = (" ".join((params[name] or "").split()) for name in ("reason", "approved_by"))
    wish = Wish(params["owner"], reason, duration, _targets(params), approved_by or None, params["claim"])
    return mode.enable(store, service, wish, config, check_mode)


def _targets(params: Mapping[str, Any]) -> list[str]:
    given = list(params["targets"])
    return [name for name in ORDER if name in given] + [name for name in given if name not in ORDER]


def _seconds(params: Mapping[str, Any], name: str) -> float | None:
    if params[name] in (None, ""):
        return None
    try:
        return parse_duration(params[name])
    except QuantityError as exc:
        raise LeaseError(f"'{name}': {exc}") from exc
