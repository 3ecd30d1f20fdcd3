# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Failovers on real servers, ours and repmgr's in turns: what each took, and what a client of the database saw.

One lab host has a primary, two standbys and PgBouncer, each a host of the inventory, and a client that writes through
PgBouncer every 20 ms. The primary is killed as by a power cut.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

from bench.measure import ROOT

NOOPS = 4
# Tasks before those that count: connections are made, interpreters found.
WARM = 2
CLIENT, WRITTEN, UNIT = "/root/client.py", "/root/acknowledged.jsonl", "bench-client"
REPMGR = """
i=0
for name; do
    i=$((i + 1)) port=$((5520 + i))
    cat > /etc/repmgr-$name.conf <<X
node_id=$i
node_name=$name
conninfo='host=127.0.0.1 port=$port user=postgres dbname=repmgr connect_timeout=2'
data_directory='/var/lib/postgresql/15/$name'
pg_bindir='/usr/lib/postgresql/15/bin'
X
done
runuser -u postgres -- createdb -p 5521 repmgr
runuser -u postgres -- repmgr -f /etc/repmgr-$1.conf primary register
"""
PROMOTE = """
begun=$(date +%s.%N)
runuser -u postgres -- repmgr -f /etc/repmgr-drb.conf standby promote 1>&2
echo "$begun $(date +%s.%N)"
"""
# Whose ever it is. A segment begins with what its timeline has of the one before.
FIRST_COMMIT = """
cd /var/lib/postgresql/15/$1/pg_wal
fork=$(cut -f 2 00000002.history | tail -n 1)
/usr/lib/postgresql/15/bin/pg_waldump -p . -t 2 -s "$fork" -r Transaction -n 1 | grep -o 'COMMIT [0-9].*UTC'
"""


@dataclass(frozen=True)
class Round:
    """Seconds of one failover of ours, and of what it is compared with. `decided`: from when the run ordered the fence
    until the new timeline had its first commit; `promoted`: from when it ordered the promotion."""

    decided: float
    promoted: float
    repmgr: float
    noops: float
    noops_alone: float  # on one host, not on all of the plan's
    gap: float  # from the client's last acknowledged write to its next one
    told: float  # the report's


def rounds(host: Any, folder: Path, count: int) -> Iterator[Round]:
    for _number in range(count):
        yield _round(host, folder)


def _round(host: Any, folder: Path) -> Round:
    from failover_site import failover_site_on

    with failover_site_on(host, folder) as site, _client(site) as written:
        site.crash("dra")
        ours = _fail_over(site)
        site.group.until(lambda: max(_gaps(written())), lambda gap: gap > ours["told"] / 2, "the client goes on")
        gap = max(_gaps(written()))
        noops, alone = _pings(site, "all"), _pings(site, "drb")
    with failover_site_on(host, folder) as site:
        return Round(noops=noops, noops_alone=alone, gap=gap, repmgr=_promote_by_repmgr(site), **ours)


@contextmanager
def _client(site: Any) -> Iterator[Any]:
    """The client of scenario `dr`; what it has written down so far."""
    from failover_site import POOLER

    def written() -> list[dict[str, Any]]:
        text = site.host.run("sh", "-c", f"cat {WRITTEN} 2> /dev/null; true")
        return [json.loads(line) for line in text.split("\n") if line.endswith("}")]

    site.group.sql("dra", "CREATE TABLE acknowledged (n bigint PRIMARY KEY)")
    site.host.run("tee", CLIENT, text=(ROOT / "molecule" / "dr" / "files" / "client.py").read_text())
    where = f"host=127.0.0.1 port={POOLER} dbname=postgres user=postgres connect_timeout=2"
    site.host.run("rm", "-f", WRITTEN)
    site.host.run("systemd-run", "--quiet", f"--unit={UNIT}", "python3", CLIENT, WRITTEN, where)
    try:
        site.group.until(lambda: len(_acknowledged(written())), lambda count: count > 50, "the client writes")
        yield written
    finally:
        site.host.run("systemctl", "stop", UNIT)


def _acknowledged(lines: list[dict[str, Any]]) -> list[float]:
    return [line["at"] for line in lines if "server" in line]


def _gaps(lines: list[dict[str, Any]]) -> list[float]:
    return [after - before for before, after in pairwise(_acknowledged(lines))]


def _fail_over(site: Any) -> dict[str, float]:
    from failover_site import JOURNAL, SYSTEM

    done = site.play("dr_failover", day2_dr_confirm=SYSTEM)
    if done.returncode:
        raise RuntimeError(site.output[-3000:])
    (new,) = site.primaries()
    entries = json.loads(site.host.run("cat", JOURNAL))["entries"]
    ordered = {entry["step"]: _moment(entry["at"]) for entry in reversed(entries) if entry["phase"] == "intent"}
    written = _moment(site.host.run("sh", "-euc", FIRST_COMMIT, "sh", new).removeprefix("COMMIT ").replace(" UTC", "Z"))
    said = " ".join(site.rows()[new]["dr-outcome"]["evidence"])
    span = re.search(r"nobody could write from (\S+Z) to (\S+Z)", said)
    if span is None:
        raise RuntimeError(f"the report does not say how long nobody could write: {said}")
    return {
        "decided": written - ordered["fence"],
        "promoted": written - ordered["promote"],
        "told": _moment(span[2]) - _moment(span[1]),
    }


def _promote_by_repmgr(site: Any) -> float:
    site.host.run("sh", "-euc", REPMGR, "sh", "dra", "drb", "drc")
    for name in ("drb", "drc"):
        site.group.caught_up(name)
        site.host.run(
            "runuser", "-u", "postgres", "--", "repmgr", "-f", f"/etc/repmgr-{name}.conf", "standby", "register"
        )
    site.crash("dra")
    begun, ended = map(float, site.host.run("sh", "-euc", PROMOTE).split())
    if site.primaries() != ["drb"]:
        raise RuntimeError("repmgr has not promoted drb")
    return ended - begun


def _pings(site: Any, hosts: str) -> float:
    """Seconds of so many tasks that do nothing, one after the other on the hosts of the plan."""
    from lab_host import ansible

    tasks = [{"ansible.builtin.ping": {}} for _task in range(WARM + NOOPS)]
    play = site.folder / "pings.json"
    play.write_text(json.dumps([{"hosts": hosts, "gather_facts": False, "tasks": tasks}]))
    done = ansible(
        ["ansible-playbook", str(play), "-i", str(site.inventory())], ANSIBLE_STDOUT_CALLBACK="ansible.posix.json"
    )
    taken = json.loads(done.stdout[done.stdout.index("{") :])["plays"][0]["tasks"]
    counted = [task["task"]["duration"] for task in taken][WARM:]
    return _moment(counted[-1]["end"]) - _moment(counted[0]["start"])


def _moment(text: str) -> float:
    return datetime.fromisoformat(text.strip().replace("Z", "+00:00")).timestamp()
