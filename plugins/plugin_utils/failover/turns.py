# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The turns of a failover between its playbook and its core: what hosts answered goes in, what they are asked next
comes out, as data that variables of Ansible carry from task to task. Pure.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Mapping, Sequence

from ansible_collections.day2.ops.plugins.module_utils.checks.result import Status
from ansible_collections.day2.ops.plugins.module_utils.errors import Day2Error
from ansible_collections.day2.ops.plugins.module_utils.failover.journal import Entry, render_entry
from ansible_collections.day2.ops.plugins.module_utils.units.quantity import format_duration
from ansible_collections.day2.ops.plugins.plugin_utils.failover import ballots, lines
from ansible_collections.day2.ops.plugins.plugin_utils.failover.approval import approve
from ansible_collections.day2.ops.plugins.plugin_utils.failover.assess import Assessment
from ansible_collections.day2.ops.plugins.plugin_utils.failover.case import (
    ABORT,
    FINISH,
    cases,
    known_primary,
    open_case,
    settled,
)
from ansible_collections.day2.ops.plugins.plugin_utils.failover.evidence import newest, observation, read_seen
from ansible_collections.day2.ops.plugins.plugin_utils.failover.judge import AGAIN, judge
from ansible_collections.day2.ops.plugins.plugin_utils.failover.managed import decide
from ansible_collections.day2.ops.plugins.plugin_utils.failover.model import Plan
from ansible_collections.day2.ops.plugins.plugin_utils.failover.planner import abort, next_step, outline
from ansible_collections.day2.ops.plugins.plugin_utils.failover.predict import SERVING, measure, predict
from ansible_collections.day2.ops.plugins.plugin_utils.failover.steps import (
    Finished,
    Judgement,
    Look,
    Order,
    Orders,
    Refused,
    Step,
    read_answers,
)
from ansible_collections.day2.ops.plugins.plugin_utils.failover.table import Table, answered, read_entries

# What comes after a turn, as task files of the playbook: orders that are modules', others, a look at
# members, one from vantage points before it, the last entries.
ACT, CARRY, LOOK, LOOK_AGAIN, CLOSE, END = "act", "carry", "turn", "again", "close", "end"
# Orders that take several tasks.
_SEVERAL = ("role", "day2.ops.checklist")


def claiming(table: Table, answers: Mapping[str, object]) -> dict[str, Any]:
    """Which epoch to claim, from what journals were read."""
    standing = ballots.read_answers(table.plan, answered(answers))
    return {**_majority(table, standing, "read"), "epoch": ballots.next_epoch(standing), "seen": _seen(table, answers)}


def _seen(table: Table, answers: Mapping[str, object]) -> dict[str, Any]:
    return newest(answers, table.began) if table.began is not None else {}


def claimed(table: Table, answers: Mapping[str, object]) -> dict[str, Any]:
    """The entries that the run goes on from."""
    standing = ballots.read_claims(table.plan, answered(answers), (table.request.epoch, table.request.run))
    found = _majority(table, standing, "claim")
    entries = list(standing.entries)
    if found["minority"] and not found["refused"]:
        for about in found.pop("overrides"):
            entries.append(table.entry("claim", "overridden", None, about, entries))
    found.pop("overrides", None)
    ours = (table.request.epoch, table.request.run)
    return {
        **found,
        # Another run has the same epoch at a host that may have to act: only a higher one is taken there.
        "again": standing.won and any(held[0] == ours[0] and held != ours for held in standing.promised.values()),
        "entries": [render_entry(entry) for entry in entries],
        "promised": {host: {"epoch": epoch, "run": run} for host, (epoch, run) in standing.promised.items()},
    }


def acknowledged(table: Table, answers: Mapping[str, object]) -> dict[str, Any]:
    """Whether a majority has what was written: nothing is acted on before."""
    standing = _written(table, answers)
    # Whoever approved that a minority is enough did so before anything was done. What is lost on the way is not meant.
    request = table.request if table.minority else replace(table.request, approved_by="")
    found = _majority(replace(table, request=request), standing, "journal")
    found.pop("overrides", None)
    return found


