# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""`day2ctl logs`: what becomes of rotated logs when Ansible does not run, for a timer and for people at the host.

Each verb ends with 0 where all is well, 3 where a sealed log is not as it was sealed, and 1 where something else is
wrong, or could not be done (2 is the argument parser's).
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Callable, Iterator, Mapping

from ansible_collections.day2.ops.plugins.module_utils.errors import Day2Error
from ansible_collections.day2.ops.plugins.module_utils.rotation.policy import Policies, Policy

if TYPE_CHECKING:
    from ansible_collections.day2.ops.plugins.module_utils.rotation.place import Place

Say = Callable[..., int]
_WRONG, _TAMPERED = 1, 3
# Seconds between two runs of the timer, of which some may have been missed.
_SELDOM = 26 * 3600.0


def add_to(areas: Any) -> None:
    """The area's verbs, as arguments of the program."""
    area = areas.add_parser("logs", help="rotated logs of this host")
    verbs = area.add_subparsers(required=True, metavar="VERB")
    verb = verbs.add_parser("tend", help="pack, seal and remove what is due (the timer's work)")
    verb.add_argument("name", nargs="?", help="this log alone")
    verb.add_argument("--check", action="store_true", help="say what would be done, and change nothing")
    verb.set_defaults(act=_tend)
    verb = verbs.add_parser("status", help="what is kept, and what is wrong")
    verb.add_argument("--json", action="store_true", help="for programs")
    verb.set_defaults(act=_status)
    verb = verbs.add_parser("verify", help="compare sealed logs with their chain")
    verb.add_argument("name", nargs="?", help="this log alone")
    verb.set_defaults(act=_verify)


def _tend(options: argparse.Namespace, say: Say) -> int:
    from ansible_collections.day2.ops.plugins.module_utils.rotation.place import Place
    from ansible_collections.day2.ops.plugins.module_utils.rotation.tending import tend
    from ansible_collections.day2.ops.plugins.module_utils.units.quantity import counted, format_bytes

    if options.name:
        Policies().get(options.name)
    done = tend(Place(), options.name, options.check)
    would = "would be " if options.check else ""
    waiting = done.waiting or [packed.path for packed in done.packed]
    if waiting:
        say(f"{counted(len(waiting), 'piece')} {would}packed")
    if done.removed:
        size = format_bytes(sum(going.piece.size for going in done.removed))
        say(f"{counted(len(done.removed), 'piece')} {would}removed ({size})")
    for going in done.removed if options.check else ():
        say(f"  {going.piece.path}: {going.why}")
    for fault in (*done.faults, *done.over):
        say(f"day2ctl: {fault}", sys.stderr)
    return _WRONG if done.faults or done.over else 0


def _status(options: argparse.Namespace, say: Say) -> int:
    from ansible_collections.day2.ops.plugins.module_utils.rotation.place import Place

    place = Place()
    logs, last = [_about(place, name) for name in place.policies.names()], _last(place)
    faults = _untended(last) if logs else []
    found = {"logs": logs, "last": last, "faults": faults}
    if options.json:
        say(json.dumps(found, indent=1))
    else:
        for line in _lines(found):
            say(line)
    if any(log["seal"] for log in logs):
        return _TAMPERED
    return _WRONG if faults or any(log["faults"] for log in logs) else 0


def _last(place: Place) -> dict[str, Any]:
    """What the last run of all logs came to; empty where there was none."""
    try:
        with open(place.status, encoding="utf-8") as stream:
            last = dict(json.load(stream))
            return {**last, "at": place.tended(last["at"])}
    except (FileNotFoundError, ValueError):
        return {}


def _untended(last: Mapping[str, Any]) -> list[str]:
    from ansible_collections.day2.ops.plugins.module_utils.rotation.timer import why_untended
    from ansible_collections.day2.ops.plugins.module_utils.units.quantity import format_duration

    if not last:
        return ["nothing has tended them yet: systemctl status day2-logs.timer", *why_untended()]
    said = [*last["faults"], *last["over"]]
    if time.time() - last["at"] > _SELDOM:
        ago = format_duration(time.time() - last["at"])
        said.append(f"nothing has tended them for {ago}: systemctl status day2-logs.service")
    return [*said, *why_untended()]


def _about(place: Place, name: str) -> dict[str, Any]:
    """Of one log. What is wrong with it are `faults`, and `seal` of its sealed pieces."""
    from ansible_collections.day2.ops.plugins.module_utils.rotation import packing, pieces

    try:
        policy = place.policies.get(name)
    except Day2Error as exc:
        return {"name": name, "faults": [str(exc)], "seal": []}
    kept = pieces.find(policy)
    return {
        "name": policy.name,
        "class": policy.log_class,
        "waiting": [piece.path for piece in packing.waiting(kept)],
        "packed": sum(bool(piece.form) for piece in kept),
        "bytes": sum(piece.size for piece in kept),
        "written": sorted([path, size] for path, size in pieces.sizes(policy).items()),
        "oldest": kept[0].rotated if kept else None,
        "max_age": policy.max_age,
        "max_size": policy.max_size,
        **(_sealed(place, policy) if policy.sealed else {"faults": [], "seal": []}),
    }


def _sealed(place: Place, policy: Policy) -> dict[str, Any]:
    """What the last verification of a sealed log found, and what shows without reading all of it."""
    from ansible_collections.day2.ops.plugins.module_utils.rotation import verifying

    try:
        verdict = place.verdict_on(policy.name)
        well = verdict["at"] if verdict and not verdict["faults"] else 0.0
        seal = verifying.glance(policy, place, well)
    except Day2Error as exc:
        return {"faults": [str(exc)], "seal": [], "verified": {}}
    # What was wrong then stays so until a verification finds that it is right.
    seal += [fault for fault in verdict.get("faults", []) if fault not in seal]
    return {"faults": list(verdict.get("unreached", [])), "seal": seal, "verified": verdict}


def _lines(found: Mapping[str, Any]) -> Iterator[str]:
    from ansible_collections.day2.ops.plugins.module_utils.units.quantity import counted, format_bytes, format_duration
    from ansible_collections.day2.ops.plugins.module_utils.units.timestamps import readable

    if not found["logs"]:
        yield "no log of this host has a policy"
    for log in found["logs"]:
        if "class" not in log:
            yield f"{log['name']}: its policy cannot be read"
        else:
            age = f", the oldest {format_duration(time.time() - log['oldest'])} old" if log["oldest"] else ""
            kept = f"{counted(log['packed'], 'packed piece')}, {format_bytes(log['bytes'])}"
            yield (
                f"{log['name']} ({log['class']}): {kept}{age}"
                f"; kept for {format_duration(log['max_age'])}, class limited to {format_bytes(log['max_size'])}"
            )
            yield from (f"  waits to be packed: {path}" for path in log["waiting"])
            if not log["written"]:
                yield "  nothing is written to at its paths"
        if "verified" in log:
            yield f"  {_verified(log['verified'])}"
        yield from (f"  FAULT {fault}" for fault in (*log["seal"], *log["faults"]))
    if found["last"]:
        yield f"tended last {readable(found['last']['at'])}"
    yield from (f"  FAULT {fault}" for fault in found["faults"])


def _verified(verdict: Mapping[str, Any]) -> str:
    from ansible_collections.day2.ops.plugins.module_utils.units.quantity import counted
    from ansible_collections.day2.ops.plugins.module_utils.units.timestamps import readable

    if not verdict:
        return "not verified yet: day2ctl logs verify"
    came = f"record {verdict['head']['number']} was the last, all as it was sealed"
    if verdict["faults"]:
        came = counted(len(verdict["faults"]), "fault")
    return f"verified last {readable(verdict['at'])}: {came}"


def _verify(options: argparse.Namespace, say: Say) -> int:
    from ansible_collections.day2.ops.plugins.module_utils.rotation.place import Place

    place = Place()
    names = [options.name] if options.name else place.policies.names()
    code, verified = 0, 0
    for name in names:
        try:
            policy = place.policies.get(name)
            if policy.sealed or options.name:
                verified += 1
                code = max(code, _verify_one(place, policy, say))
        except (Day2Error, OSError) as exc:
            # Nobody knows of this one; the others are verified all the same.
            code = max(code, _WRONG)
            say(f"day2ctl: {name}: {_one_line(exc)}", sys.stderr)
    return code if verified or code else say("no log of this host is sealed")


def _verify_one(place: Place, policy: Policy, say: Say) -> int:
    from ansible_collections.day2.ops.plugins.module_utils.rotation.verifying import verify

    began = time.time()
    verdict = verify(policy, place)
    for fault in (*verdict.faults, *verdict.unreached):
        say(f"day2ctl: {policy.name}: {_one_line(fault)}", sys.stderr)
    if not verdict.faults:
        say(verdict.describe(policy.name))
    try:
        place.remember_verdict(policy.name, began, asdict(verdict))
    except OSError as exc:
        say(f"day2ctl: {policy.name}: the verdict cannot be kept for `status`: {exc.strerror}", sys.stderr)
    return _TAMPERED if verdict.faults else _WRONG if verdict.unreached else 0


def _one_line(words: object) -> str:
    from ansible_collections.day2.ops.plugins.module_utils.checks.masking import printable

    return printable(str(words))
