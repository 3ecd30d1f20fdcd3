# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Module log_rotation with the real logrotate and systemd: what is put in place, and that no line is lost."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from rotation_host import PLACE, UNIT, RotationHost, writer
from small_disk import small_disk

NONE_NEEDED = {"command": ["/bin/true"]}
HUP = {"service": UNIT, "signal": "HUP"}


@pytest.fixture
def on(lab_host: Any) -> Iterator[RotationHost]:
    made = RotationHost(lab_host)
    made.tidy()
    yield made
    made.tidy()


def test_a_policy_is_put_in_place_once(on: RotationHost) -> None:
    on.sh(f"echo one >{PLACE}/app.log; chown postgres:adm {PLACE}/app.log; chmod 640 {PLACE}/app.log")
    options = {"paths": [f"{PLACE}/app.log"], "reopen": NONE_NEEDED, "max_age": "7d", "size": "1MB"}
    planned = on.done("shop", check_mode=True, **options)
    assert planned["changed"] and "maxsize 1000000" in planned["diff"]["after"] and not planned["diff"]["before"]
    assert on.sh("ls /etc/logrotate.d/day2-shop /etc/day2/logs 2>/dev/null | wc -l") == "0"
    assert on.done("shop", **options)["changed"] and not on.done("shop", **options)["changed"]
    assert on.sh("stat -c %a:%U /etc/logrotate.d/day2-shop /etc/day2/logs/shop.json") == "644:root\n600:root"
    assert '"max_age": 604800.0' in on.sh("cat /etc/day2/logs/shop.json")
    changed = on.done("shop", **{**options, "frequency": "weekly"})
    assert changed["changed"] and "weekly" in changed["diff"]["after"] and "daily" in changed["diff"]["before"]
    # logrotate itself, as its own service runs it, takes it.
    on.sh("sed -i /day2-logs/d /var/lib/logrotate/status 2>/dev/null || :; logrotate --debug /etc/logrotate.conf")
    done = on.done("shop", "rotated")
    assert len(done["pieces"]) == 1 and done["lines"]["before"] == done["lines"]["after"] == {f"{PLACE}/app.log": 1}
    assert on.sh(f"zstdcat {done['pieces'][0]}") == "one"
    assert on.sh(f"stat -c %a:%U:%G:%s {PLACE}/app.log") == "640:postgres:adm:0"
    # Twice a day is done.
    assert not on.done("shop", "rotated")["changed"]
    assert on.done("shop", "absent")["changed"] and not on.done("shop", "absent")["changed"]
    assert on.sh(f"ls /etc/day2/logs /etc/logrotate.d/day2-* {PLACE} 2>/dev/null | grep -c zst") == "1"
    assert "there is no policy of a log 'shop'" in on.refused("shop", "rotated")


def test_every_line_once_with_rotations_forced_and_timed_at_once(on: RotationHost) -> None:
    on.sh("sed -i /day2-logs/d /var/lib/logrotate/status 2>/dev/null || :")
    with writer(on):
        on.done("shop", paths=[f"{PLACE}/app.log"], reopen=HUP, size="1kB")
        for _number in range(10):
            timed = on.host.start("systemctl", "start", "logrotate.service")
            done = on.done("shop", "rotated")
            timed.wait()
            assert sum(done["lines"]["after"].values()) >= sum(done["lines"]["before"].values())
    on.done("shop", "rotated")
    names = on.pieces()
    assert len([name for name in names if name.endswith(".zst")]) >= 10 and on.sh(f"cat {PLACE}/app.log") == ""
    assert not [name for name in names if name != "app.log" and not name.endswith(".zst")]
    numbers = sorted(on.numbers())
    assert len(numbers) > 10_000 and numbers == list(range(1, len(numbers) + 1))