def closed(table: Table, answers: Mapping[str, object]) -> dict[str, Any]:
    """Whether a majority has what was written last: nothing follows that would be refused for it."""
    standing = _written(table, answers)
    if standing.won or standing.reason is None or table.minority:
        return {"rows": {}, "msg": "how this run ended is written down"}
    text = (
        f"what this run did last is not known to a majority: {standing.reason.text}. Restore those hosts; the next run"
        " observes what was done, and goes on from there"
    )
    row = table.row("journal", "Journal of the failover", Status.WARNING, text)
    return {"rows": table.rows(None, row), "msg": text}


def _written(table: Table, answers: Mapping[str, object]) -> ballots.Standing:
    asked = (table.request.epoch, table.request.run)
    return ballots.read_writes(table.plan, answered(answers), asked, len(table.entries))


def _majority(table: Table, standing: ballots.Standing, name: str) -> dict[str, Any]:
    if standing.won or standing.reason is None:
        return {"refused": "", "minority": table.minority, "rows": {}, "overrides": (), "msg": "a majority answered"}
    case = open_case(standing.entries)
    if table.minority and standing.reason.approvable:
        approved: object = ()
    else:
        approved = approve(table.plan, table.request, [standing.reason], {}, case.name if case else table.request.run)
    if isinstance(approved, Refused):
        row = table.row(name, "Journal of the failover", Status.CRITICAL, approved.text)
        return {"refused": approved.text, "minority": False, "rows": table.rows(None, row), "msg": approved.text}
    return {"refused": "", "minority": True, "rows": {}, "overrides": approved, "msg": standing.reason.text}


def history(entries: Sequence[Entry]) -> list[Mapping[str, float]]:
    """Seconds by step of the failovers that ended, oldest first."""
    return [measure(case.entries) for case in cases(entries) if case.done(FINISH)]


def assessed(table: Table, journals: Mapping[str, object]) -> dict[str, Any]:
    """The decision, and its rows: readiness is a checklist. `journals`: what was read of them, by host."""
    entries = ballots.read_answers(table.plan, answered(journals)).entries
    table = replace(table, last_known=read_seen(_seen(table, journals), table.now))
    found = _assess(table, entries)
    seen = observation(table.plan, table.facts, found.primary, table.began) if table.began is not None else None
    rows = lines.of_hosts(table)
    main = found.primary if found.primary is not None and found.primary in table.hosts else table.hosts[0]
    rows[main] = [*lines.of_assessment(table, found), *rows.get(main, [])]
    return {**found.as_dict(), "observed": seen or {}, "rows": rows, "msg": lines.verdict(found)}


def _assess(table: Table, entries: Sequence[Entry]) -> Assessment:
    past, primary, off = history(entries), known_primary(entries), settled(entries)
    return decide(table.plan, table.facts, table.now, past, table.last_known, primary, off)


def planned(table: Table) -> dict[str, Any]:
    """Check mode: what a run would do from here, with predicted times."""
    step = _ask(table)
    if isinstance(step, (Refused, Finished)):
        return {"then": END, **_ended(table, step)}
    if isinstance(step, Look):
        return {"action": "planned", "then": END, "rows": {}, "msg": step.text}
    if table.aborting:
        row = table.row(step.step, step.title, Status.SKIPPED, "would be done")
        return {"action": "planned", "then": END, "rows": table.rows(None, row), "msg": step.title}
    past = history(table.entries)
    steps = outline(table.plan, table.request, table.entries, table.facts, past, table.last_known)
    found = _assess(table, table.entries)
    rows = lines.of_assessment(table, found) if open_case(table.entries) is None else []
    for line in steps:
        title = f"Promote {found.candidate}" if line["step"] == "promote" and found.candidate else str(line["title"])
        soon = f", in about {format_duration(line['seconds'])}" if line.get("seconds") is not None else ""
        rows.append(table.row(str(line["step"]), title, Status.SKIPPED, f"would be done{soon}"))
    return {
        "action": "planned",
        "then": END,
        "rows": table.rows(None, *rows),
        "msg": f"would {step.title[0].lower()}{step.title[1:]}",
    }


def _ask(table: Table) -> Step:
    if table.aborting:
        return abort(table.plan, table.request, table.entries, table.facts)
    past = history(table.entries)
    return next_step(table.plan, table.request, table.entries, table.facts, table.now, past, table.last_known)


def turn(table: Table) -> dict[str, Any]:
    """What is done next: `action` is orders, refused or finished. With orders come the entries to write first; `then`
    is the task file of the playbook that goes on."""
    step = _ask(table)
    if isinstance(step, Look):
        return {"action": "look", "then": LOOK_AGAIN, "rows": {}, "msg": step.text}
    return _ordered(table, step) if isinstance(step, Orders) else {"then": END, **_ended(table, step)}


