#!/usr/bin/python
# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: file_cleanup
short_description: Remove old files below directories
version_added: 0.1.0
author: The day2.ops maintainers (@day2-ops)
description:
  - Removes regular files that were not written to for longer than O(age) and whose names have one of O(patterns).
  - Follows no symbolic link, enters no other file system, and leaves alone what a process has open. Directories stay.
  - Audit files stay, whatever O(patterns) says - files that are named after audits, logins, C(sudo), C(auth.log),
    C(secure), C(wtmp), C(btmp) and the like, and all files below a directory with such a name. RV(outcome) names them.
  - Logs of this host that have a policy, and their pieces, stay whatever O(patterns) says - the policy decides when
    they go. Root alone can read policies, and who cannot read those of the host removes nothing.
extends_documentation_fragment: day2.ops.attributes
options:
  directories:
    description:
      - Absolute paths, at least two levels below the root of the file system. Nothing goes below C(/etc), C(/usr) and
        C(/var/lib), nor where a database keeps its data (known by files such as C(PG_VERSION)).
    type: list
    elements: str
    required: true
  patterns:
    description: Shell patterns of the names of files that are removed, such as V(*.log.[0-9]*).
    type: list
    elements: str
    required: true
  exclude:
    description: Shell patterns of the names of files that stay although they match O(patterns).
    type: list
    elements: str
    default: []
  age:
    description: The time since the last change of a file after which it is removed, such as V(30d).
    type: str
    required: true
  tend:
    description:
      - First tend the logs of this host that have a policy, as C(day2ctl logs tend) does - pack their pieces, and
        remove those that are too old.
    type: bool
    default: false
  free:
    description:
      - For a disk that is full - remove only until so many bytes are free, such as V(5GB), the oldest files first.
      - When files without a policy are not enough, packed pieces of logs with one go too, if they are older than O(age)
        and on the file system of one of O(directories) - those of class C(application) first, then of class C(system).
        Never audit logs, nor what is held, open, written to, or not packed.
      - RV(outcome) says how much storage is missing, and how fast logs grow.
    type: str
attributes:
  check_mode:
    description: Returns the files that would be removed.
    support: full
"""

EXAMPLES = r"""
- name: Remove old logs of the application
  day2.ops.file_cleanup:
    directories: [/var/log/shop]
    patterns: ["*.log.[0-9]*", "*.log-[0-9]*"]
    age: 30d
  become: true

- name: Free 5 GB on a full disk
  day2.ops.file_cleanup:
    directories: [/var/log/shop]
    patterns: ["*.log.[0-9]*", "*.log-[0-9]*"]
    age: 7d
    free: 5GB
  become: true
"""

RETURN = r"""
outcome:
  description: >-
    The outcome of a step - status, message and evidence - as C(<role>_step_outcome) has it.
  returned: success
  type: dict
paths:
  description: What went, at most 1,000 of it.
  returned: success
  type: list
  elements: str
freed:
  description: Bytes that it held on disk.
  returned: success
  type: int
open:
  description: Files that are old enough and stay, because a process has them open.
  returned: success
  type: list
  elements: str
kept:
  description: Files that are old enough and stay, because they belong to a log that has a policy, each with its policy.
  returned: success
  type: list
  elements: str
refused:
  description: Files that could not be removed, each with why.
  returned: success
  type: list
  elements: str
"""

import signal
import time

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.day2.ops.plugins.module_utils.errors import Day2Error
from ansible_collections.day2.ops.plugins.module_utils.rotation.place import Place
from ansible_collections.day2.ops.plugins.module_utils.rotation.policy import parse_size
from ansible_collections.day2.ops.plugins.module_utils.rotation.tending import Outcome, tend
from ansible_collections.day2.ops.plugins.module_utils.units.quantity import QuantityError, parse_lifetime
from ansible_collections.day2.ops.plugins.module_utils.upkeep import cleanup, emergency

_SHOWN = 1000


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "directories": {"type": "list", "elements": "str", "required": True},
            "patterns": {"type": "list", "elements": "str", "required": True},
            "exclude": {"type": "list", "elements": "str", "default": []},
            "age": {"type": "str", "required": True},
            "tend": {"type": "bool", "default": False},
            "free": {"type": "str"},
        },
        supports_check_mode=True,
    )
    params, place = module.params, Place()
    # What tells the holder of a lease that somebody opens the file would end this process.
    signal.signal(signal.SIGIO, signal.SIG_IGN)
    try:
        age = parse_lifetime(params["age"])
        if age <= 0:
            module.fail_json(msg=f"'age' is {params['age']}; it has to be more than nothing")
        wanted = cleanup.Wanted(params["directories"], tuple(params["patterns"]), age, tuple(params["exclude"]))
        tended = tend(place, planning=module.check_mode) if params["tend"] and place.policies.names() else Outcome()
        if params["free"] is not None:
            freed = emergency.free(wanted, parse_size("free", params["free"]), time.time(), module.check_mode, place)
            removed, outcome = freed.removed, emergency.outcome(freed, module.check_mode)
        else:
            removed = cleanup.clean(wanted, time.time(), module.check_mode, place.policies.all())
            outcome = cleanup.outcome(removed, wanted, module.check_mode)
    except QuantityError as exc:
        module.fail_json(msg=f"'age': {exc}")
    except Day2Error as exc:
        module.fail_json(msg=str(exc))
    except OSError as exc:
        module.fail_json(msg=f"{exc.filename}: {exc.strerror}")
    outcome = cleanup.with_tended(outcome, tended, module.check_mode)
    module.exit_json(
        changed=bool(removed.paths) or tended.changed,
        msg=outcome["message"],
        outcome=outcome,
        paths=removed.paths[:_SHOWN],
        freed=removed.freed,
        open=removed.kept_open,
        kept=removed.kept[:_SHOWN],
        refused=removed.refused,
    )


if __name__ == "__main__":
    main()