def test_a_rotation_that_is_killed_before_it_notifies(on: RotationHost) -> None:
    """Between the rename and postrotate: the writer goes on with the piece, until tending tells it again."""
    hang = "/usr/local/bin/day2-reopen"
    on.host.run("tee", hang, text="#!/bin/sh\n[ ! -e /run/day2-hang ] || exec sleep 600\n"
                f"systemctl is-active -q {UNIT} || exit 0\n"
                f"exec systemctl kill -s HUP --kill-who=main {UNIT}\n")  # fmt: skip
    on.sh(f"chmod 755 {hang}; touch /run/day2-hang")
    with writer(on):
        on.done("shop", paths=[f"{PLACE}/app.log"], reopen={"command": [hang]})
        rotation = on.host.start("logrotate", "--force", "/etc/logrotate.d/day2-shop")
        on.sh(f"for i in $(seq 100); do ls {PLACE} | grep -q 'log-' && exit 0; sleep 0.1; done; exit 1")
        on.sh("pkill -KILL -x logrotate; pkill -KILL -x -f 'sleep 600'; rm /run/day2-hang")
        rotation.wait()
        done = on.done("shop", "rotated")
        assert len(done["pieces"]) == 1 and len(on.pieces()) == 2, on.pieces()
    on.done("shop", "rotated")
    numbers = sorted(on.numbers())
    assert numbers == list(range(1, len(numbers) + 1))


def test_a_writer_that_does_not_listen_is_named(on: RotationHost) -> None:
    with writer(on, rate=100):
        on.done("shop", paths=[f"{PLACE}/app.log"], reopen=NONE_NEEDED)
        outcome = on.call("shop", "rotated")
        assert outcome["failed"] and "is still open for writing by python3 (process" in outcome["msg"]
        assert "does not reopen its log when it is notified" in outcome["msg"]
        on.sh(f"systemctl kill -s HUP {UNIT}")
        on.done("shop", reopen=HUP, paths=[f"{PLACE}/app.log"])
        on.done("shop", "rotated")
    numbers = sorted(on.numbers())
    assert numbers == list(range(1, len(numbers) + 1))


@pytest.mark.parametrize(
    ("prepare", "su"),
    [
        ("chown root:root .; chmod 755 .; chown root:adm *", None),
        # Ubuntu's /var/log.
        ("chown root:adm .; chmod 775 .; chown postgres:adm *", "su root adm"),
        # PostgreSQL's directory on Debian.
        ("chown root:postgres .; chmod 1775 .; chown postgres:adm *", "su root postgres"),
        ("chown postgres:postgres .; chmod 770 .; chown postgres:postgres *", "su postgres postgres"),
        ("chown redis:adm .; chmod 2750 .; chown redis:adm *", "su redis adm"),
        ("chown redis:redis .; chmod 755 .; chown redis:adm *", "su redis adm"),
        ("chown postgres:adm .; chmod 775 .; chown redis:redis *", "su root adm"),
    ],
)
def test_parent_directories(on: RotationHost, prepare: str, su: str | None) -> None:
    on.sh(f"cd {PLACE}; echo one >app.log; chmod 640 app.log; {prepare}; stat -c %a:%U:%G app.log >/tmp/day2-before")
    on.done("shop", paths=[f"{PLACE}/app.log"], reopen=NONE_NEEDED)
    text = on.sh("cat /etc/logrotate.d/day2-shop")
    assert (f"    {su}\n" in text) if su else ("    su " not in text)
    assert len(on.done("shop", "rotated")["pieces"]) == 1
    assert on.sh(f"stat -c %a:%U:%G {PLACE}/app.log") == on.sh("cat /tmp/day2-before")


@pytest.mark.parametrize("name", ["a b.log", "it's.log", 'say "hi".log', "100%d%s.log", "#1.log", "back\\slash.log"])
def test_names_that_need_quotes(on: RotationHost, name: str) -> None:
    on.host.run("tee", f"{PLACE}/{name}", text="one\ntwo\n")
    on.done("shop", paths=[f"{PLACE}/{name}"], reopen={"command": ["/bin/touch", f"{PLACE}/told by 'us' $(id)"]})
    done = on.done("shop", "rotated")
    assert done["lines"] == {"before": {f"{PLACE}/{name}": 2}, "after": {f"{PLACE}/{name}": 2}}
    assert on.host.run("zstdcat", done["pieces"][0]) == "one\ntwo"
    assert "told by 'us' $(id)" in on.pieces()


