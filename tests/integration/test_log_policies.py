# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Logs with a policy on a host: what checks say of them, what a clean-up leaves, what a full disk gets."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from ansible_collections.day2.ops.plugins.module_utils.rotation.policy import Policy, render
from steps_on_host import Steps

DAY = 86400.0
SHOP = "/srv/day2/shop"
AGES = {"application": 30, "audit": 365, "system": 90}
# A log of each class, pieces of ten days packed as a policy has them, and a log that nobody has a policy for.
LOGS = f"""
rm -rf /srv/day2 /etc/day2/logs /var/lib/day2/logs; mkdir -p {SHOP} /etc/day2/logs; cd {SHOP}
age-keygen -o /root/day2.key 2>/dev/null
now=$(date +%s)
line() {{ date -d @$1 '+%Y-%m-%dT%H:%M:%S%:z ERROR order failed'; }}
for log in app system; do
  for day in 9 8 7 6 5 4 3 2 1; do
    at=$((now - day * 86400)); name=$log.log-$(date -d @$at +%Y%m%d)-$at
    for hour in 23 12 1; do line $((at - hour * 3600)) >> $name; done
    touch -d @$at $name; zstd -q --rm $name
  done
  for hour in 20 3; do line $((now - hour * 3600)); done > $log.log
done
at=$((now - 50000)); line $((at - 90000)) > audit.log-$(date -d @$at +%Y%m%d)-$at; touch -d @$at audit.log-*
line $now > audit.log
head -c 8192 /dev/urandom > old.log.1; touch -d '40 days ago' old.log.1
"""


@pytest.fixture
def logs(lab_host: Any) -> Iterator[Steps]:
    steps = Steps(lab_host)
    steps.sh(LOGS)
    key = steps.sh("age-keygen -y /root/day2.key").strip()
    for name, log_class in (("app", "application"), ("system", "system"), ("audit", "audit")):
        policy = Policy(name, log_class, (f"{SHOP}/{name}.log",), AGES[log_class] * DAY, 10**9,
                        encrypt_to=(key,) if log_class == "audit" else ())  # fmt: skip
        steps.sh(f"umask 077; cat > /etc/day2/logs/{name}.json", text=render(policy))
    yield steps
    steps.sh("rm -rf /srv/day2 /etc/day2/logs /var/lib/day2/logs /root/day2.key")


def check(of: str, probe: str = "log_policy", /, **fields: Any) -> dict[str, Any]:
    return {"id": of, "title": of, "probe": probe, **fields}


def names(steps: Steps) -> set[str]:
    return set(steps.sh(f"ls -A {SHOP}").split())


def test_checks_of_policies_and_of_their_logs(logs: Steps) -> None:
    before = logs.host.checks(
        check("waiting", metric="waiting"), check("tended", metric="tended"), check("left", metric="days_left"),
        check("seal", "log_seal", name="audit"), check("age", name="app", metric="age"),
        check("all", "log", path=f"{SHOP}/app.log", pattern="ERROR", since="5d"),
        check("audit", "log", path=f"{SHOP}/audit.log", pattern="ERROR", since="2d"),
    )  # fmt: skip
    assert (before["waiting"]["value"], before["waiting"]["status"]) == (1, "warning")
    assert f"{SHOP}/audit.log-" in before["waiting"]["evidence"][0]
    assert before["tended"]["status"] == "critical" and "nothing has tended" in before["tended"]["message"]
    assert before["left"]["status"] == "ok" and before["left"]["value"] == 30
    assert before["seal"]["value"] == 0 and "nothing of audit was sealed yet" in before["seal"]["message"]
    assert before["age"]["value"] == pytest.approx(30, abs=0.1)
    script = f"(cat {SHOP}/app.log; zstdcat {SHOP}/app.log-*)"
    script += " | awk -v from=$(date -d '5 days ago' +%Y-%m-%dT%H:%M:%S) '$1 >= from' | wc -l"
    counted = int(logs.sh(script))
    assert before["all"]["value"] == counted == 14
    assert before["audit"]["value"] == 2
    row = logs.take("logs", logs_directories=[SHOP])
    assert row["status"] == "ok", row
    after = logs.host.checks(
        check("waiting", metric="waiting"), check("tended", metric="tended"), check("faults", metric="faults"),
        check("seal", "log_seal", name="audit"),
        check("audit", "log", path=f"{SHOP}/audit.log", pattern="ERROR", since="2d"),
        check("today", "log", path=f"{SHOP}/audit.log", pattern="ERROR", since="1h"),
    )  # fmt: skip
    assert [after[name]["value"] for name in ("waiting", "faults", "seal", "today")] == [0, 0, 0, 1], after
    assert after["tended"]["status"] == "ok" and "1 sealed file of audit" in after["seal"]["message"]
    # What is sealed cannot be counted here, and is not left out.
    assert after["audit"]["status"] == "unknown" and ".zst.age is needed, and is encrypted" in after["audit"]["message"]
    (sealed,) = (name for name in names(logs) if name.endswith(".age"))
    logs.sh(f"printf x >> {SHOP}/{sealed}")
    broken = logs.host.checks(check("seal", "log_seal", name="audit"))["seal"]
    assert broken["status"] == "critical" and f"{SHOP}/{sealed} (record 1) has" in broken["message"]


