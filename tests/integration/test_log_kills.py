# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Rotation by logrotate and packing by day2ctl, both killed at random, while a service writes: every line once."""

from __future__ import annotations

import json
import os
import random
import subprocess
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.day2.ops.plugins.plugin_utils.runtime import zipapp
from lab.waiting import wait_for

# A hundred take ten minutes.
ROUNDS = int(os.environ.get("DAY2_TEST_ROTATIONS", "9"))
SUPPORT = Path(__file__).resolve().parents[1] / "support"
FOLDER, LOG = "/var/log/t-kills", "/var/log/t-kills/app.log"
LOGROTATE = f"""{FOLDER}/*.log {{
    daily
    rotate 100000
    dateext
    dateformat -%Y%m%d-%s
    nocompress
    missingok
    notifempty
    create 0640 root adm
    sharedscripts
    postrotate
        kill -HUP $(cat /run/t-writer.pid)
    endscript
}}
"""
READ = f"""
cd {FOLDER}
for file in app.log*; do
    case $file in
        *.zst.age) age -d -i /root/t-key "$file" | zstd -dc ;;
        *.zst) zstd -dc "$file" ;;
        *) cat "$file" ;;
    esac
done
"""


def policy(recipient: str) -> dict[str, Any]:
    return {
        "schema": 1, "name": "kills", "log_class": "audit" if recipient else "application",
        "paths": [f"{FOLDER}/*.log"],
        "max_age": 86400.0, "max_size": 10**12, "reopen": ["sh", "-c", "kill -HUP $(cat /run/t-writer.pid)"],
        "encrypt_to": [recipient] if recipient else [], "holds": [],
    }  # fmt: skip


@pytest.fixture(params=[False, True], ids=["packed", "encrypted and sealed"])
def writer(request: pytest.FixtureRequest, lab_host: Any, tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    def put(path: str, text: str) -> None:
        lab_host.run("sh", "-c", f"cat > {path}", text=text)

    lab_host.run("sh", "-c", f"rm -rf {FOLDER} /etc/day2/logs /var/lib/day2/logs; mkdir -p {FOLDER} /etc/day2/logs;"
                 " chown root:adm /var/log/t-kills; rm -f /root/t-key; age-keygen -o /root/t-key")  # fmt: skip
    recipient = lab_host.run("age-keygen", "-y", "/root/t-key") if request.param else ""
    put("/etc/day2/logs/kills.json", json.dumps(policy(recipient)))
    put("/etc/logrotate.d/t-kills", LOGROTATE)
    put("/opt/t-writer.py", (SUPPORT / "log_writer.py").read_text())
    program = Path(zipapp.write(str(tmp_path), "0.0.0"))
    lab_host.lab.podman.run("cp", str(program), f"{lab_host.lab.container(lab_host.name)}:/opt/t-day2ctl")
    process = lab_host.start("python3", "/opt/t-writer.py", LOG, "/run/t-writer.pid")
    wait_for(lambda: lab_host.run("cat", "/run/t-writer.pid", check=False), bool, 20, "the writer")
    yield process
    process.kill()
    lab_host.run("sh", "-c", "kill $(cat /run/t-writer.pid) 2>/dev/null; rm -rf /etc/logrotate.d/t-kills"
                 f" /run/t-writer.pid /etc/day2/logs /var/lib/day2/logs {FOLDER}", check=False)  # fmt: skip


def test_every_line_once(lab_host: Any, writer: subprocess.Popen[str]) -> None:
    chance = random.Random(time.time_ns())
    seed = chance.randrange(10**9)
    chance.seed(seed)
    for number in range(ROUNDS):
        rotation = lab_host.start("logrotate", "--force", "/etc/logrotate.d/t-kills")
        if number % 2:
            time.sleep(chance.uniform(0, 0.05))
            lab_host.run("pkill", "-KILL", "-x", "logrotate", check=False)
        rotation.wait(30)
        tending = lab_host.start("python3", "/opt/t-day2ctl", "logs", "tend")
        if number % 3:
            time.sleep(chance.uniform(0.1, 0.8))
            victim = chance.choice([["-x", "zstd"], ["-x", "age"], ["-f", "t-day2ctl"]])
            lab_host.run("pkill", "-KILL", *victim, check=False)
        tending.wait(60)
        # Names of pieces have seconds in them: the next rotation is one of its own.
        now = int(time.time())
        wait_for(lambda: int(time.time()), now.__lt__, 5, "the next second")
    lab_host.run("logrotate", "--force", "/etc/logrotate.d/t-kills", check=False)
    lab_host.run("python3", "/opt/t-day2ctl", "logs", "tend")
    lab_host.run("sh", "-c", "kill $(cat /run/t-writer.pid)")
    written = int(writer.communicate(timeout=30)[0])
    # By other programs than those that were tried.
    lines = Counter(int(line.split(" ", 1)[0]) for line in lab_host.run("sh", "-ec", READ).split("\n") if line)
    missing, doubled = written - len(lines), [line for line, times in lines.items() if times > 1]
    left = lab_host.run("ls", "-A", FOLDER)
    assert not missing and not doubled, f"seed {seed}: {missing} lost, {len(doubled)} doubled, {left}"
    assert "day2-packing" not in left and len([name for name in left.split("\n") if ".zst" in name]) >= 3, left
    assert not [name for name in left.split("\n") if name != "app.log" and ".zst" not in name], left
    if "age" in left:
        said = lab_host.run("python3", "/opt/t-day2ctl", "logs", "verify")
        assert "as sealed; record" in said, said
    assert_quiet(lab_host)


def assert_quiet(lab_host: Any) -> None:
    """A tick that has nothing to do loads nothing, and the one after a rotation packs what there is."""

    def tick() -> str:
        return str(lab_host.run("sh", "-c", "python3 -X importtime /opt/t-day2ctl logs tend 2>&1"))

    wait_for(tick, lambda said: "argparse" not in said, 60, "a tick that has nothing to do", pause=1)
    lab_host.run("sh", "-c", f"echo one more > {FOLDER}/app.log-20201201-1606780800")
    assert "argparse" in tick()
    assert "app.log-20201201-1606780800" not in lab_host.run("ls", FOLDER).split("\n")
