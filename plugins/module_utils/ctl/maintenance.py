# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""`day2ctl maintenance`: maintenance mode when Ansible does not run, for its timers and for people at the host."""

from __future__ import annotations

import argparse
import json
import shlex
import sys
from typing import Any, Callable, Iterator, Mapping, Sequence

from ansible_collections.day2.ops.plugins.module_utils.errors import Day2Error
from ansible_collections.day2.ops.plugins.module_utils.maintenance import mode
from ansible_collections.day2.ops.plugins.module_utils.maintenance.states import ROOT
from ansible_collections.day2.ops.plugins.module_utils.maintenance.status import status
from ansible_collections.day2.ops.plugins.module_utils.maintenance.targets.registry import TARGETS
from ansible_collections.day2.ops.plugins.module_utils.maintenance.timers import this_host
from ansible_collections.day2.ops.plugins.module_utils.units.quantity import QuantityError, parse_lifetime

Say = Callable[..., int]
# What it means for people that a target was interrupted.
_MEANING = {
    "entering": "interrupted on the way in; it ends with the lease",
    "leaving": "could not be left yet",
}


def add_to(areas: Any) -> None:
    """The area's verbs, as arguments of the program."""
    area = areas.add_parser("maintenance", help="maintenance mode of this host's services")
    area.add_argument("--root", default=ROOT, help=argparse.SUPPRESS)
    verbs = area.add_subparsers(required=True, metavar="VERB")
    verb = verbs.add_parser("status", help="who holds it, and until when")
    verb.add_argument("--json", action="store_true", help="for programs")
    verb.set_defaults(act=_status)
    verb = verbs.add_parser("extend", help="move the end of a lease, counted from now")
    verb.add_argument("service")
    verb.add_argument("--owner", required=True)
    verb.add_argument("--duration", required=True, metavar="2h")
    verb.set_defaults(act=_extend)
    verb = verbs.add_parser("disable", help="give up a lease, and with the last one go back to service")
    verb.add_argument("service")
    who = verb.add_mutually_exclusive_group(required=True)
    who.add_argument("--owner", help="whose lease")
    who.add_argument("--force", action="store_true", help="all leases, whoever holds them")
    verb.set_defaults(act=_disable)
    verb = verbs.add_parser("tick", help="end what is over (the timer's work)")
    which = verb.add_mutually_exclusive_group()
    which.add_argument("service", nargs="?", help="this one alone")
    which.add_argument("--apart", action="store_true", help="each service in a unit of its own, without waiting")
    verb.set_defaults(act=_tick)
    verb = verbs.add_parser("boot", help="let services start whose lease ended while the host was off")
    verb.set_defaults(act=_boot)


def _status(options: argparse.Namespace, say: Say) -> int:
    here = this_host(options.root)
    found = status(here.store, here.clock())
    if options.json:
        say(json.dumps(found, indent=1))
        return 0
    if not found:
        say("nothing is in maintenance on this host")
    for about in found:
        for line in _described(about):
            say(line)
    if any(about["leases"] for about in found) and not here.waker.is_armed():
        say(f"FAULT nothing would end it: {here.waker.name} does not run ({here.waker.start})")
    return 0


def _described(about: Mapping[str, Any]) -> Iterator[str]:
    """What a person at the host wants to know: who, what it does, what is wrong, how to end it."""
    service = about["service"]
    yield about["msg"]
    for lease in about["leases"]:
        approved = f", approved by {lease['approved_by']}" if lease["approved_by"] else ""
        yield f"  {lease['owner']}: since {lease['since']}, {', '.join(lease['targets']) or 'no target'}{approved}"
    for name, phase in about["targets"].items():
        yield f"  {name}: {_meaning(name, phase, about['faults'])}"
    for fault in about["faults"]:
        if fault != about["msg"]:
            yield f"  FAULT {fault}"
    if len(about["leases"]) == 1:
        owner = shlex.quote(about["leases"][0]["owner"])
        yield f"  more time: day2ctl maintenance extend {service} --owner {owner} --duration 1h"
        yield f"  end it: day2ctl maintenance disable {service} --owner {owner}"
    elif about["leases"]:
        yield f"  end one: day2ctl maintenance disable {service} --owner NAME; all: --force in place of --owner"


def _meaning(name: str, phase: str, faults: Sequence[str]) -> str:
    if phase != "entered":
        return _MEANING[phase]
    # Their messages begin with the target's name.
    return "see the fault" if any(fault.startswith(f"{name}: ") for fault in faults) else TARGETS[name].meaning


def _extend(options: argparse.Namespace, say: Say) -> int:
    here = this_host(options.root)
    try:
        duration = parse_lifetime(options.duration)
    except QuantityError as exc:
        raise Day2Error(f"--duration: {exc}") from exc
    outcome = mode.extend(here, options.service, options.owner, duration, {})
    return say(
        outcome["msg"] + ("" if outcome["changed"] else "; it ends later than that already: nothing was changed")
    )


def _disable(options: argparse.Namespace, say: Say) -> int:
    here = this_host(options.root)
    if options.force:
        return say(mode.disable(here, options.service, None, {})["msg"])
    # A module is content when the owner holds nothing; a person has probably mistyped a name.
    outcome = mode.disable(here, options.service, options.owner, {})
    if not outcome["changed"] and outcome["leases"]:
        holders = ", ".join(lease["owner"] for lease in outcome["leases"])
        raise Day2Error(f"{options.owner} holds no lease on {options.service}; it is held by {holders}")
    others = [about["service"] for about in status(here.store, here.clock())] if not outcome["changed"] else []
    return say(outcome["msg"] + (f"; in maintenance here: {', '.join(others)}" if others else ""))


def _tick(options: argparse.Namespace, say: Say) -> int:
    here = this_host(options.root)
    if options.service:
        mode.attend(here, options.service)
        return 0
    wrong = mode.tick(here, mode.hand_over if options.apart else mode.attend)
    for fault in wrong:
        say(f"day2ctl: {fault}", sys.stderr)
    return 1 if wrong else 0


def _boot(options: argparse.Namespace, say: Say) -> int:
    here = this_host(options.root)
    mode.boot(here)
    return 0
