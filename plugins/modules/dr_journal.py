#!/usr/bin/python
# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: dr_journal
short_description: The journal of a system's failovers on a host
version_added: 0.1.0
author: The day2.ops maintainers (@day2-ops)
description:
  - Reads and writes what a host remembers of a system's failovers in C(/var/lib/day2/dr), and is asked on all of the
    plan's journal hosts. What a majority of them acknowledges is never lost.
  - A run claims a higher epoch than any before. A host that has promised an epoch takes nothing from a run with a lower
    one any more, and its other modules change nothing for it.
  - What the module answers is on the host's disk by then.
  - A journal that cannot be read is a failure, and never read as an empty one.
  - Beside the journal a host keeps what was last seen of the primary at work, which bounds a loss when it is gone.
extends_documentation_fragment: day2.ops.attributes
options:
  system:
    description: The system.
    type: str
    required: true
  state:
    description:
      - V(read) only answers what is there.
      - V(claimed) promises O(epoch) to O(run).
      - V(written) replaces the entries by O(entries). It promises the epoch too, where the host had promised a lower
        one. Within an epoch entries are only added.
      - V(observed) keeps O(observed), unless the host has a newer one. It needs no epoch, and promises nothing.
    type: str
    choices: [read, claimed, written, observed]
    default: read
  epoch:
    description: The epoch that O(run) claims or has claimed, 1 or more.
    type: int
  run:
    description: The run, by a name that no other one ever has.
    type: str
  entries:
    description: >-
      All entries, in their order, each with C(n), C(epoch), C(run), C(step), C(phase) (V(intent), V(done), V(failed) or
      V(overridden)), C(host), C(about) and C(at).
    type: list
    elements: dict
  observed:
    description: >-
      A primary at work, as M(day2.ops.dr_failover) returns it - C(at), C(primary), C(system_identifier), C(timeline),
      C(lsn) and C(standbys).
    type: dict
  clock:
    description: RV(clock) of this host, as V(read) answered it before the primary was observed.
    type: float
  wait:
    description: How long to wait while another module changes something on this host for a failover of O(system).
    type: str
    default: 30s
attributes:
  check_mode:
    description: Answers what it would, and writes nothing.
    support: full
  idempotent:
    description: The same claim and the same entries again change nothing.
    support: full
seealso:
  - module: day2.ops.dr_fence
"""

EXAMPLES = r"""
- name: Read the journal of the failover
  day2.ops.dr_journal:
    system: snowflake_analytics
  become: true

- name: Claim an epoch
  day2.ops.dr_journal:
    system: snowflake_analytics
    state: claimed
    epoch: 4
    run: 20260201T040000Z-7f3a
  become: true

- name: Keep what was seen of the primary
  day2.ops.dr_journal:
    system: snowflake_analytics
    state: observed
    observed: "{{ dr_assessed.observed }}"
    clock: "{{ dr_read.clock }}"
  become: true
"""

RETURN = r"""
accepted:
  description: Whether the host took the claim or the entries. What it has is answered in any case.
  returned: when O(state) is not V(read)
  type: bool
msg:
  description: Why it was not accepted, or what the host has promised.
  returned: success
  type: str
promised:
  description: The epoch that was promised last, and to which run. Epoch 0 is nobody's.
  returned: when O(state) is not V(observed)
  type: dict
  sample: {epoch: 4, run: 20260201T040000Z-7f3a}
written:
  description: In which epoch, and by which run, the entries were written.
  returned: when O(state) is not V(observed)
  type: dict
entries:
  description: The entries.
  returned: when O(state) is not V(observed)
  type: list
  elements: dict
observed:
  description: What the host keeps of the primary at work, with C(clock), its own time before that was seen.
  returned: when O(state) is V(read)
  type: dict
observed_error:
  description: Why what it keeps cannot be read; empty otherwise.
  returned: when O(state) is V(read)
  type: str
clock:
  description: The host's time now, in seconds since 1970.
  returned: when O(state) is V(read)
  type: float
"""

import time

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.day2.ops.plugins.module_utils.errors import Day2Error
from ansible_collections.day2.ops.plugins.module_utils.failover.journal import parse_entries, promise, write
from ansible_collections.day2.ops.plugins.module_utils.failover.observed import (
    Kept,
    ObservedFile,
    parse_observed,
    told,
)
from ansible_collections.day2.ops.plugins.module_utils.failover.store import JournalFile, accept, answer
from ansible_collections.day2.ops.plugins.module_utils.units.quantity import QuantityError, parse_duration


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "system": {"type": "str", "required": True},
            "state": {"type": "str", "choices": ["read", "claimed", "written", "observed"], "default": "read"},
            "epoch": {"type": "int"},
            "run": {"type": "str"},
            "entries": {"type": "list", "elements": "dict"},
            "observed": {"type": "dict"},
            "clock": {"type": "float"},
            "wait": {"type": "str", "default": "30s"},
        },
        required_if=[
            ("state", "claimed", ("epoch", "run")),
            ("state", "written", ("epoch", "run", "entries")),
            ("state", "observed", ("observed", "clock")),
        ],
        supports_check_mode=True,
    )
    params = module.params
    try:
        journal = JournalFile(params["system"])
        if params["state"] == "read":
            module.exit_json(changed=False, **answer(journal.load()), **told(journal, time.time()))
        wait = parse_duration(params["wait"])
        if params["state"] == "observed":
            kept = Kept(parse_observed(params["observed"]), params["clock"])
            module.exit_json(**ObservedFile(journal).keep(kept, time.time(), wait, module.check_mode))
        entries = parse_entries(params["entries"] or [])
        change = promise if params["state"] == "claimed" else (lambda has, asked: write(has, asked, entries))
        result = accept(journal, params["epoch"], params["run"], change, wait, module.check_mode)
    except QuantityError as exc:
        module.fail_json(msg=f"'wait': {exc}")
    except Day2Error as exc:
        module.fail_json(msg=str(exc))
    module.exit_json(**result)


if __name__ == "__main__":
    main()
