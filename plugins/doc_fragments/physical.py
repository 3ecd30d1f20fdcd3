# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations


class ModuleDocFragment:
    """Options of physical backups by pgBackRest, and of their restores."""

    DOCUMENTATION = r"""
options:
  stanza:
    description: Name of the pgBackRest stanza of the PostgreSQL cluster.
    type: str
    default: main
  pgbackrest_config:
    description:
      - Path of pgBackRest's configuration file. Without it pgBackRest looks for the file in its usual places.
      - Passphrases and keys belong into this file, or into C(PGBACKREST_*) variables in the environment of the task.
    type: path
  pgbackrest_repo:
    description: Number of the pgBackRest repository (C(repo1) is V(1)), where the configuration has several.
    type: int
    default: 1
requirements:
  - pgBackRest 2.41 or later and setpriv, with O(method=physical)
"""

    RESTORE = r"""
options:
  recover_to:
    description:
      - Recovery target of a physical restore - V(latest) (the end of the archived WAL), V(immediate) (the end of a
        backup), or a mapping with one of the keys C(time), C(lsn), C(name) (a restore point) and C(xid). A time must
        include its time zone.
      - The mapping may also have C(backup), the label of the backup to start from, and C(timeline), the timeline to end
        on. C(type) with V(latest) or V(immediate) combines these two keys with the end of the archive or of a backup.
      - A target that cannot be reached is refused, and the message states the range that can be reached. A name and a
        transaction are searched for in the WAL.
      - A target that exists on several timelines (after a recovery or a failover) is refused unless C(timeline) selects
        one. A restore point whose name was used twice since the backup is refused as well.
    type: raw
  recovery_action:
    description: Whether the cluster is promoted when it has reached O(recover_to), or stays paused there, read-only.
    type: str
    choices: [promote, pause]
    default: promote
  data_dir:
    description: Data directory of the PostgreSQL cluster. Without it C(pg1-path) of pgBackRest's configuration.
    type: path
  keep_data:
    description:
      - Whether a restore in place keeps the old data directory under a dated name. A restore that fails then puts it
        back. This needs disk space for both directories. Transactions that are only in the WAL of the old directory,
        and not in the archive, are reported in a warning.
      - With V(false) files that have the right contents already are reused (C(--delta)), and the restore cannot be
        reverted. It is refused when there are transactions that are not in the archive.
      - A run that was killed is completed by the next run with the same target. O(state=reverted) puts the old files
        back instead.
    type: bool
    default: true
  archiving:
    description:
      - Whether a cluster that was restored in place archives its WAL into the stanza.
      - With V(auto) it archives as configured if it replaces the cluster that the stanza backs up (same system
        identifier, C(pg1-path), and not itself a restore without archiving). In any other place, such as an empty
        directory or another host, its WAL would be mixed with that of the original cluster, so C(archive_mode) is set
        to off.
      - V(preserve) leaves C(archive_mode) as it was backed up, for a host that replaces the original one.
      - V(disable) sets C(archive_mode) to off.
    type: str
    choices: [auto, preserve, disable]
    default: auto
  unit:
    description:
      - Name of the systemd unit of the PostgreSQL cluster, if it differs from that of Debian's or PostgreSQL's
        packages.
    type: str
  scratch_cluster:
    description:
      - Directory in which a separate cluster is restored, instead of a restore in place. The server of this scratch
        cluster listens only on a socket in the directory. It archives nothing, and runs no subscriptions, no preloaded
        libraries and no autovacuum.
    type: path
  scratch_state:
    description:
      - Whether the cluster in O(scratch_cluster) is restored and started (V(present)), or stopped and removed
        (V(absent)).
    type: str
    choices: [present, absent]
    default: present
  scratch_port:
    description: Port number of the scratch cluster. It is only part of the name of its socket; no TCP port is opened.
    type: int
    default: 54329
  scratch_settings:
    description:
      - Additional server settings of the scratch cluster, such as C(shared_preload_libraries) that its tables need.
    type: dict
    default: {}
  recovery_timeout:
    description: Maximum time that the recovery may take to reach O(recover_to), such as V(90m).
    type: str
    default: 1h
"""
