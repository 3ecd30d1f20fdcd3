# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Maintenance mode as modules, the host's timer and people at the host use it: one function each, under one lock."""

from __future__ import annotations

import os
from contextlib import suppress
from copy import deepcopy
from dataclasses import replace
from typing import Any, Callable, Mapping

from ansible_collections.day2.ops.plugins.module_utils.checks.quantity import format_duration
from ansible_collections.day2.ops.plugins.module_utils.errors import Day2Error
from ansible_collections.day2.ops.plugins.module_utils.maintenance import leases, salvage
from ansible_collections.day2.ops.plugins.module_utils.maintenance.engine import Engine
from ansible_collections.day2.ops.plugins.module_utils.maintenance.leases import Reading, State, Wish
from ansible_collections.day2.ops.plugins.module_utils.maintenance.store import Damaged, Store, reading, stamp
from ansible_collections.day2.ops.plugins.module_utils.maintenance.targets.units import release
from ansible_collections.day2.ops.plugins.module_utils.process.locks import Locked
from ansible_collections.day2.ops.plugins.module_utils.process.programs import run

TIMER, BOOT = "day2-maintenance.timer", "day2-maintenance-boot.service"
# A unit a service, so that one which hangs keeps no other from its end.
_APART = "day2-maintenance@{}.service"
_WAIT = 120.0


class NotInstalled(Day2Error):
    """The host has nothing that would end a lease."""


def enable(
    store: Store, service: str, wish: Wish, config: Mapping[str, Mapping[str, Any]], check_mode: bool = False
) -> dict[str, Any]:
    """Grant a lease and enter its targets, all or none."""
    leases.check(wish)
    return _change(store, service, config, lambda state, now: leases.granted(state, wish, now), check_mode, enter=True)


def extend(
    store: Store,
    service: str,
    owner: str,
    duration: float | None,
    config: Mapping[str, Mapping[str, Any]],
    check_mode: bool = False,
) -> dict[str, Any]:
    """Move the end of a lease that is held."""
    return _change(store, service, config, lambda state, now: leases.extended(state, owner, duration, now), check_mode)


def disable(
    store: Store,
    service: str,
    owner: str | None,
    config: Mapping[str, Mapping[str, Any]],
    check_mode: bool = False,
) -> dict[str, Any]:
    """Give up the owner's lease, or (None) all of them. The mode ends with the last one.

    With all of them a state that nobody can read is given up too.
    """
    try:
        store.load(service)
    except Damaged:
        if owner is not None:
            raise
        return _salvaged(store, service, check_mode)
    return _change(store, service, config, lambda state, now: leases.released(state, owner), check_mode)


def _salvaged(store: Store, service: str, check_mode: bool) -> dict[str, Any]:
    lost = State(service)
    if check_mode:
        return {**_told(lost, lost, [], reading()), "changed": True, "steps": salvage.plan(store, service)}
    with store.lock(service, _WAIT, f"maintenance of {service}"):
        steps = salvage.give_up(store, service)
    return {
        **_told(lost, lost, steps, reading()),
        "msg": f"{service} is in service as after a boot: {'; '.join(steps)}",
    }


def _change(
    store: Store,
    service: str,
    config: Mapping[str, Mapping[str, Any]],
    change: Callable[[State, Reading], State],
    check_mode: bool,
    enter: bool = False,
) -> dict[str, Any]:
    engine = Engine(store, config)
    if check_mode:
        now = reading()
        before = store.load(service)
        after = change(leases.ticked(before, now), now)
        planned = replace(after, targets=dict(before.targets))
        return _told(before, after, engine.plan(planned, now, enter), now)
    with store.lock(service, _WAIT, f"maintenance of {service}"):
        now = reading()
        before = store.load(service)
        kept = deepcopy(before)
        current = leases.ticked(before, now)
        after = change(current, now)
        if enter:
            engine.refuse_others(after)
        if after.leases == before.leases and not _unfinished(after, enter):
            return _told(kept, after, [], now)
        if after.leases:
            with store.alone(_WAIT, "the timer of maintenance"):
                arm()
        steps = engine.apply(after, current, now, enter)
        return _told(kept, after, steps, now)


def _told(before: State, after: State, steps: list[str], now: Reading) -> dict[str, Any]:
    was, is_now = describe(before, now), describe(after, now)
    changed = bool(steps) or before.leases != after.leases
    return {"changed": changed, "steps": steps, "before": was, **is_now, "msg": sentence(after, now)}


def describe(state: State, now: Reading) -> dict[str, Any]:
    """What people and playbooks want to know; times are RFC 3339 in UTC, `left` is seconds."""
    return {
        "service": state.service,
        "enabled": bool(state.leases),
        "leases": [
            {
                "owner": lease.owner,
                "reason": lease.reason,
                "targets": list(lease.targets),
                "since": stamp(lease.since),
                "until": stamp(now.wall + lease.left(now)),
                "left": round(lease.left(now), 1),
                "approved_by": lease.approved_by,
            }
            for lease in sorted(state.leases.values(), key=lambda each: -each.left(now))
        ],
        "targets": {name: each.phase.value for name, each in state.targets.items()},
        "faults": [each.error for each in state.targets.values() if each.error],
    }


