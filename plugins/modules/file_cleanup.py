#!/usr/bin/python
# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: file_cleanup
short_description: Remove old files below directories
version_added: 0.3.0
author: The day2.ops maintainers (@day2-ops)
description:
  - Removes regular files that were not written to for longer than O(age) and whose names have one of O(patterns).
  - Follows no symbolic link, enters no other file system, and leaves alone what a process has open. Directories stay.
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
    description: Shell patterns of names.
    type: list
    elements: str
    required: true
  exclude:
    description: Shell patterns of names that stay.
    type: list
    elements: str
    default: []
  age:
    description: Since when a file has to be as it is, such as V(30d).
    type: str
    required: true
attributes:
  check_mode:
    description: Tells what would go.
    support: full
"""

EXAMPLES = r"""
- name: Remove old logs of the application
  day2.ops.file_cleanup:
    directories: [/var/log/shop]
    patterns: ["*.log.*", "*.gz"]
    age: 30d
  become: true
"""

RETURN = r"""
outcome:
  description: >-
    What a step tells of it - status, message and evidence - as C(day2_step_outcome) has it.
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
refused:
  description: Files that could not be removed, each with why.
  returned: success
  type: list
  elements: str
"""

import signal
import time

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.day2.ops.plugins.module_utils.checks.quantity import QuantityError, parse_duration
from ansible_collections.day2.ops.plugins.module_utils.errors import Day2Error
from ansible_collections.day2.ops.plugins.module_utils.upkeep import cleanup

_SHOWN = 1000


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "directories": {"type": "list", "elements": "str", "required": True},
            "patterns": {"type": "list", "elements": "str", "required": True},
            "exclude": {"type": "list", "elements": "str", "default": []},
            "age": {"type": "str", "required": True},
        },
        supports_check_mode=True,
    )
    params = module.params
    # What tells the holder of a lease that somebody opens the file would end this process.
    signal.signal(signal.SIGIO, signal.SIG_IGN)
    try:
        age = parse_duration(params["age"])
        if age <= 0:
            module.fail_json(msg=f"'age' is {params['age']}; it has to be more than nothing")
        wanted = cleanup.Wanted(params["directories"], tuple(params["patterns"]), age, tuple(params["exclude"]))
        removed = cleanup.clean(wanted, time.time(), module.check_mode)
    except QuantityError as exc:
        module.fail_json(msg=f"'age': {exc}")
    except Day2Error as exc:
        module.fail_json(msg=str(exc))
    except OSError as exc:
        module.fail_json(msg=f"{exc.filename}: {exc.strerror}")
    outcome = cleanup.outcome(removed, wanted, module.check_mode)
    module.exit_json(
        changed=bool(removed.paths),
        msg=outcome["message"],
        outcome=outcome,
        paths=removed.paths[:_SHOWN],
        freed=removed.freed,
        open=removed.kept_open,
        refused=removed.refused,
    )


if __name__ == "__main__":
    main()
