# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""`day2ctl`: what goes on at a host when Ansible does not run, for its timers and for people at it."""

from __future__ import annotations

import argparse
import json
import sys
from typing import Callable, Sequence, TextIO

from ansible_collections.day2.ops.plugins.module_utils.checks.quantity import QuantityError, parse_duration
from ansible_collections.day2.ops.plugins.module_utils.errors import Day2Error
from ansible_collections.day2.ops.plugins.module_utils.maintenance import mode
from ansible_collections.day2.ops.plugins.module_utils.maintenance.store import ROOT, Store

Act = Callable[[argparse.Namespace, Store], int]


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
    for name, act, words in (
        ("tick", _tick, "end what is over (the timer's work)"),
        ("boot", _boot, "let services start whose lease ended while the host was off"),
    ):
        verb = verbs.add_parser(name, help=words)
        verb.set_defaults(act=act)
    return parser


def _status(options: argparse.Namespace, store: Store) -> int:
    found = mode.status(store)
    if options.json:
        _say(json.dumps(found, indent=1))
        return 0
    if not found:
        _say("nothing is in maintenance on this host")
    for each in found:
        _say(each["msg"])
        for lease in each["leases"]:
            approved = f", approved by {lease['approved_by']}" if lease["approved_by"] else ""
            _say(f"  {lease['owner']}: since {lease['since']}, {', '.join(lease['targets'])}{approved}")
        for name, phase in each["targets"].items():
            _say(f"  {name}: {phase}")
        for fault in each["faults"]:
            _say(f"  FAULT {fault}")
        _say(f"  end it: day2ctl maintenance disable {each['service']} --owner NAME (or --force)")
    return 0


def _extend(options: argparse.Namespace, store: Store) -> int:
    try:
        duration = parse_duration(options.duration)
    except QuantityError as exc:
        raise Day2Error(f"--duration: {exc}") from exc
    return _say(mode.extend(store, options.service, options.owner, duration, {})["msg"])


def _disable(options: argparse.Namespace, store: Store) -> int:
    owner = None if options.force else options.owner
    return _say(mode.disable(store, options.service, owner, {})["msg"])


def _tick(options: argparse.Namespace, store: Store) -> int:
    wrong = mode.tick(store)
    for each in wrong:
        _say(f"day2ctl: {each}", sys.stderr)
    return 1 if wrong else 0


def _boot(options: argparse.Namespace, store: Store) -> int:
    mode.boot(store)
    return 0


def _say(words: str, stream: TextIO | None = None) -> int:
    (stream or sys.stdout).write(f"{words}\n")
    return 0