def _ordered(table: Table, step: Orders) -> dict[str, Any]:
    entries = list(table.entries)
    for about in step.overrides:
        entries.append(table.entry(step.step, "overridden", step.host, about, entries))
    entries.append(table.entry(step.step, "intent", step.host, step.about, entries))
    return {
        "action": "orders",
        "then": CARRY if any(order.module in _SEVERAL for order in step.orders) else ACT,
        "step": _render(step),
        "orders": _by_host(table, step, len(entries)),
        "entries": [render_entry(entry) for entry in entries],
        "began": table.now,
        "seen": len(table.entries) if table.facts.seen is None else table.facts.seen,
        "rows": {},
        "msg": step.title,
    }


def _by_host(table: Table, step: Orders, intent: int) -> dict[str, list[dict[str, Any]]]:
    """Orders of each host. `id` is of this run, this intent and this order; `file` the module's short name."""
    found: dict[str, list[dict[str, Any]]] = {}
    for number, order in enumerate(step.orders):
        found.setdefault(order.host, []).append(
            {
                "id": f"{table.request.run}.{intent}.{number}",
                "host": order.host,
                "module": order.module,
                "file": order.module.rpartition(".")[2],
                "arguments": dict(order.arguments),
                "entry": order.entry,
            }
        )
    return found


def _ended(table: Table, step: Refused | Finished) -> dict[str, Any]:
    if isinstance(step, Refused):
        return {"action": "refused", "rows": lines.of_refusal(table, step), "msg": step.text}
    # The last one is the one that ends here.
    predicted = predict(table.plan, history(table.entries)[:-1])
    rows = lines.of_end(table, step, predicted)
    message = "; ".join([step.text, *([step.loss.text] if step.loss is not None else [])])
    return {
        "action": "finished",
        "outcome": step.outcome,
        "primary": step.primary,
        "loss": step.loss.as_dict() if step.loss else None,
        "measured": dict(step.measured),
        "outage": vars(step.outage) if step.outage else None,
        "left": list(step.left),
        "rows": table.rows(step.primary, *rows),
        "msg": message,
    }


def judged(
    table: Table, turned: Mapping[str, Any], acknowledgement: Mapping[str, Any], answers: Sequence[object]
) -> dict[str, Any]:
    """What the answers to orders come to. `turned`: what `turn` returned; `acknowledgement`: of its entries.

    Entries are written with the next step's, or now where there is none (`then` is close): whoever is killed
    in between has done something that the next run observes. `next` is the next turn, where it needs no other look.
    """
    if acknowledgement.get("refused"):
        # A minority has the intent. Nothing was done.
        return _judgement(table.entries, END, acknowledgement.get("rows") or {}, ended=acknowledgement["refused"])
    asked = _parse(turned["step"])
    entries = list(read_entries(turned["entries"]))
    found = _judge(table, turned, asked, entries, answers)
    if found.phase != AGAIN:
        entries.append(table.entry(asked.step, found.phase, asked.host, found.about, entries))
    refused = found.refuse or ""
    # A layer that proves nothing is followed by the next one; a run that stops has failed.
    bad = Status.CRITICAL if refused else Status.WARNING
    status = Status.OK if found.phase == "done" and not found.about.get("left") else bad
    message = "; ".join(text for text in (refused or found.message, _timed(table, turned, asked), asked.said) if text)
    title = asked.title.replace(f" ({asked.said})", "")
    row = table.row(asked.step, title, status, message, found.evidence, turned["began"])
    rows = {} if asked.step in (FINISH, ABORT) else lines.of_step(table, asked, row)
    if refused:
        return _judgement(entries, CLOSE, rows, refused, ended=refused)
    if asked.step in (FINISH, ABORT) and found.phase == "done":
        return _judgement(entries, CLOSE, rows, found.message)
    following = {} if _sent_more(table, asked, answers) else _at_once(table, asked, found, turned, entries)
    return {**_judgement(entries, following.get("then", LOOK), rows, found.message), "next": following}


