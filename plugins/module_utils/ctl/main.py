# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""`day2ctl`: what goes on at a host when Ansible does not run, for its timers and for people at it."""

from __future__ import annotations

import argparse
import json
import shlex
import sys
from typing import Any, Callable, Iterator, Mapping, Sequence, TextIO

from ansible_collections.day2.ops.plugins.module_utils.checks.quantity import QuantityError, parse_duration
from ansible_collections.day2.ops.plugins.module_utils.errors import Day2Error
from ansible_collections.day2.ops.plugins.module_utils.maintenance import mode
from ansible_collections.day2.ops.plugins.module_utils.maintenance.store import ROOT, Store

Act = Callable[[argparse.Namespace, Store], int]
# What it means for people that a target is entered, or was interrupted.
_MEANING = {
    "web": "users get 503 and the page",
    "units": "stopped or paused, and kept from starting",
    "alerts": "silenced",
    "entering": "interrupted on the way in; it ends with the lease",
    "leaving": "could not be left yet",
}


def main(arguments: Sequence[str], version: str) -> int:
    options = _parser(version).parse_args(arguments)
    try:
        act: Act = options.act
        return act(options, Store(options.root))
    except Day2Error as exc:
        _say(f"day2ctl: {exc}", sys.stderr)
    except PermissionError as exc:
        _say(f"day2ctl: {exc.filename}: {exc.strerror} (this needs root)", sys.stderr)
    return 1


def _parser(version: str) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="day2ctl", description="What day2.ops does on this host by itself.")
    parser.add_argument("--version", action="version", version=f"day2ctl {version}")
    areas = parser.add_subparsers(required=True, metavar="AREA")
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
    return parser


def _status(options: argparse.Namespace, store: Store) -> int:
    found = mode.status(store)
    if options.json:
        _say(json.dumps(found, indent=1))
        return 0
    if not found:
        _say("nothing is in maintenance on this host")
    for each in found:
        for line in _told(each):
            _say(line)
    if any(each["leases"] for each in found) and not mode.is_armed():
        _say(f"FAULT nothing would end it: {mode.TIMER} does not run (systemctl enable --now {mode.TIMER})")
    return 0


def _told(each: Mapping[str, Any]) -> Iterator[str]:
    """What a person at the host wants to know: who, what it does, what is wrong, how to end it."""
    service = each["service"]
    yield each["msg"]
    for lease in each["leases"]:
        approved = f", approved by {lease['approved_by']}" if lease["approved_by"] else ""
        yield f"  {lease['owner']}: since {lease['since']}, {', '.join(lease['targets']) or 'no target'}{approved}"
    for name, phase in each["targets"].items():
        yield f"  {name}: {_MEANING[name] if phase == 'entered' else _MEANING[phase]}"
    for fault in each["faults"]:
        if fault != each["msg"]:
            yield f"  FAULT {fault}"
    if len(each["leases"]) == 1:
        owner = shlex.quote(each["leases"][0]["owner"])
        yield f"  more time: day2ctl maintenance extend {service} --owner {owner} --duration 1h"
        yield f"  end it: day2ctl maintenance disable {service} --owner {owner}"
    elif each["leases"]:
        yield f"  end one: day2ctl maintenance disable {service} --owner NAME; all: --force in place of --owner"


def _extend(options: argparse.Namespace, store: Store) -> int:
    try:
        duration = parse_duration(options.duration)
    except QuantityError as exc:
        raise Day2Error(f"--duration: {exc}") from exc
    told = mode.extend(store, options.service, options.owner, duration, {})
    return _say(told["msg"] + ("" if told["changed"] else "; it ends later than that already: nothing was changed"))


def _disable(options: argparse.Namespace, store: Store) -> int:
    if options.force:
        return _say(mode.disable(store, options.service, None, {})["msg"])
    # A module is content when the owner holds nothing; a person has probably mistyped a name.
    told = mode.disable(store, options.service, options.owner, {})
    if not told["changed"] and told["leases"]:
        holders = ", ".join(lease["owner"] for lease in told["leases"])
        raise Day2Error(f"{options.owner} holds no lease on {options.service}; it is held by {holders}")
    others = [each["service"] for each in mode.status(store)] if not told["changed"] else []
    return _say(told["msg"] + (f"; in maintenance here: {', '.join(others)}" if others else ""))


def _tick(options: argparse.Namespace, store: Store) -> int:
    if options.service:
        mode.attend(store, options.service)
        return 0
    wrong = mode.tick(store, mode.hand_over if options.apart else mode.attend)
    for each in wrong:
        _say(f"day2ctl: {each}", sys.stderr)
    return 1 if wrong else 0


def _boot(options: argparse.Namespace, store: Store) -> int:
    mode.boot(store)
    return 0


def _say(words: str, stream: TextIO | None = None) -> int:
    (stream or sys.stdout).write(f"{words}\n")
    return 0