def test_a_clean_up_tends_them_and_leaves_them(logs: Steps) -> None:
    there = names(logs)
    about = {"logs_directories": [SHOP], "logs_patterns": ["*"], "logs_age": "2d"}
    planned = logs.take("logs", "--check", **about)
    assert names(logs) == there and planned["status"] == "skipped"
    assert planned["message"].startswith("would remove 1 file older than 2 d, 8.0 KiB; files of log policies stay (16)")
    assert "of logs with a policy, 1 piece would be packed and 0 pieces would be removed" in planned["message"]
    row = logs.take("logs", **about)
    assert row["message"].startswith("removed 1 file ") and "1 piece packed" in row["message"], row
    assert any(line.startswith(f"kept by log policy 'app': {SHOP}/app.log-") for line in row["evidence"])
    gone, new = there - names(logs), names(logs) - there
    assert len(gone) == 2 and "old.log.1" in gone and new == {f"{(gone - {'old.log.1'}).pop()}.zst.age"}
    again = logs.take("logs", **about)
    assert again["message"].startswith("removed 0 files") and "changed=0" in logs.said


def test_who_is_not_root_is_told_so_and_removes_nothing(logs: Steps) -> None:
    logs.sh(f"chown postgres {SHOP} {SHOP}/*")
    checks = [check("size"), check("seal", "log_seal", name="audit")]
    rows = logs.host.task("day2.ops.checklist", {"checks": checks}, become_user="postgres")["results"]
    assert {row["status"] for row in rows} == {"skipped"}, rows
    assert all("needs root: /etc/day2/logs/" in row["message"] for row in rows)
    there = names(logs)
    arguments = {"directories": [SHOP], "patterns": ["*"], "age": "2d"}
    done = logs.host.task("day2.ops.file_cleanup", arguments, become_user="postgres")
    assert done["failed"] and done["msg"] == "/etc/day2/logs/app.json cannot be read: only root can", done
    assert names(logs) == there


def test_a_journal_that_has_limits_is_left_to_them(logs: Steps) -> None:
    about = {"logs_directories": [SHOP], "logs_journal": "3650d"}
    vacuumed = logs.take("logs", **about)
    assert any(line.startswith("Vacuuming done") for line in vacuumed["evidence"]), vacuumed
    drop_in = "/etc/systemd/journald.conf.d/day2.conf"
    logs.sh(f"mkdir -p {drop_in.rpartition('/')[0]}; echo '[Journal]' > {drop_in}")
    try:
        left = logs.take("logs", **about)
        assert left["status"] == "ok" and not any("Vacuuming" in line for line in left["evidence"]), left
    finally:
        logs.sh(f"rm -f {drop_in}")


def test_room_on_a_full_disk(logs: Steps) -> None:
    there = names(logs)
    about = {"logs_directories": [SHOP], "emergency_logs_age": "36h"}
    planned = logs.take("emergency_logs", "--check", emergency_logs_free="20kB", **about)
    assert names(logs) == there and planned["message"].startswith("would free ")
    row = logs.take("emergency_logs", emergency_logs_free="20kB", **about)
    assert row["status"] == "ok" and "no storage is missing now; logs grow by" in row["message"], row
    gone = there - names(logs)
    assert "old.log.1" in gone and len(gone) == 4
    oldest = sorted(name for name in there if name.startswith("app.log-"))[:3]
    assert gone == {"old.log.1", *oldest}
    row = logs.take("emergency_logs", emergency_logs_free="5GB", **about)
    assert row["status"] == "warning" and "are missing: add at least as much storage" in row["message"]
    left = names(logs)
    # Of each log, the piece of a day ago is younger than asked for; nothing of the audit log goes.
    assert {name.partition("-")[0] for name in left} == {"app.log", "system.log", "audit.log"} and len(left) == 6
    refused = logs.take("emergency_logs", **about)
    assert refused["status"] == "critical" and "'free': '' is not a quantity" in refused["message"]


def test_policies_that_somebody_else_can_write_stop_every_clean_up(logs: Steps) -> None:
    logs.sh("chmod 0777 /etc/day2/logs")
    there = names(logs)
    row = logs.take("logs", logs_directories=[SHOP])
    assert row["status"] == "critical" and "can be written by others" in row["message"], row
    assert names(logs) == there
    found = logs.host.checks(check("size"))["size"]
    assert found["status"] == "unknown" and "can be written by others" in found["message"]
