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

from ansible_collections.day2.ops.plugins.module_utils.errors import Day2Error
from ansible_collections.day2.ops.plugins.module_utils.maintenance import leases, salvage
from ansible_collections.day2.ops.plugins.module_utils.maintenance.engine import Engine
from ansible_collections.day2.ops.plugins.module_utils.maintenance.leases import Reading, State, Wish
from ansible_collections.day2.ops.plugins.module_utils.maintenance.platform import Damaged, Platform
from ansible_collections.day2.ops.plugins.module_utils.maintenance.status import describe, sentence
from ansible_collections.day2.ops.plugins.module_utils.maintenance.targets.registry import TARGETS
from ansible_collections.day2.ops.plugins.module_utils.process.locks import Locked

TIMER, BOOT = "day2-maintenance.timer", "day2-maintenance-boot.service"
# A unit a service, so that one which hangs keeps no other from its end.
_WAIT = 120.0


def enable(
    here: Platform,
    service: str,
    wish: Wish,
    config: Mapping[str, Mapping[str, Any]],
    check_mode: bool = False,
    begins: float | None = None,
) -> dict[str, Any]:
    """Grant a lease and enter its targets, all or none. A plan may be of later: `begins`, POSIX seconds."""
    leases.check(wish)
    return _change(here, service, config, lambda state, now: leases.granted(state, wish, now), check_mode, True, begins)


def extend(
    here: Platform,
    service: str,
    owner: str,
    duration: float | None,
    config: Mapping[str, Mapping[str, Any]],
    check_mode: bool = False,
) -> dict[str, Any]:
    """Move the end of a lease that is held."""
    return _change(here, service, config, lambda state, now: leases.extended(state, owner, duration, now), check_mode)


def disable(
    here: Platform,
    service: str,
    owner: str | None,
    config: Mapping[str, Mapping[str, Any]],
    check_mode: bool = False,
) -> dict[str, Any]:
    """Give up the owner's lease, or (None) all of them. The mode ends with the last one.

    With all of them a state that nobody can read is given up too.
    """
    try:
        here.store.load(service)
    except Damaged:
        if owner is not None:
            raise
        return _salvaged(here, service, check_mode)
    return _change(here, service, config, lambda state, now: leases.released(state, owner), check_mode)


def _salvaged(here: Platform, service: str, check_mode: bool) -> dict[str, Any]:
    lost = State(service)
    if check_mode:
        return {**_outcome(lost, lost, [], here.clock()), "changed": True, "steps": salvage.plan(here.store, service)}
    with here.store.lock(service, _WAIT, f"maintenance of {service}"):
        steps = salvage.give_up(here.store, service)
    return {
        **_outcome(lost, lost, steps, here.clock()),
        "msg": f"{service} is in service as after a boot: {'; '.join(steps)}",
    }


def _change(
    here: Platform,
    service: str,
    config: Mapping[str, Mapping[str, Any]],
    change: Callable[[State, Reading], State],
    check_mode: bool,
    enter: bool = False,
    begins: float | None = None,
) -> dict[str, Any]:
    engine = Engine(here.store, config)
    if check_mode:
        now = here.clock()
        now = replace(now, wall=now.wall if begins is None else max(now.wall, begins))
        before = here.store.load(service)
        after = change(leases.ticked(before, now), now)
        planned = replace(after, targets=dict(before.targets))
        if after.leases != before.leases and after.leases:
            here.waker.look()
        return _planned(before, after, engine.plan(planned, now, enter), now)
    with here.store.lock(service, _WAIT, f"maintenance of {service}"):
        now = here.clock()
        before = here.store.load(service)
        kept = deepcopy(before)
        current = leases.ticked(before, now)
        after = change(current, now)
        if enter:
            engine.refuse_others(after)
        if after.leases == before.leases and not _unfinished(after, enter):
            return _outcome(kept, after, [], now)
        if after.leases:
            with here.store.alone(_WAIT, "the timer of maintenance"):
                here.waker.arm()
        steps = engine.apply(after, current, now, enter)
        return _outcome(kept, after, steps, now)


def _outcome(before: State, after: State, steps: list[str], now: Reading) -> dict[str, Any]:
    was, is_now = describe(before, now), describe(after, now)
    changed = bool(steps) or before.leases != after.leases
    entered = [target.record for name, target in after.targets.items() if name not in before.targets]
    unproven = [record["unproven"] for record in entered if record.get("unproven")]
    return {"changed": changed, "steps": steps, "before": was, **is_now, "unproven": unproven,
            "msg": sentence(after, now)}  # fmt: skip


def _planned(before: State, after: State, steps: list[str], now: Reading) -> dict[str, Any]:
    said = sentence(after, now)
    if after.leases != before.leases:
        said = said.replace(f"{after.service} is in ", f"{after.service} would be in ", 1)
    return {**_outcome(before, after, steps, now), "msg": said}


def attend(here: Platform, service: str) -> None:
    """End what is over of one service, and try again what did not work."""
    # Where somebody is at it, the timer comes again.
    with suppress(Locked), here.store.lock(service, 0.0, "the timer of maintenance"):
        _tick(here, service)


def hand_over(here: Platform, service: str) -> None:
    """Have the waker attend to a service where there is something to do, and wait for nothing."""
    state, now = here.store.load(service), here.clock()
    is_over = leases.ticked(state, now).leases != state.leases
    waits = _unfinished(state, False) or Engine.is_watched(state) or not here.store.is_published(state)
    if not is_over and not waits:
        return
    here.waker.attend(service)


def tick(here: Platform, handle: Callable[[Platform, str], None] = attend) -> list[str]:
    """What the timer does: attend to all services, or with `hand_over` have it done. Returns what went wrong."""
    wrong = []
    for service in here.store.services():
        try:
            handle(here, service)
        except Day2Error as exc:
            wrong.append(f"{service}: {exc}")
    with here.store.alone(_WAIT, "the timer of maintenance"):
        # In this order: who was at work before has remembered it by now, and who begins waits for us to arm the timer.
        if not here.store.at_work() and not here.store.services():
            here.store.tidy()
            here.waker.disarm()
    return wrong


def _unfinished(state: State, enter: bool) -> bool:
    failed = any(entered.error for entered in state.targets.values())
    return failed or bool(state.to_leave()) or (enter and bool(state.to_enter()))


def _tick(here: Platform, service: str) -> None:
    store, now = here.store, here.clock()
    state = store.load(service)
    after = leases.ticked(state, now)
    if after.leases != state.leases or _unfinished(after, enter=False):
        Engine(store, {}).apply(replace(after, targets=state.targets), state, now)
    elif Engine.is_watched(state):
        Engine(store, {}).watch(state, now)
    elif not store.is_published(state):
        # Of an earlier version, or of a run that was killed in between.
        store.save(state, now)


def boot(here: Platform) -> None:
    """Before the services of a booting host start: what is over no longer keeps them. The timer does the rest."""
    now = here.clock()
    for service in here.store.services():
        try:
            state = leases.ticked(here.store.load(service), now)
        except Day2Error:
            # Nobody knows: what was kept from starting stays so, and the status says why.
            continue
        for name in TARGETS.keys() - state.wanted():
            Engine(here.store, {}).target(service, name).boot()


def is_root() -> bool:
    return os.geteuid() == 0
