# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""SIGKILL of backups, in a host: `kill_runs.py runs SEED KILLS`. Prints what became of them as JSON.

Runs where the modules run, with nothing but the standard library, so that a run takes no longer than its module.
After each kill: no process is left, every published set restores to the same rows, and the next run clears the rest.
"""

from __future__ import annotations

import json
import os
import random
import runpy
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from glob import glob
from pathlib import Path
from typing import Any

BASE = Path("/var/lib/postgresql/day2-kills")
DATABASE, RESTORED = "day2_kills", "day2_kills_restored"
SERIES = {"pg_backup": "postgresql", "file_backup": "files"}
# How long a process may outlive its module: the kernel has to get round to it.
ORPHANS = 10.0
_OF_DUMPS = ("module", "pg_dump", "pg_dumpall", "pg_restore", "zstd")
TABLES = """
CREATE TABLE wide (id int PRIMARY KEY, words text);
INSERT INTO wide SELECT n, md5(n::text) FROM generate_series(1, 20000) n;
CREATE TABLE small AS SELECT n AS a, n * 2 AS b FROM generate_series(1, 500) n;
CREATE SEQUENCE tickets START 7;
"""
DIGEST = """
SELECT (SELECT md5(string_agg(t::text, ',' ORDER BY id)) FROM wide t)
    || (SELECT md5(string_agg(t::text, ',' ORDER BY a)) FROM small t) || (SELECT last_value FROM tickets)
"""


@dataclass
class Scenario:
    """A kind of run, and what is known of it."""

    module: str
    arguments: dict[str, Any]
    victims: Sequence[str]
    identity: str | None = None
    seconds: float = 1.0
    proven: set[str] = field(default_factory=set)

    @property
    def folder(self) -> Path:
        return Path(self.arguments["repository"]) / SERIES[self.module]

    def start(self) -> subprocess.Popen[str]:
        argv = [sys.executable, __file__, "module", self.module, json.dumps(self.arguments)]
        return subprocess.Popen(
            argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
            start_new_session=True,
        )  # fmt: skip


class Fault(Exception):
    """What should never be."""


def program(name: str) -> str:
    return max(glob(f"/usr/lib/postgresql/*/bin/{name}"))


def call(*argv: str, stdin: Any = None, check: bool = True) -> str:
    done = subprocess.run(argv, stdin=stdin, capture_output=True, text=True, check=False)
    if check and done.returncode != 0:
        raise Fault(f"{' '.join(argv)}: {done.stderr.strip()}")
    return done.stdout.strip()


def sql(query: str, database: str = "postgres") -> str:
    return call(program("psql"), "-XAtqv", "ON_ERROR_STOP=1", "-d", database, "-c", query)


def arrange() -> list[Scenario]:
    call("rm", "-rf", str(BASE))
    (BASE / "data").mkdir(parents=True)
    for number in range(3):
        (BASE / "data" / f"file {number}").write_bytes(random.Random(number).randbytes(300_000) * 2)
    sql(f"DROP DATABASE IF EXISTS {DATABASE} WITH (FORCE)")
    sql(f"CREATE DATABASE {DATABASE}")
    sql(TABLES, DATABASE)
    call("age-keygen", "-o", str(BASE / "key"))
    recipient = call("age-keygen", "-y", str(BASE / "key"))
    keep = {"keep": {"last": 2, "min_verified": 1}}
    dump = {"databases": [DATABASE], "split_above": "512kB", "jobs": 2, **keep}
    secret = {"encrypt_to": [recipient], "identity": str(BASE / "key")}
    return [
        Scenario("pg_backup", {**dump, "repository": str(BASE / "plain")}, _OF_DUMPS),
        Scenario(
            "pg_backup", {**dump, **secret, "repository": str(BASE / "secret")}, (*_OF_DUMPS, "age"), str(BASE / "key")
        ),
        Scenario(
            "file_backup",
            {"paths": [str(BASE / "data")], **keep, "repository": str(BASE / "files")},
            ("module", "tar", "zstd"),
        ),
    ]


def session(leader: int) -> dict[int, str]:
    """The live processes of a module's own session, with their names."""
    found = {}
    for place in glob("/proc/[0-9]*/stat"):
        try:
            head, _bracket, rest = Path(place).read_text().rpartition(")")
        except OSError:
            continue
        state, _parent, _group, sid = rest.split()[:4]
        if int(sid) == leader and state not in "ZX":
            pid, _space, name = head.partition(" (")
            found[int(pid)] = "module" if int(pid) == leader else name
    return found


def kill_one(scenario: Scenario, wanted: str, chance: random.Random) -> bool:
    """Kill the module at any moment of its run, or a program at any of its own. False: it was over before."""
    running = scenario.start()
    victims: list[int] = []
    try:
        if wanted == "module":
            running.wait(chance.random() * scenario.seconds)
        while running.poll() is None and not victims:
            victims = sorted(pid for pid, name in session(running.pid).items() if name == wanted)
            time.sleep(0.002)
        if wanted != "module":
            # Programs live for some hundredths of a second here.
            running.wait(chance.random() ** 3 * 0.05)
    except subprocess.TimeoutExpired:
        victims = sorted(pid for pid, name in session(running.pid).items() if name == wanted)
    killed = False
    if victims:
        with suppress(ProcessLookupError):
            os.kill(chance.choice(victims), signal.SIGKILL)
            killed = True
    running.communicate()
    end = time.monotonic() + ORPHANS
    while session(running.pid):
        if time.monotonic() > end:
            raise Fault(f"{wanted} was killed, and {session(running.pid)} are still there")
        time.sleep(0.02)
    return killed


