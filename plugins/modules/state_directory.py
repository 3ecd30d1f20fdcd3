#!/usr/bin/python
# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: state_directory
short_description: A directory in which root alone keeps what it remembers of a host
version_added: 0.1.0
author: The day2.ops maintainers (@day2-ops)
description:
  - Makes a directory such as C(/var/lib/day2/maintenance), and refuses one that somebody else than root could change.
    Each component of the path has to belong to root, must not be writable by its group or by others, and must not be
    a symbolic link.
  - Gives C(/var/lib/day2) back to root, where an earlier version of role P(day2.ops.schedule#role) had given it to the
    user who runs the playbooks. It is refused while timers of that version still run there.
options:
  path:
    description: The directory, an absolute path without V(..).
    type: path
    default: /var/lib/day2/maintenance
  state:
    description:
      - V(present) makes O(path), mode 0755.
      - V(released) only gives C(/var/lib/day2) back to root, once no timer runs in it any more.
    type: str
    choices: [present, released]
    default: present
attributes:
  check_mode:
    description: Refuses what would be refused, and names each step. Nothing is changed.
    support: full
  diff_mode:
    description: The returned RV(steps) say what changes.
    support: none
  idempotent:
    description: A second run changes nothing.
    support: full
  platform:
    description: Runs as root.
    support: full
    platforms: posix
seealso:
  - module: day2.ops.maintenance_mode
"""

EXAMPLES = r"""
- name: Where maintenance mode keeps its state
  day2.ops.state_directory:
    path: /var/lib/day2/maintenance
  become: true
"""

RETURN = r"""
steps:
  description: What was done, in check mode what would be.
  returned: success
  type: list
  elements: str
  sample: [make /var/lib/day2/maintenance]
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.day2.ops.plugins.module_utils.errors import Day2Error
from ansible_collections.day2.ops.plugins.module_utils.maintenance import place
from ansible_collections.day2.ops.plugins.module_utils.schedule import systemd


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "path": {"type": "path", "default": "/var/lib/day2/maintenance"},
            "state": {"type": "str", "choices": ["present", "released"], "default": "present"},
        },
        supports_check_mode=True,
    )
    make = module.params["state"] == "present"
    path = module.params["path"] if make else place.BASE
    try:
        steps = place.steps(path, make, systemd.read_present())
        if steps and not module.check_mode:
            place.carry_out(path, make)
    except Day2Error as exc:
        module.fail_json(msg=str(exc))
    except OSError as exc:
        module.fail_json(msg=f"{exc.filename or path}: {exc.strerror}")
    module.exit_json(changed=bool(steps), steps=steps)


if __name__ == "__main__":
    main()