def test_a_full_disk_of_logrotates_own_state(on: RotationHost) -> None:
    on.sh(f"echo one >{PLACE}/app.log; cp -a /var/lib/logrotate /var/lib/logrotate.kept")
    on.done("shop", paths=[f"{PLACE}/app.log"], reopen=NONE_NEEDED)
    with small_disk(on.host, "/srv/day2-state", "size=64k"):
        on.sh("mv /var/lib/logrotate /var/lib/logrotate.day2; ln -s /srv/day2-state /var/lib/logrotate;"
              " cp /var/lib/logrotate.day2/status /srv/day2-state/ 2>/dev/null || :;"
              " dd if=/dev/zero of=/srv/day2-state/full bs=1k 2>/dev/null || :")  # fmt: skip
        try:
            said = on.refused("shop", "rotated")
            assert "logrotate failed" in said and "No space left on device" in said
            on.sh("rm /srv/day2-state/full")
            on.sh(f"echo two >>{PLACE}/app.log")
            on.done("shop", "rotated")
        finally:
            on.sh("rm /var/lib/logrotate; mv /var/lib/logrotate.day2 /var/lib/logrotate; rm -r /var/lib/logrotate.kept")
    assert sorted(on.sh(f"for f in {PLACE}/*.zst; do zstdcat $f; done").split()) == ["one", "two"]


def recipient(on: RotationHost) -> str:
    return on.sh("rm -f /root/day2-key; age-keygen -o /root/day2-key 2>/dev/null; age-keygen -y /root/day2-key")


def test_a_diff_shows_who_may_read(on: RotationHost) -> None:
    """A public key is no secret: whoever reviews a change sees which one it is."""
    public = recipient(on)
    call = {"name": "trail", "paths": [f"{PLACE}/audit.log"], "log_class": "audit", "encrypt_to": [public],
            "reopen": NONE_NEEDED}  # fmt: skip
    on.host.task("day2.ops.log_rotation", call, "--diff", "--check", "-v")
    assert public in on.host.said and "VALUE_SPECIFIED_IN_NO_LOG" not in on.host.said


def test_a_sealed_log(on: RotationHost, tmp_path: Path) -> None:
    on.sh(f"echo one >{PLACE}/audit.log")
    on.done("trail", paths=[f"{PLACE}/audit.log"], log_class="audit", encrypt_to=[recipient(on)], reopen=NONE_NEEDED)
    piece = on.done("trail", "rotated")["pieces"][0]
    assert on.sh(f"age -d -i /root/day2-key {piece} | zstdcat") == "one"
    head = on.done("trail", "verified")["head"]
    assert head["number"] == 1
    on.done("trail", "verified", anchors=[head])
    # A person sees what was verified, and the head.
    log = {"name": "trail", "log_class": "audit", "paths": [f"{PLACE}/audit.log"]}
    said = on.host.playbook("day2.ops.logs", "-l", on.host.name, log_management_logs=[log], log_management_journals=[],
                            log_management_state="verified", day2_anchor_dir=f"{tmp_path}/anchors")  # fmt: skip
    (line,) = [line for line in said.stdout.splitlines() if line.startswith("ok ")]
    assert "trail: 1 sealed file (" in line and line.endswith(f"record 1 is the last, {head['digest']}"), said.stdout
    assert "was known elsewhere" in on.refused("trail", "verified", anchors=[{**head, "number": 2}])
    on.sh(f"printf x | dd of={piece} conv=notrunc bs=1 seek=9 2>/dev/null")
    assert "has other bytes than were sealed" in on.refused("trail", "verified")


def test_heads_are_kept_on_the_controller(on: RotationHost, tmp_path: Path) -> None:
    """Whoever is root on the host writes the whole chain anew: the head that left it before shows that."""
    on.sh(f"echo one >{PLACE}/audit.log")
    audit = {"log_class": "audit", "encrypt_to": [recipient(on)], "reopen": NONE_NEEDED}
    on.done("trail", paths=[f"{PLACE}/audit.log"], **audit)
    anchors = ["-e", json.dumps({"day2_anchor_dir": f"{tmp_path}/anchors"})]

    def verified(**options: Any) -> Any:
        asked = {"name": "trail", "state": "verified", **options}
        return on.host.task("day2.ops.log_rotation", asked, *anchors)

    # An empty chain is no head; one that is right is kept.
    assert verified()["kept_head"] == ""
    on.done("trail", "rotated")
    kept = Path(verified()["kept_head"])
    assert kept == tmp_path / "anchors" / on.host.name / "trail.json" and json.loads(kept.read_text())["number"] == 1
    on.sh(f"echo two >>{PLACE}/audit.log")
    on.done("trail", "rotated")
    assert verified()["head"]["number"] == 2 == json.loads(kept.read_text())["number"]
    before = kept.read_text()
    on.sh(f"rm {PLACE}/*.age /var/lib/day2/logs/trail.chain; echo forged >>{PLACE}/audit.log")
    on.done("trail", "rotated")
    # By itself the host knows nothing of it.
    assert on.done("trail", "verified")["faults"] == []
    found = verified()
    assert found["failed"] and "its end was cut off" in found["msg"] and kept.read_text() == before
    on.sh(f"echo more >>{PLACE}/audit.log")
    on.done("trail", "rotated")
    found = verified()
    assert found["failed"] and "the chain was written anew" in found["msg"] and kept.read_text() == before
    kept.write_text("no json")
    assert "trail.json cannot be read" in verified()["msg"]


