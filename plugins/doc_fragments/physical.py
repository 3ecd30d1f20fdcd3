# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations


class ModuleDocFragment:
    """Physical backups by pgBackRest: which stanza, and how one is restored."""

    DOCUMENTATION = r"""
options:
  stanza:
    description: The name under which pgBackRest knows the cluster.
    type: str
    default: main
  pgbackrest_config:
    description:
      - pgBackRest's configuration file. Without it the one that pgBackRest finds. Passphrases and keys stay in it, or
        in variables C(PGBACKREST_*) of the task's environment.
    type: path
  pgbackrest_repo:
    description: The number of the repository, where there are several.
    type: int
    default: 1
requirements:
  - pgBackRest 2.41 or later and setpriv, with O(method=physical)
"""

    RESTORE = r"""
options:
  recover_to:
    description:
      - What is to be reached - V(latest) (the end of the archive), V(immediate) (the end of a backup), or a mapping of
        one of C(time), C(lsn), C(name) (a restore point) or C(xid). A time has to name its zone.
      - C(backup) beside it names the backup to begin with, C(timeline) the timeline to end on. C(type) V(latest) or
        V(immediate) stands for these words then.
      - What is not reachable is refused with the range that is. A name and a transaction are looked for in the WAL.
    type: raw
  recovery_action:
    description: Whether the cluster is opened at its target, or stays there read-only.
    type: str
    choices: [promote, pause]
    default: promote
  data_dir:
    description: The cluster's data directory. Without it that of pgBackRest's configuration (C(pg1-path)).
    type: path
  keep_data:
    description:
      - Keeps the old data directory under a dated name; a restore that fails then puts it back. It needs room for both.
        Transactions that are in its WAL only, because the archive has not got it, are a warning.
      - Without it files that are as they should be are reused (C(--delta)), and there is no way back. It is refused
        when transactions are in no archive.
      - A run that was killed is finished by the next one with the same target. O(state=reverted) goes back to the old
        files instead.
    type: bool
    default: true
  archiving:
    description:
      - Whether a cluster that is restored in place archives its WAL into the stanza.
      - V(auto) has it archive as configured where it replaces the cluster that the stanza backs up (same system
        identifier, C(pg1-path), and not itself restored without archiving). Anywhere else, such as in an empty
        directory or on another host, it would put its WAL among the original's, so C(archive_mode) is off.
      - V(preserve) leaves C(archive_mode) as it was backed up - for a host that takes the original's place.
      - V(disable) switches it off.
    type: str
    choices: [auto, preserve, disable]
    default: auto
  unit:
    description: The systemd unit of the cluster, where it is not the one of Debian's or PostgreSQL's packages.
    type: str
  scratch_cluster:
    description:
      - Restores into a cluster of its own under this directory instead. It listens on a socket in there only, archives
        nothing, and runs no subscription, no preloaded library and no autovacuum.
    type: path
  scratch_state:
    description: Whether the scratch cluster is made, or stopped and removed.
    type: str
    choices: [present, absent]
    default: present
  scratch_port:
    description: The number in the name of its socket.
    type: int
    default: 54329
  scratch_settings:
    description: More server settings for it, such as a C(shared_preload_libraries) that its tables need.
    type: dict
    default: {}
  recovery_timeout:
    description: How long the recovery may take until the target is reached.
    type: str
    default: 1h
"""
