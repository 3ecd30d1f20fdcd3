#!/usr/bin/python
# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: log_rotation
short_description: Logs that are rotated, kept and removed by a policy
version_added: 0.1.0
author: The day2.ops maintainers (@day2-ops)
description:
  - Makes the policy of a log and its file for logrotate, which only renames the log and has its writer reopen it.
    C(day2ctl logs tend), which role C(day2.ops.runtime) installs with a timer, does the rest - it compresses, encrypts
    and seals pieces that nobody writes to any more, and removes what is too old.
  - What cannot be kept is refused by name before anything is changed - a log that another file of logrotate's is for, a
    writer that nobody has reopen its log, a directory in which logrotate does not rotate.
options:
  name:
    description:
      - The name of the policy - small letters and digits, joined by C(.), C(_) or C(-). It is part of the names of
        files, C(/etc/day2/logs/<name>.json) and C(/etc/logrotate.d/day2-<name>).
    type: str
    required: true
  state:
    description:
      - V(present) puts the policy and logrotate's file in place.
      - V(rotated) rotates now, packs, and compares the number of lines before and after. A log in which nothing was
        written since is left as it is.
      - V(verified) compares the sealed pieces with their chain, and fails where they differ. C(day2ctl logs status) on
        the host shows the outcome.
      - V(absent) removes both files, and gives back what O(take_over) took. The pieces stay.
    type: str
    choices: [present, rotated, verified, absent]
    default: present
  paths:
    description:
      - The files that are written to - absolute paths, with shell patterns. Required with O(state=present).
      - A pattern that would match the pieces too, such as V(/var/log/shop/*), is refused.
    type: list
    elements: str
    default: []
  log_class:
    description:
      - V(application) is kept for 30 days, at most 10 GB of all logs of the class; V(system) for 90 days and 50 GB;
        V(audit) for 365 days and 100 GB, encrypted and sealed. What is sealed is removed by its age alone.
    type: str
    default: application
  max_age:
    description: How long pieces are kept, counted from their rotation, such as V(30d). Without it that of the class.
    type: str
  max_size:
    description:
      - The bytes of all logs of the class together, such as V(10GB), one value for all of them - as long as they have
        different ones, the largest holds, and this warns. Beyond it the oldest pieces go. Without it that of the class.
    type: str
  holds:
    description:
      - Pieces that stay whatever their age (a legal hold) - mappings of C(pattern) (a shell pattern of names, or of
        paths where it has a slash), C(until) (the last day, V(2026-12-31)) and C(reason).
    type: list
    elements: dict
    default: []
  encrypt_to:
    description: Public keys of age (V(age1…)) to which pieces are encrypted. Class V(audit) needs one.
    type: list
    elements: str
    default: []
  level:
    description: The level of zstd, 1 to 19.
    type: int
    default: 3
  copy_to:
    description:
      - A repository to which packed pieces and heads of chains are copied - an absolute path, an address, or a
        mapping (O(day2.ops.pg_backup#module:repository)). Copies go by their age, like pieces.
      - With O(state=present) the host tries to write there. One that does not answer is a warning; one that cannot be
        written is refused, and so is one where another host has this one's name.
    type: raw
  host:
    description: The host's name in O(copy_to). Without it the name that the host has itself.
    type: str
  frequency:
    description:
      - How often it is rotated. V(hourly) needs logrotate to be run each hour, which role C(log_management) has systemd
        do; systems run it daily.
    type: str
    choices: [hourly, daily, weekly, monthly]
    default: daily
  size:
    description: A size, such as V(1GB), beyond which it is rotated earlier, whenever logrotate is run.
    type: str
  reopen:
    description:
      - 'What has the writer reopen its log once it is renamed - V({service: nginx, signal: USR1}) sends a signal to the
        main process of a service, V({service: rsyslog, reload: true}) reloads it, V({command: [/usr/bin/pg_ctlcluster,
        "15", main, reload]}) runs a program (no shell takes part, and no secret may be in it).'
    type: dict
  copytruncate:
    description:
      - For a writer that cannot reopen its log - the log is copied, and cut. Lines that are written between the two are
        lost, and nobody can tell how many.
    type: bool
    default: false
  take_over:
    description:
      - Whether entries of other files for the same paths are taken over. On Debian C(dpkg-divert) moves their file to a
        name that logrotate does not read, elsewhere it is renamed; its entries for other paths go on, from a file
        C(day2.<its name>). Without it such a path is refused.
    type: bool
    default: false
  renamed_by:
    description:
      - Who renames the log. V(writer) is for programs that begin new files by themselves, such as PostgreSQL's logging
        collector; O(paths) then match all of its files, and each one that is closed is a piece. With O(state=rotated),
        O(reopen) is what has it begin a new file.
    type: str
    choices: [logrotate, writer]
    default: logrotate
  anchors:
    description:
      - With O(state=verified), heads of the chain that left the host earlier - mappings of C(number), C(digest) and
        C(at), as RV(head) has them. The action plugin adds those on the controller, in C(day2_anchor_dir).
    type: list
    elements: dict
    default: []
extends_documentation_fragment: day2.ops.attributes
attributes:
  check_mode:
    description: Refuses what it would refuse, and says what would be done. With O(state=rotated) the pieces that wait.
    support: full
  diff_mode:
    description: Shows both files, and what becomes of files of others.
    support: full
  idempotent:
    description: A second run with V(present) or V(absent) changes nothing. V(rotated) rotates what was written since.
    support: full
  platform:
    description: Linux with logrotate 3.14 or later, zstd, and age where pieces are encrypted. Needs root.
    support: full
    platforms: posix
notes:
  - Who is root on the host can write the whole chain anew. What V(verified) says holds for what was sealed before the
    newest head that left the host.
seealso:
  - module: day2.ops.file_cleanup
"""

EXAMPLES = r"""
- name: Logs of the shop, kept for 30 days
  day2.ops.log_rotation:
    name: shop
    paths: [/var/log/shop/*.log]
    reopen: {service: shop, signal: HUP}
  become: true

- name: Access logs of nginx, instead of the distribution's own entry
  day2.ops.log_rotation:
    name: nginx
    paths: [/var/log/nginx/*.log]
    reopen: {service: nginx, signal: USR1}
    take_over: true
  become: true

- name: An audit log, encrypted and sealed
  day2.ops.log_rotation:
    name: shop-audit
    log_class: audit
    paths: [/var/log/shop-audit/audit.log]
    encrypt_to: [age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p]
    reopen: {service: shop, signal: HUP}
    holds:
      - {pattern: "audit.log-202611*", until: "2027-06-30", reason: "case 4711"}
  become: true

- name: Rotate it now
  day2.ops.log_rotation:
    name: shop
    state: rotated
  become: true

- name: Nothing in it was changed
  day2.ops.log_rotation:
    name: shop-audit
    state: verified
  become: true
"""

RETURN = r"""
pieces:
  description: Pieces that were made, or in check mode those that wait to be packed.
  returned: with O(state=rotated)
  type: list
  elements: str
  sample: [/var/log/shop/app.log-20261130-1796036400.zst]
lines:
  description: Lines of each log and of its pieces that were not packed before, C(before) and C(after) it.
  returned: with O(state=rotated)
  type: dict
  sample: {before: {/var/log/shop/app.log: 120}, after: {/var/log/shop/app.log: 121}}
removed:
  description: Pieces that were removed by the policy.
  returned: with O(state=rotated)
  type: list
  elements: str
faults:
  description: What is wrong with the pieces and the chain, a sentence each.
  returned: with O(state=verified)
  type: list
  elements: str
head:
  description: The last record of the chain. Kept elsewhere, it shows that the chain was cut or written anew.
  returned: with O(state=verified)
  type: dict
  sample: {number: 12, digest: 5f0c…, at: 1796036400.0}
kept_head:
  description: The file on the controller that keeps the head, below C(day2_anchor_dir). Empty where there is none.
  returned: with O(state=verified), unless something is wrong
  type: str
anchor:
  description: The newest head that left the host earlier, of O(anchors) and O(copy_to). Nothing is claimed beyond it.
  returned: with O(state=verified)
  type: dict
unreached:
  description:
    - Why the chain could not be compared with the heads in O(copy_to), which is a warning. What is said of the host
      holds without them.
  returned: with O(state=verified)
  type: list
  elements: str
"""

import signal
import time
from dataclasses import asdict
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.day2.ops.plugins.module_utils.errors import Day2Error
from ansible_collections.day2.ops.plugins.module_utils.process.masked_module import MaskedModule
from ansible_collections.day2.ops.plugins.module_utils.rotation import arguments, present, rotated
from ansible_collections.day2.ops.plugins.module_utils.rotation.place import Place
from ansible_collections.day2.ops.plugins.module_utils.rotation.tending import tend
from ansible_collections.day2.ops.plugins.module_utils.rotation.timer import why_untended
from ansible_collections.day2.ops.plugins.module_utils.rotation.verifying import parse_anchors, verify

_SHOWN = 1000


def main() -> None:
    module = MaskedModule(
        arguments.secret_values,
        argument_spec=arguments.OPTIONS,
        supports_check_mode=True,
    )
    # What tells the holder of a lease that somebody opens the file would end this process.
    signal.signal(signal.SIGIO, signal.SIG_IGN)
    try:
        _STATES[module.params["state"]](module)
    except Day2Error as exc:
        module.fail_json(msg=str(exc))
    except OSError as exc:
        module.fail_json(msg=f"{exc.filename or 'a file'}: {exc.strerror}")


def _present(module: AnsibleModule) -> None:
    wanted = arguments.parse(module.params)
    place = Place()
    plan = present.plan(wanted, place.policies, present.Site(), module.check_mode)
    plan.warnings += present.try_copies(wanted.policy, place, module.check_mode)
    if plan.changed and not module.check_mode:
        present.apply(plan, place.policies, wanted)
    # What a plan says of the host, a role may be about to change.
    for sentence in (*plan.warnings, *([] if module.check_mode else why_untended())):
        module.warn(sentence)
    module.exit_json(changed=plan.changed, diff=plan.diff())


def _absent(module: AnsibleModule) -> None:
    place = Place()
    plan = present.plan_absent(arguments.parse_log(module.params["name"]), place.policies, present.Site())
    if plan.changed and not module.check_mode:
        present.apply(plan, place.policies)
    module.exit_json(changed=plan.changed, diff=plan.diff())


def _rotated(module: AnsibleModule) -> None:
    place, site = Place(), present.Site()
    policy = place.policies.get(arguments.parse_log(module.params["name"]))
    if module.check_mode:
        planned = tend(place, policy.name, planning=True)
        going = [each.piece.path for each in planned.removed]
        due = planned.changed or rotated.is_due(policy)
        module.exit_json(changed=due, pieces=planned.waiting[:_SHOWN], removed=going[:_SHOWN])
    done = rotated.rotate(policy, site.file(policy.name), place, site.runner)
    going = [each.piece.path for each in done.outcome.removed]
    result: dict[str, Any] = {
        "changed": bool(done.pieces or done.outcome.changed),
        "pieces": done.pieces[:_SHOWN],
        "lines": {"before": done.before, "after": done.after},
        "removed": going[:_SHOWN],
    }
    wrong = [*done.missing, *done.outcome.faults]
    if wrong:
        module.fail_json(msg="; ".join(wrong), **result)
    for sentence in (*done.outcome.over, *why_untended()):
        module.warn(sentence)
    module.exit_json(**result)


def _verified(module: AnsibleModule) -> None:
    place = Place()
    anchors = parse_anchors(module.params["anchors"])
    policy = place.policies.get(arguments.parse_log(module.params["name"]))
    began = time.time()
    verdict = verify(policy, place, anchors)
    if not module.check_mode:
        try:
            place.remember_verdict(policy.name, began, asdict(verdict))
        except OSError as exc:
            module.warn(f"the verdict cannot be kept for `day2ctl logs status`: {exc.strerror}")
    for sentence in verdict.unreached:
        module.warn(sentence)
    result = {
        "faults": verdict.faults[:_SHOWN],
        "head": asdict(verdict.head),
        "anchor": asdict(verdict.anchor) if verdict.anchor is not None else None,
        "unreached": verdict.unreached,
    }
    if verdict.faults:
        module.fail_json(msg="; ".join(verdict.faults[:20]), **result)
    if verdict.head.number and verdict.anchor is None:
        module.warn(
            f"no head of the chain of {policy.name} was kept elsewhere before: what was cut off or written anew until"
            " now does not show"
        )
    module.exit_json(changed=False, msg=verdict.describe(policy.name), **result)


_STATES = {"present": _present, "absent": _absent, "rotated": _rotated, "verified": _verified}


if __name__ == "__main__":
    main()