def test_a_writer_that_names_its_files_itself(on: RotationHost) -> None:
    """As PostgreSQL's logging collector: each file that it has closed is a piece."""
    on.sh(f"echo old >{PLACE}/pg-Mon.log; echo new >{PLACE}/pg-Tue.log; touch -d '1 day ago' {PLACE}/pg-Mon.log")
    with subprocess.Popen(
        [*on.host.inside, "sh", "-c", f"exec 3>>{PLACE}/pg-Tue.log; echo >&3; exec sleep 60"]
    ) as held:
        on.sh(f"for i in $(seq 100); do [ $(wc -l <{PLACE}/pg-Tue.log) = 2 ] && exit 0; sleep 0.1; done; exit 1")
        on.done("pg", paths=[f"{PLACE}/pg-*.log"], renamed_by="writer", reopen={"command": ["/bin/touch", "/run/told"]})
        done = on.done("pg", "rotated")
        held.kill()
    assert len(done["pieces"]) == 1 and "pg-Mon.log-" in done["pieces"][0] and "pg-Tue.log" in on.pieces()
    assert on.sh("ls /run/told; ls /etc/logrotate.d/day2-pg 2>/dev/null || :") == "/run/told"


# What other files have for the same logs

NGINX = {"paths": ["/var/log/nginx/*.log"], "reopen": {"service": "nginx", "signal": "USR1"}}


def test_an_entry_of_the_distribution_is_taken_over_and_given_back(on: RotationHost) -> None:
    before = on.sh("cat /etc/logrotate.d/nginx")
    assert "/etc/logrotate.d/nginx already (line 1: /var/log/nginx/*.log). Set 'take_over'" in on.refused(
        "web", **NGINX
    )
    assert on.done("web", take_over=True, check_mode=True, **NGINX)["changed"]
    assert "# /etc/logrotate.d/nginx has no effect any more" in on.done("web", take_over=True, **NGINX)["diff"]["after"]
    assert not on.done("web", take_over=True, **NGINX)["changed"]
    assert on.sh("cd /etc/logrotate.d; ls | grep nginx") == "nginx.day2.disabled"
    assert "/etc/logrotate.d/nginx to /etc/logrotate.d/nginx.day2.disabled" in on.sh("dpkg-divert --list '*nginx*'")
    said = on.sh("logrotate --debug /etc/logrotate.conf 2>&1")
    assert said.count('rotating pattern: "/var/log/nginx/*.log"') == 1 and "duplicate" not in said
    assert on.done("web", "absent")["changed"]
    assert on.sh("cat /etc/logrotate.d/nginx") == before and not on.sh("dpkg-divert --list '*nginx*'")


