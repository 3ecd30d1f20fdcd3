# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Whether somebody has promoted a server already: the archive, or this member, has the history of the next timeline."""

from __future__ import annotations

import os
import tempfile

from ansible_collections.day2.ops.plugins.module_utils.failover.local import Member
from ansible_collections.day2.ops.plugins.module_utils.process.programs import run

_LIMIT = 30
_TIMED_OUT = (124, 137)


def archived_history(member: Member, timeline: int, command: str, ignore: bool) -> str | None:
    """Why the history of the next timeline forbids a promotion; None where nobody has one.

    `command` is the server's restore_command. `ignore` lets an archive that does not answer be.
    """
    name = f"{timeline + 1:08X}.history"
    if os.path.exists(os.path.join(member.cluster.data, "pg_wal", name)):
        return f"its pg_wal has {name}: another server was promoted to timeline {timeline + 1}"
    if not command:
        return None
    with tempfile.TemporaryDirectory(prefix=".day2-", dir=os.path.dirname(member.cluster.data)) as folder:
        if os.geteuid() == 0:
            owner = os.stat(member.cluster.data)
            os.chown(folder, owner.st_uid, owner.st_gid)
        target = os.path.join(folder, name)
        code = _asked(member, command, name, target)
        found = os.path.exists(target)
    fault = verdict(code, found, command)
    if fault is None:
        return None
    if found:
        return f"the archive has {name}: another server was promoted to timeline {timeline + 1}"
    return None if ignore else f"{fault}; 'ignore_archive' promotes it all the same"


def verdict(code: int, found: bool, command: str) -> str | None:
    """What an answer of a restore_command means: None for a file that is not there. Pure.

    As PostgreSQL takes it (25.3.4, Recovering Using a Continuous Archive Backup), any status but that of a signal or of
    a shell that found no command is a missing file. pgBackRest has 1 for that alone, and others for its errors.
    """
    if found and code == 0:
        return "the archive has it"
    if code in _TIMED_OUT:
        return f"the archive did not answer within {_LIMIT} s"
    if code > 125 or code < 0:
        return f"restore_command cannot be run (status {code})"
    if "pgbackrest" in command and code not in (0, 1):
        return f"pgBackRest could not look into the archive (status {code})"
    return None


def _asked(member: Member, command: str, name: str, target: str) -> int:
    # The server runs it by a shell, in its data directory: nobody else could say what it means.
    marks = {"%%": "%", "%f": name, "%p": target, "%r": "000000010000000000000001"}
    words, place = "", 0
    while place < len(command):
        pair = command[place : place + 2]
        words += marks.get(pair, command[place])
        place += 2 if pair in marks else 1
    shell = ["timeout", "--kill-after=5", str(_LIMIT), "env", "-C", member.cluster.data, "sh", "-c", words]
    return run([*member.cluster.prefix, *shell]).code
