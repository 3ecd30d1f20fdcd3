# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Sealed logs: each piece against its digest, the chain of digests, and what of the chain was known elsewhere."""

from __future__ import annotations

from typing import Any

from ansible_collections.day2.ops.plugins.module_utils.checks.request import FieldError
from ansible_collections.day2.ops.plugins.module_utils.checks.result import Observation, Status
from ansible_collections.day2.ops.plugins.module_utils.checks.spec import Argument, Check, Metric, ProbeSpec
from ansible_collections.day2.ops.plugins.module_utils.errors import Day2Error, NeedsRoot, Undetermined
from ansible_collections.day2.ops.plugins.module_utils.rotation.chain import Head
from ansible_collections.day2.ops.plugins.module_utils.rotation.place import Place
from ansible_collections.day2.ops.plugins.module_utils.rotation.verifying import Verdict, parse_anchor, verify
from ansible_collections.day2.ops.plugins.module_utils.units.quantity import counted, format_bytes
from ansible_collections.day2.ops.plugins.module_utils.units.timestamps import readable, rfc3339

_SHOWN = 20


def _validate(args: dict[str, Any], _metric: str | None) -> None:
    if args["anchors"] and args["name"] is None:
        raise FieldError("anchors", "they are heads of one log's chain: 'name' says of which")
    try:
        for entry in args["anchors"]:
            parse_anchor(entry)
    except ValueError as exc:
        raise FieldError("anchors", str(exc)) from None


SPEC = ProbeSpec(
    doc="The sealed pieces of a log against its chain of digests: an edit, a removal, another order, and with anchors a"
    " chain that was cut or written anew. Any fault is critical; heads in the log's repository that cannot be read are"
    " a warning. All pieces are read, at the speed of `sha256sum`: the check's `timeout` has to be long enough. What"
    " root did after the newest anchor does not show.",
    arguments={
        "name": Argument("str", "The log, by the name of its policy. Without it, all that are sealed."),
        "anchors": Argument(
            "mappings",
            "Heads of the chain that left the host earlier: mappings of `number`, `digest` and `at` (RFC 3339 or POSIX"
            " seconds), as the evidence of earlier runs shows them. Those in the log's repository count with them.",
            default=(),
        ),
    },
    metrics={"faults": Metric("What is wrong; each with its file or record as evidence.", "faults")},
    default_metric="faults",
    validate=_validate,
)


def observe(_source: object, check: Check) -> Observation:
    name, anchors = check.args["name"], list(map(parse_anchor, check.args["anchors"]))
    place, verdicts, unknown = Place(), {}, []
    for each in [name] if name else place.policies.names():
        try:
            policy = place.policies.get(each)
            if policy.sealed or name:
                verdicts[each] = verify(policy, place, anchors)
        except NeedsRoot:
            raise
        except Day2Error as exc:
            unknown.append(str(exc))
    faults = [f"{each}: {fault}" for each, verdict in verdicts.items() for fault in verdict.faults]
    if unknown and not faults:
        raise Undetermined("; ".join(unknown))
    unreached = [f"{each}: {why}" for each, verdict in verdicts.items() for why in verdict.unreached]
    more = [f"and {counted(len(faults) - _SHOWN, 'fault')} more"] if faults[_SHOWN:] else []
    evidence = [*unknown, *unreached, *faults[:_SHOWN], *more]
    # As entries of `anchors`: with the report they leave the host.
    evidence += [f"head{'' if name else f' of {each}'}: {_as_anchor(verdict.head)}"
                 for each, verdict in verdicts.items() if verdict.head.number]  # fmt: skip
    if faults:
        others = f" (and {counted(len(faults) - 1, 'other fault')})" if faults[1:] else ""
        return Observation(len(faults), f"{faults[0]}{others}", evidence=evidence, unexpected="none should be")
    text = "; ".join([*(_text(each, verdict) for each, verdict in verdicts.items()), *unreached])
    text = text or "no log of this host has a policy of a class that is sealed"
    return Observation(0, text, evidence=evidence, status=Status.WARNING if unreached else None)


def _as_anchor(head: Head) -> str:
    return f"{{number: {head.number}, digest: '{head.digest}', at: '{rfc3339(head.at)}'}}"


def _text(name: str, verdict: Verdict) -> str:
    head = verdict.head
    if not head.number:
        return f"nothing of {name} was sealed yet"
    sealed = f"{counted(verdict.files, 'sealed file')} of {name} ({format_bytes(verdict.size)})"
    ends = f"the chain ends with record {head.number} of {readable(head.at)}"
    return f"{sealed} as recorded; {ends}; {_known(verdict.anchor)}"


def _known(anchor: Head | None) -> str:
    if anchor is None:
        return "no anchor is given, so that a chain which root wrote anew would not show"
    return f"anchored at record {anchor.number} of {readable(anchor.at)}; what root did since then would not show"