def sentence(state: State, now: Reading) -> str:
    if not state.leases:
        left = ", ".join(state.targets)
        return f"{state.service} is in service" + (f", but {left} could not be left yet" if left else "")
    told = [
        f"{lease.owner} until {stamp(now.wall + lease.left(now))} ({_remaining(lease.left(now))}; {lease.reason})"
        for lease in state.leases.values()
    ]
    return f"{state.service} is in maintenance: {', '.join(told)}"


def _remaining(left: float) -> str:
    return f"{format_duration(left)} left" if left > 0 else f"over for {format_duration(-left)}"


def status(store: Store) -> list[dict[str, Any]]:
    """Every service that is in maintenance or could not be brought back, also where nobody knows which."""
    now = reading()
    found = []
    for service in store.services():
        try:
            state = store.load(service)
        except Damaged as exc:
            found.append({**describe(State(service), now), "enabled": True, "faults": [str(exc)], "msg": str(exc)})
            continue
        if not state.empty:
            found.append({**describe(state, now), "msg": sentence(state, now)})
    for path in store.strangers():
        said = f"{path} is no service's: nothing reads or ends it. Move it away, or give it back the name it had"
        about = describe(State(os.path.basename(path)), now)
        found.append({**about, "faults": [said], "msg": said})
    return found


def knowing(store: Store) -> list[dict[str, Any]]:
    """The leases of all services, whose holders know of what checks find; the one that ends last first."""
    found = [
        {"service": each["service"], **{name: lease[name] for name in ("owner", "reason", "until", "left")}}
        for each in status(store)
        for lease in each["leases"]
        if lease["left"] > 0
    ]
    return sorted(found, key=lambda lease: -lease["left"])


def attend(store: Store, service: str) -> None:
    """End what is over of one service, and try again what did not work."""
    # Where somebody is at it, the timer comes again.
    with suppress(Locked), store.lock(service, 0.0, "the timer of maintenance"):
        _tick(store, service, reading())


def hand_over(store: Store, service: str) -> None:
    """Have systemd attend to a service where there is something to do, and wait for nothing."""
    state, now = store.load(service), reading()
    if leases.ticked(state, now).leases == state.leases and not _unfinished(state, enter=False):
        return
    # One that still runs is left to itself.
    begun = run(["systemctl", "start", "--no-block", "--", _APART.format(service)])
    if begun.code != 0:
        raise NotInstalled(
            f"{_APART.format(service)} cannot be started, so that nothing ends the maintenance: {begun.complaint}."
            f" Role runtime installs it; meanwhile: day2ctl maintenance tick {service}"
        )


def tick(store: Store, each: Callable[[Store, str], None] = attend) -> list[str]:
    """What the timer does: attend to all services, or with `hand_over` have it done. Returns what went wrong."""
    wrong = []
    for service in store.services():
        try:
            each(store, service)
        except Day2Error as exc:
            wrong.append(f"{service}: {exc}")
    with store.alone(_WAIT, "the timer of maintenance"):
        # In this order: who was at work before has remembered it by now, and who begins waits for us to arm the timer.
        if not store.at_work() and not store.services():
            store.tidy()
            disarm()
    return wrong


def _unfinished(state: State, enter: bool) -> bool:
    failed = any(each.error for each in state.targets.values())
    return failed or bool(state.to_leave()) or (enter and bool(state.to_enter()))


def _tick(store: Store, service: str, now: Reading) -> None:
    state = store.load(service)
    after = leases.ticked(state, now)
    if after.leases != state.leases or _unfinished(after, enter=False):
        Engine(store, {}).apply(replace(after, targets=state.targets), state, now)


def boot(store: Store) -> None:
    """Before the services of a booting host start: what is over no longer keeps them. The timer does the rest."""
    now = reading()
    for service in store.services():
        try:
            state = leases.ticked(store.load(service), now)
        except Day2Error:
            # Nobody knows: what was kept from starting stays so, and the status says why.
            continue
        if "units" not in state.wanted():
            release(store.flag(service, "units"))


def arm() -> None:
    """The host's own timer, which needs no controller and survives a reboot."""
    shown = run(["systemctl", "show", "--property=LoadState,ActiveState,UnitFileState", "--", TIMER, BOOT])
    about = shown.stdout.decode("utf-8", "replace").split("\n\n")
    for unit, told in zip((TIMER, BOOT), about):
        if "LoadState=loaded" not in told:
            raise NotInstalled(
                f"{unit} is missing, so that nothing would end the maintenance: role runtime installs it"
            )
    if "ActiveState=active" in about[0] and "UnitFileState=enabled" in about[0]:
        return
    done = run(["systemctl", "enable", "--quiet", "--now", TIMER])
    if done.code != 0:
        raise NotInstalled(f"{TIMER} cannot be started, so that nothing would end the maintenance: {done.complaint}")


def is_armed() -> bool:
    return run(["systemctl", "is-active", "--quiet", TIMER]).code == 0


def disarm() -> None:
    run(["systemctl", "disable", "--quiet", "--now", TIMER])


def is_root() -> bool:
    return os.geteuid() == 0
