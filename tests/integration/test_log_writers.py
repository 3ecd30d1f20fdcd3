# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Writers that rename by themselves, on a lab host: PostgreSQL's logging collector, and journald for a namespace."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
from rotation_host import RotationHost

PORT, CLUSTER = 5497, "postgresql@15-collected"
FOLDER = "/var/log/postgresql/collected"
COLLECTED = f"""
pg_createcluster 15 collected -p {PORT} > /dev/null
install -d -o postgres -g postgres -m 750 {FOLDER}
cat >> /etc/postgresql/15/collected/postgresql.conf <<X
logging_collector = on
log_directory = '{FOLDER}'
log_filename = 'postgresql-%Y-%m-%d_%H%M%S.log'
log_truncate_on_rotation = off
log_rotation_size = 64kB
X
systemctl start {CLUSTER}
"""
CLEAR = f"""
systemctl stop {CLUSTER}; pg_dropcluster --stop 15 collected 2>/dev/null
rm -rf {FOLDER} /etc/day2/logs /var/lib/day2/logs /etc/logrotate.d/day2-*
"""
PSQL = ["/usr/sbin/runuser", "-u", "postgres", "--", "psql", "-XAtq", "-p", str(PORT), "-c"]
# Each a line of the server's log, and no other one has these words.
LINES = "DO $$ BEGIN FOR n IN %d..%d LOOP RAISE LOG 'day2 line %%', n; END LOOP; END $$"


@pytest.fixture
def on(lab_host: Any) -> Iterator[RotationHost]:
    made = RotationHost(lab_host)
    made.sh(CLEAR, check=False)
    made.sh(COLLECTED)
    yield made
    made.sh(CLEAR, check=False)


def numbers(on: RotationHost) -> list[int]:
    """Of all lines, packed or not, by the host's own tools."""
    text = on.sh(f"cd {FOLDER}; for f in *; do case $f in *.zst) zstd -dcq $f;; *) cat $f;; esac; done")
    return [int(number) for number in re.findall(r"LOG:  day2 line (\d+)", text)]


def test_postgresqls_logging_collector(on: RotationHost) -> None:
    collector = {"paths": [f"{FOLDER}/postgresql-*.log"], "renamed_by": "writer",
                 "reopen": {"command": [*PSQL, "SELECT pg_rotate_logfile()"]}}  # fmt: skip
    on.done("postgresql", **collector)
    assert on.sh("ls /etc/logrotate.d | grep -c day2- || :") == "0", "logrotate has nothing to do with it"
    on.host.run(*PSQL, LINES % (1, 3000))
    # It begins new files by itself when one is full, and a full one goes on where the second is the same.
    done = on.done("postgresql", "rotated")
    before, after = (sum(done["lines"][when].values()) for when in ("before", "after"))
    assert before >= 3000 and after >= before and done["pieces"]
    assert all(".log-" in piece and piece.endswith(".zst") for piece in done["pieces"]), done["pieces"]
    on.host.run(*PSQL, LINES % (3001, 3100))
    # Root of a container does not see what others have open.
    look = f"find /proc/[0-9]*/fd -lname '{FOLDER}/*' -printf '%l\\n' 2>/dev/null | sort -u || :"
    (written,) = on.host.run("runuser", "-u", "postgres", "--", "sh", "-c", look).split("\n")
    assert on.sh(f"ls {written}") == written, "what it writes to is left alone"
    assert sorted(numbers(on)) == list(range(1, 3101))
    assert on.sh(f"stat -c %U:%a {FOLDER}/*.zst | sort -u") == "postgres:600"
    # Twice in a second, and while it goes on.
    for first in (3101, 3201):
        on.host.run(*PSQL, LINES % (first, first + 99))
        on.done("postgresql", "rotated")
    assert sorted(numbers(on)) == list(range(1, 3301))
    on.sh(f"systemctl stop {CLUSTER}")
    said = on.refused("postgresql", "rotated")
    assert "the writer of postgresql does not begin a new file" in said
    assert sorted(numbers(on)) == list(range(1, 3301))


NAMESPACE = "day2-shop"
JOURNALD = f"systemd-journald@{NAMESPACE}"
# Whoever has a service in a namespace keeps its sockets. In a container no unit can be put into one, so that lines come
# by the socket itself; large ones that do not compress, so that a size is reached.
HOLD = ("systemd-run", "--quiet", "--unit=day2-holder", f"--property=Requires={JOURNALD}.socket",
        f"--property=After={JOURNALD}.socket", "sleep", "infinity")  # fmt: skip
WRITE = f"""
import base64, os, socket, sys
with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as journal:
    journal.connect("/run/systemd/journal.{NAMESPACE}/socket")
    for number in range(int(sys.argv[2])):
        journal.send(f"MESSAGE={{sys.argv[1]}} {{number}} {{base64.b64encode(os.urandom(9000)).decode()}}\\n".encode())
"""
END = f"""
systemctl stop day2-holder; systemctl stop {JOURNALD}.socket {JOURNALD}.service
rm -rf /etc/systemd/journald@{NAMESPACE}.conf.d /var/log/journal/*.{NAMESPACE}
"""


def test_a_journal_namespace(lab_host: Any) -> None:
    """Its own limits hold for it, and beyond the size the oldest go: what journald can do, and what it cannot."""
    on = RotationHost(lab_host)
    limits = {"namespace": NAMESPACE, "max_age": "1d", "max_size": "16Mi", "storage": "persistent"}

    def play(state: str, **more: str) -> str:
        done = lab_host.playbook("day2.ops.logs", "-l", lab_host.name, in_full=True, log_management_logs=[],
                                 log_management_journals=[{**limits, **more}],
                                 log_management_state=state)  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr
        return str(done.stdout)

    def write(marker: str, number: int) -> None:
        lab_host.run("python3", "-c", WRITE, marker, str(number))
        lab_host.run("journalctl", f"--namespace={NAMESPACE}", "--sync")

    def count(marker: str) -> int:
        return int(on.sh(f"journalctl --namespace={NAMESPACE} -o cat | grep -c '^{marker} ' || :"))

    def limit() -> str:
        """Of what journald itself says that it has read."""
        said = on.sh(f"journalctl --namespace={NAMESPACE} -o cat | grep -v '^first \\|^second '")
        return re.findall(rf"System Journal \(/var/log/journal/\w+\.{NAMESPACE}\) is [^,]+, max ([^,]+),", said)[-1]

    try:
        play("present")
        assert "changed=0" in play("present")
        lab_host.run(*HOLD)
        write("first", 100)
        assert count("first") == 100 and limit() == "16.0M"
        write("second", 4000)
        # It has no class that is never cut.
        assert count("first") == 0 and 0 < count("second") < 4000
        assert int(on.sh(f"du -sb /var/log/journal/*.{NAMESPACE} | cut -f1")) <= 17 << 20
        play("present", max_size="24Mi")
        assert limit() == "24.0M"
        kept = count("second")
        play("absent")
        assert on.sh(f"ls /etc/systemd/journald@{NAMESPACE}.conf.d") == ""
        assert limit() not in ("16.0M", "24.0M") and count("second") == kept
    finally:
        on.sh(END, check=False)