def run_whole(scenario: Scenario) -> None:
    begun = time.monotonic()
    running = scenario.start()
    said, _nothing = running.communicate()
    scenario.seconds = time.monotonic() - begun
    outcome = json.loads(said.strip().split("\n")[-1]) if running.returncode == 0 else {}
    if not outcome.get("made") or outcome["set"]["verified"] != "read":
        raise Fault(f"the next run: {said[-2000:]}")


def look_at_leftovers(scenario: Scenario) -> None:
    known = {scenario.folder / ".lock"}
    for manifest in scenario.folder.glob("*/manifest.json"):
        names = [each["path"] for each in json.loads(manifest.read_bytes())["files"]]
        known |= {manifest.parent / name for name in [*names, "manifest.json", "state.json"]}
    folders = {folder for each in known for folder in each.parents}
    strange = [str(each) for each in scenario.folder.rglob("*") if each not in known | folders]
    if strange:
        raise Fault(f"left after the next run: {strange}")


def prove(scenario: Scenario, wanted: str) -> int:
    """Restore every set that is published and was not restored yet, by the programs of the documentation."""
    proven = 0
    for manifest in sorted(scenario.folder.glob("*/manifest.json")):
        if manifest.parent.name in scenario.proven:
            continue
        got = restored_files(scenario, manifest) if scenario.module == "file_backup" else restored(scenario, manifest)
        if got != wanted:
            raise Fault(f"{manifest.parent} restores to something else: {got}")
        scenario.proven.add(manifest.parent.name)
        proven += 1
    return proven


def opened(scenario: Scenario, stored: Path, target: Path) -> Path:
    with target.open("wb") as out:
        if scenario.identity is None:
            subprocess.run(["zstd", "-q", "-dc", str(stored)], stdout=out, check=True)
        else:
            plain = subprocess.run(["age", "-d", "-i", scenario.identity, str(stored)], capture_output=True, check=True)
            subprocess.run(["zstd", "-q", "-dc"], input=plain.stdout, stdout=out, check=True)
    return target


def restored(scenario: Scenario, manifest: Path) -> str:
    sql(f"DROP DATABASE IF EXISTS {RESTORED} WITH (FORCE)")
    sql(f"CREATE DATABASE {RESTORED} TEMPLATE template0")
    (BASE / "open").mkdir(exist_ok=True)
    main = opened(scenario, next(manifest.parent.glob("db001/main.*")), BASE / "open" / "main")
    into = [program("pg_restore"), "-e", "-d", RESTORED]
    call(*into, "--section=pre-data", "--section=data", str(main))
    for each in sorted(manifest.parent.glob("db001/data*")):
        call(*into, str(opened(scenario, each, BASE / "open" / "data")))
    call(*into, "--section=post-data", str(main))
    return sql(DIGEST, RESTORED)


def restored_files(scenario: Scenario, manifest: Path) -> str:
    target = BASE / "open" / "tree"
    call("rm", "-rf", str(target))
    target.mkdir(parents=True)
    tar = opened(scenario, manifest.parent / "archive001.tar.zst", BASE / "open" / "tar")
    call("tar", "-x", "-f", str(tar), "-C", str(target))
    return call("diff", "-r", str(BASE / "data"), f"{target}{BASE}/data", check=False)


def runs(seed: int, wanted: int) -> dict[str, Any]:
    chance, victims, sets, missed = random.Random(seed), Counter[str](), 0, 0
    faults: list[str] = []
    left: list[tuple[Scenario, str]] = []
    scenarios = arrange()
    digest = sql(DIGEST, DATABASE)
    for scenario in scenarios:
        run_whole(scenario)
    deck = [(scenario, victim) for scenario in scenarios for victim in scenario.victims]
    while victims.total() < wanted and len(faults) < 5:
        # Every one is drawn before any is drawn again.
        left = left if left else chance.sample(deck, len(deck))
        scenario, victim = left.pop()
        right = "" if scenario.module == "file_backup" else digest
        try:
            if not kill_one(scenario, victim, chance):
                left.append((scenario, victim))
                missed += 1
                continue
            victims[victim] += 1
            sets += prove(scenario, right)
            typical = scenario.seconds
            run_whole(scenario)
            # The longest that was seen: so that the last moments of a run are hit as well.
            scenario.seconds = max(typical, scenario.seconds)
            look_at_leftovers(scenario)
            sets += prove(scenario, right)
        except Fault as exc:
            faults.append(f"kill {victims.total()} ({victim}, {scenario.arguments['repository']}): {exc}")
    for name in (DATABASE, RESTORED):
        sql(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")
    call("rm", "-rf", str(BASE))
    return {
        "seed": seed,
        "kills": victims.total(),
        "victims": dict(victims),
        "missed": missed,
        "restored": sets,
        "faults": faults,
    }


def module(name: str, arguments: dict[str, Any]) -> None:
    from ansible.module_utils.testing import patch_module_args

    with patch_module_args(arguments):
        runpy.run_module(f"ansible_collections.day2.ops.plugins.modules.{name}", run_name="__main__", alter_sys=True)


def main(argv: Sequence[str]) -> None:
    if argv[0] == "module":
        module(argv[1], json.load(sys.stdin) if argv[2] == "-" else json.loads(argv[2]))
    else:
        print(json.dumps(runs(int(argv[1]), int(argv[2]))))


if __name__ == "__main__":
    main(sys.argv[1:])