def _at_once(
    table: Table, asked: Orders, found: Judgement, turned: Mapping[str, Any], entries: Sequence[Entry]
) -> dict[str, Any]:
    """The next turn without another look, which applications would wait for; {} where it has to be looked first.

    What comes after a promotion until traffic is led asks for nothing that the promotion has not proven. A manager does
    more on its own.
    """
    if table.plan.manager is not None:
        return {}
    if found.phase != "done" or asked.step not in SERVING or asked.about.get("release"):
        return {}
    then = replace(table, entries=tuple(entries), facts=replace(table.facts, seen=turned["seen"]))
    step = _ask(then)
    return _ordered(then, step) if isinstance(step, Orders) and step.step in SERVING else {}


def _sent_more(table: Table, asked: Orders, answers: Sequence[object]) -> bool:
    """Whether standbys may have received WAL since they were observed: only of a server that was seen stopped, and had
    not been started until it was fenced, they have not."""
    if asked.step != "fence":
        return False
    old = table.facts.view(asked.host) if asked.host is not None else None
    if old is None or not old.reachable or old.state != "stopped":
        return True
    return any(answer.result.get("found_running") is not False for answer in read_answers(answers))


def _timed(table: Table, turned: Mapping[str, Any], asked: Orders) -> str:
    """How long it took, and was expected to take."""
    if not asked.orders:
        return ""
    took = f"took {format_duration(max(0.0, table.now - turned['began']))}"
    return took if asked.seconds is None else f"{took}, {format_duration(asked.seconds)} predicted"


def _judge(
    table: Table, turned: Mapping[str, Any], asked: Orders, entries: Sequence[Entry], answers: Sequence[object]
) -> Judgement:
    """By the answers to these orders: those of an earlier turn, which a variable may still hold, are none."""
    wanted = [order["id"] for orders in turned["orders"].values() for order in orders]
    own = {str(answer.get("id")): answer for answer in answers if isinstance(answer, Mapping)}
    missing = [name for name in wanted if name not in own]
    if missing:
        hosts = [host for host, orders in turned["orders"].items() if any(order["id"] in missing for order in orders)]
        return Judgement(AGAIN, dict(asked.about), f"no answer of {', '.join(hosts)}")
    return judge(table.plan, table.request, entries, table.facts, asked, [own[name] for name in wanted])


def _judgement(
    entries: Sequence[Entry], then: str, rows: Mapping[str, Any], text: str = "", ended: str = ""
) -> dict[str, Any]:
    return {
        "entries": [render_entry(entry) for entry in entries],
        "ended": ended,
        "rows": rows,
        "then": then,
        "next": {},
        "msg": text or ended,
    }


def _render(step: Orders) -> dict[str, Any]:
    return {
        "step": step.step,
        "host": step.host,
        "about": dict(step.about),
        "title": step.title,
        "seconds": step.seconds,
        "said": step.said,
        "orders": [
            {"host": o.host, "module": o.module, "arguments": dict(o.arguments), "entry": o.entry} for o in step.orders
        ],
    }


def _parse(raw: Mapping[str, Any]) -> Orders:
    try:
        orders = tuple(
            Order(o["host"], o["module"], o.get("arguments") or {}, tuple(o["entry"]) if o.get("entry") else None)
            for o in raw["orders"]
        )
        return Orders(str(raw["step"]), raw.get("host"), raw["about"], orders, str(raw["title"]), raw.get("seconds"),
                      said=str(raw.get("said") or ""))  # fmt: skip
    except (KeyError, TypeError) as exc:
        raise Day2Error(f"'step' is not what 'phase' next has returned ({exc})") from exc


def status(plan: Plan, answers: Mapping[str, object]) -> dict[str, Any]:
    """What the journals say, without a claim: for people, while a run is at work."""
    standing = ballots.read_answers(plan, answered(answers))
    lines = [
        f"{entry.at} epoch {entry.epoch}, run {entry.run}: {entry.step} {entry.phase.value}"
        + (f" on {entry.host}" if entry.host else "")
        for entry in standing.entries
    ]
    case = open_case(standing.entries)
    if case is None:
        text = f"no failover of {plan.system} is under way"
    else:
        text = f"a failover from {case.old} is under way, begun by run {case.name}"
    if standing.reason is not None:
        text += f"; {standing.reason.text}"
    return {
        "epoch": standing.epoch,
        "holder": standing.holder,
        "under_way": case is not None,
        "primary": known_primary(standing.entries),
        "entries": [render_entry(entry) for entry in standing.entries],
        "lines": lines,
        "msg": text,
    }