def test_the_rest_of_a_file_goes_on(on: RotationHost) -> None:
    on.sh(f"cd {PLACE}; touch a.log b.log c.log; printf '{PLACE}/a.log\\n{PLACE}/b.log {{\\n weekly\\n}}\\n"
          f"{PLACE}/c.log {{\\n monthly\\n}}\\n' >/etc/logrotate.d/day2test")  # fmt: skip
    rest = "/etc/logrotate.d/day2.day2test"
    try:
        for name in ("a", "c"):
            on.done(name, paths=[f"{PLACE}/{name}.log"], reopen=NONE_NEEDED, take_over=True)
        said = on.sh("logrotate --debug /etc/logrotate.conf 2>&1")
        assert "duplicate" not in said
        assert [said.count(f"considering log {PLACE}/{log}.log") for log in "abc"] == [1, 1, 1]
        assert "c.log" not in on.sh(f"cat {rest}")
        on.done("a", "absent")
        assert "a.log" in on.sh(f"cat {rest}") and "c.log" not in on.sh(f"cat {rest}")
        on.done("c", "absent")
        assert on.sh("cd /etc/logrotate.d; ls | grep day2") == "day2test"
    finally:
        on.tidy()
        on.sh("rm -f /etc/logrotate.d/day2test")


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"paths": ["/var/log/nginx/access.log"], "reopen": NONE_NEEDED, "take_over": True}, "is for other files too"),
        ({"paths": ["/srv/nowhere/x.log"], "reopen": NONE_NEEDED}, "there is no directory /srv/nowhere yet"),
        ({"paths": ["/tmp/x.log"], "reopen": NONE_NEEDED}, "/tmp is kept from logrotate.service by its PrivateTmp"),
        ({"reopen": {"service": "no-such", "signal": "HUP"}}, "systemd has no no-such.service"),
        ({"reopen": {"service": "cron", "reload": True}}, "cron.service cannot be reloaded"),
        ({"reopen": {"command": ["/bin/no-such"]}}, "/bin/no-such is no program"),
        ({"reopen": NONE_NEEDED, "frequency": "yearly"}, "yearly"),
        ({}, "'reopen' is missing: what writes to"),
    ],
)
def test_what_cannot_be_kept_is_refused(on: RotationHost, options: dict[str, Any], said: str) -> None:
    assert said in on.refused(**{"paths": [f"{PLACE}/x.log"], **options})
    assert on.sh("ls /etc/day2/logs /etc/logrotate.d/day2-* 2>/dev/null | wc -l") == "0"


def test_who_writes_is_named_where_nobody_notifies_it(on: RotationHost) -> None:
    with writer(on, rate=100):
        said = on.refused(paths=[f"{PLACE}/app.log"])
        assert f"{PLACE}/app.log is open for writing by python3 (process " in said and "'copytruncate' is for" in said
        # What it loses nobody can tell; what was there before is there afterwards.
        on.done("shop", paths=[f"{PLACE}/app.log"], copytruncate=True)
        done = on.done("shop", "rotated")
        before, after = done["lines"]["before"], done["lines"]["after"]
        assert len(done["pieces"]) == 1 and sum(after.values()) >= sum(before.values())
    numbers = on.numbers()
    assert len(numbers) == len(set(numbers)) and min(numbers) == 1


def test_two_policies_of_one_log(on: RotationHost) -> None:
    on.done("shop", paths=[f"{PLACE}/*.log"], reopen=NONE_NEEDED)
    assert "is in policy shop too" in on.refused("other", paths=[f"{PLACE}/app.log"], reopen=NONE_NEEDED)
    done = on.done("other", paths=["/srv/other.log"], reopen=NONE_NEEDED, max_size="1GB")
    # Of this host no timer tends logs.
    limit, timer = done["warnings"]
    assert "it is the limit of the class" in limit and "day2-logs.timer does not run (inactive)" in timer
    assert on.done("shop", paths=[f"{PLACE}/*.log"], reopen=NONE_NEEDED, max_size="1GB")["warnings"] == [timer]


def test_a_directory_that_leads_elsewhere(on: RotationHost) -> None:
    on.sh(f"mkdir {PLACE}/real; ln -s real {PLACE}/link")
    said = on.refused(paths=[f"{PLACE}/link/app.log"], reopen=NONE_NEEDED)
    assert f"{PLACE}/link leads through a symbolic link: name {PLACE}/real" in said


def test_a_sandbox_that_keeps_logrotate_from_a_log(on: RotationHost) -> None:
    """What logrotate can do from a terminal, its own service may not: that is said before the log grows for months.

    (Containers of the lab may not mount, so that systemd cannot enforce it there.)
    """
    options = {"paths": [f"{PLACE}/app.log"], "reopen": NONE_NEEDED}
    drop_in = "/etc/systemd/system/logrotate.service.d/day2-test.conf"
    on.sh(f"mkdir -p $(dirname {drop_in}); printf '[Service]\\nReadOnlyPaths={PLACE}\\n' >{drop_in};"
          " systemctl daemon-reload")  # fmt: skip
    try:
        said = on.refused("shop", **options)
        assert f"{PLACE} is kept from logrotate.service by its ReadOnlyPaths" in said
        on.sh(f"printf 'ReadWritePaths={PLACE}\\n' >>{drop_in}; systemctl daemon-reload")
        assert on.done("shop", **options)["changed"]
    finally:
        on.sh(f"rm {drop_in}; systemctl daemon-reload")
