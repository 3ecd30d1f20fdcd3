# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The steps of role maintenance_steps on a lab host: real apt and systemd, asked past the role."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from steps_on_host import Steps


@pytest.fixture
def steps(lab_host: Any) -> Steps:
    return Steps(lab_host)


# A repository is a directory with packages, their list and its name. Nothing else is known to apt meanwhile.
PACKAGE = """
mkdir -p /root/build/DEBIAN /root/build/etc /root/repo/{suite}; cd /root/build
printf 'Package: {name}\\nVersion: {version}\\nArchitecture: all\\nMaintainer: A <a@example.com>\\nDescription: x\\n' \\
  > DEBIAN/control
echo 'setting={version}' > etc/{name}.conf; echo /etc/{name}.conf > DEBIAN/conffiles
dpkg-deb --root-owner-group --build . /root/repo/{suite}/{name}_{version}.deb > /dev/null; rm -rf /root/build
"""
INDEX = """
import glob, hashlib, os, subprocess, sys
os.chdir("/root/repo/" + sys.argv[1])
entries = []
for name in sorted(glob.glob("*.deb")):
    data = open(name, "rb").read()
    control = subprocess.run(["dpkg-deb", "--field", name], capture_output=True, text=True, check=True).stdout
    entries.append(f"{control}Filename: ./{name}\\nSize: {len(data)}\\nSHA256: {hashlib.sha256(data).hexdigest()}\\n")
text = "\\n".join(entries).encode()
open("Packages", "wb").write(text)
label = "Day2-Security" if sys.argv[1] == "secure" else "Day2"
open("Release", "w").write(f"Origin: Day2\\nLabel: {label}\\nSuite: stable\\nSHA256:\\n"
                           f" {hashlib.sha256(text).hexdigest()} {len(text)} Packages\\n")
"""
APT = """
mkdir -p /root/apt/lists/partial
for suite in plain secure; do echo "deb [trusted=yes] file:/root/repo/$suite ./"; done > /root/apt/sources.list
printf 'Dir::Etc::SourceList "/root/apt/sources.list";\\nDir::Etc::SourceParts "/dev/null";\\n' > /root/apt/apt.conf
printf 'Dir::State::Lists "/root/apt/lists";\\nAPT::Sandbox::User "root";\\n' >> /root/apt/apt.conf
"""
NAMES = {"day2-plain": "plain", "day2-held": "plain", "day2-secure": "secure"}


@pytest.fixture
def packages(steps: Steps) -> Iterator[Steps]:
    """Three packages in version 1 with a changed configuration, and version 2 of each in a repository."""
    steps.sh("rm -rf /root/repo /root/apt")
    steps.sh(APT)
    for version in ("1", "2"):
        for name, suite in NAMES.items():
            steps.sh(PACKAGE.format(name=name, version=version, suite=suite))
    for suite in ("plain", "secure"):
        steps.host.run("python3", "-c", INDEX, suite)
    steps.sh("dpkg --install /root/repo/*/*_1.deb > /dev/null; apt-mark hold day2-held > /dev/null")
    steps.sh("for name in plain held secure; do echo mine > /etc/day2-$name.conf; done; rm -f /run/reboot-required*")
    steps.environment = {"APT_CONFIG": "/root/apt/apt.conf"}
    yield steps
    steps.sh("rm -rf /root/repo /root/apt /run/reboot-required*; apt-mark unhold day2-held > /dev/null")
    steps.sh("dpkg --purge day2-plain day2-held day2-secure > /dev/null 2>&1")


def versions(steps: Steps) -> dict[str, str]:
    said = steps.sh("dpkg-query --show --showformat '${Package} ${Version}\\n' 'day2-*'")
    parts = [line.partition(" ") for line in said.split("\n")]
    return {name: version for name, _space, version in parts}


def test_security_updates_only(packages: Steps) -> None:
    planned = packages.take("security", "--check")
    assert planned["status"] == "skipped" and set(versions(packages).values()) == {"1"}
    # The lists were never read: a plan refreshes nothing.
    assert "would install 0" in planned["message"]
    row = packages.take("security")
    assert versions(packages) == {"day2-plain": "1", "day2-held": "1", "day2-secure": "2"}, packages.said
    assert row["status"] == "ok" and row["ref"] == ["X-1"]
    assert row["message"] == "1 packages changed by 1 security updates; 1 held"
    assert row["evidence"] == ["held: day2-held", "day2-secure 1 -> 2"]
    assert packages.sh("cat /etc/day2-secure.conf") == "mine", "what somebody changed stays"
    again = packages.take("security")
    assert again["status"] == "ok" and again["message"].startswith("no security updates to install")
    assert "changed=0" in packages.said


def test_all_updates_and_a_reboot_that_is_due(packages: Steps) -> None:
    packages.environment["APT_CONFIG"] = "/root/apt/apt.conf"
    packages.host.run("env", "APT_CONFIG=/root/apt/apt.conf", "apt-get", "-qq", "update")
    planned = packages.take("packages", "--check")
    assert planned["status"] == "skipped" and set(versions(packages).values()) == {"1"}
    assert planned["message"].startswith("would install 2 updates")
    assert planned["evidence"] == ["held: day2-held", "day2-plain 1 -> 2", "day2-secure 1 -> 2 (security)"]
    packages.sh("touch /run/reboot-required; echo linux-image-amd64 > /run/reboot-required.pkgs")
    row = packages.take("packages")
    assert versions(packages) == {"day2-plain": "2", "day2-held": "1", "day2-secure": "2"}
    assert row["status"] == "warning" and "a reboot is required" in row["message"]
    assert row["evidence"][0] == "a reboot is required: linux-image-amd64"
    assert {"day2-plain 1 -> 2", "day2-secure 1 -> 2"} < set(row["evidence"])


def test_another_run_of_apt_is_waited_for_with_a_limit(packages: Steps) -> None:
    hold = "import fcntl,time; f=open('/var/lib/dpkg/lock-frontend','w'); fcntl.lockf(f, fcntl.LOCK_EX); "
    holder = packages.host.start("python3", "-c", f"import os; {hold} print(os.getpid(), flush=True); time.sleep(120)")
    pid = holder.stdout.readline().strip()
    try:
        row = packages.take("packages", packages_lock_timeout=2)
        assert row["status"] == "critical" and "lock" in f"{row['message']} {row['evidence']}".lower(), row
    finally:
        packages.host.run("kill", pid)
        holder.wait(30)
    assert set(versions(packages).values()) == {"1"}
    assert packages.take("packages")["status"] == "ok" and versions(packages)["day2-plain"] == "2"


SLEEPER = "/usr/local/lib/day2-sleeper"


def unit(steps: Steps, name: str, service: str) -> None:
    steps.sh(f"cat > /etc/systemd/system/{name}.service; systemctl daemon-reload; systemctl start {name}",
             text=f"[Service]\n{service}\n")  # fmt: skip


def main_pid(steps: Steps, name: str) -> str:
    return steps.sh(f"systemctl show --property=MainPID --value {name}")


@pytest.fixture
def units(steps: Steps) -> Iterator[Steps]:
    yield steps
    steps.sh("for name in day2-one day2-two; do systemctl kill -s KILL $name || echo; systemctl stop $name || echo; "
             f"rm -f /etc/systemd/system/$name.service; done; systemctl daemon-reload; rm -f {SLEEPER}*")  # fmt: skip


def test_units_with_deleted_programs_are_restarted(units: Steps) -> None:
    units.sh(f"cp /usr/bin/sleep {SLEEPER}")
    for name in ("day2-one", "day2-two"):
        unit(units, name, f"ExecStart={SLEEPER} 100000")
    before = {name: main_pid(units, name) for name in ("day2-one", "day2-two", "nginx", "redis-server")}
    assert units.take("restart")["message"] == "nothing has to be restarted"
    units.sh(f"cp /usr/bin/sleep {SLEEPER}.new; mv {SLEEPER}.new {SLEEPER}")
    guard = ["ssh", "day2-t*"]
    planned = units.take("restart", "--check", never_restart=guard)
    assert planned["message"].startswith("would restart day2-one.service; not restarted, though due: day2-two.service")
    assert main_pid(units, "day2-one") == before["day2-one"]
    row = units.take("restart", never_restart=guard)
    assert row["status"] == "warning" and row["message"].startswith("restarted day2-one.service; not restarted")
    assert any(SLEEPER in line for line in row["evidence"])
    after = {name: main_pid(units, name) for name in before}
    assert [name for name in before if before[name] != after[name]] == ["day2-one"]
    row = units.take("restart")
    assert row["status"] == "ok" and row["message"] == "restarted day2-two.service"
    assert units.take("restart")["message"] == "nothing has to be restarted" and "changed=0" in units.said
    # What cannot be seen by its files is named.
    named = main_pid(units, "day2-one")
    assert units.take("restart", units=["day2-one"])["status"] == "ok" and main_pid(units, "day2-one") != named
    refused = units.take("restart", units=["ssh.service"])
    assert refused["status"] == "critical" and "maintenance_steps_never_restart" in refused["message"]


# Without the second hierarchy of control groups systemd may see at its own limit only that all processes are gone.
LOOP = """ExecStart=/bin/sh -c 'trap "" TERM; sleep 99991 & sleep 99992 & while :; do sleep 1; done'
TimeoutStopSec=15"""


def test_the_processes_of_one_unit_and_no_other(units: Steps) -> None:
    for name in ("day2-one", "day2-two"):
        unit(units, name, LOOP)
    one, two = main_pid(units, "day2-one"), main_pid(units, "day2-two")
    units.until(lambda: all("99992" in units.sh(f"pgrep -a -P {pid}") for pid in (one, two)))
    children = units.sh(f"pgrep -P {one}").split()
    others = units.sh(f"pgrep -f 'sleep 9999[12]' -P {two}").split()
    assert len(children) >= 2 and len(others) == 2
    assert units.take("processes", "--check", processes_unit="day2-one")["status"] == "skipped"
    assert main_pid(units, "day2-one") == one
    row = units.take("processes", processes_unit="day2-one", processes_timeout="2s")
    assert row["status"] == "ok" and "by SIGKILL, because it did not stop within 2s" in row["message"], row
    assert "it is active again" in row["message"] and any("sleep 99991" in line for line in row["evidence"])
    assert main_pid(units, "day2-one") not in (one, "0") and main_pid(units, "day2-two") == two
    alive = units.sh("ps -e -o pid=").split()
    assert one not in alive and not set(children) & set(alive) and set(others) <= set(alive)
    assert units.take("processes", processes_unit="nosuch")["status"] == "critical"
    assert "never_restart" in units.take("processes", processes_unit="ssh")["message"]


CERTIFICATE = [
    "openssl",
    "req",
    "-x509",
    "-newkey",
    "rsa:2048",
    "-nodes",
    "-subj",
    "/CN=x",
    "-keyout",
    "/root/day2.key",
]


def test_certificates_are_renewed_and_looked_at(units: Steps) -> None:
    unit(units, "day2-one", "ExecStart=/bin/sleep 100000\nExecReload=/bin/touch /run/day2-reloaded")
    about = {"certificates": ["/root/day2.pem"], "certificates_reload": ["day2-one"]}
    short, long = ([*CERTIFICATE, "-out", "/root/day2.pem", "-days", days] for days in ("5", "90"))
    units.sh("rm -f /run/day2-reloaded /root/day2.pem")
    units.host.run(*short)
    try:
        planned = units.take("certificates", "--check", certificates_command=long, **about)
        assert planned["status"] == "warning" and "would run openssl" in planned["message"]
        row = units.take("certificates", certificates_command=["true"], **about)
        assert row["status"] == "warning" and row["message"].startswith("0 of 1 certificates renewed; /root/day2.pem")
        assert units.sh("ls /run/day2-reloaded 2>/dev/null || echo none") == "none"
        row = units.take("certificates", certificates_command=long, **about)
        assert row["status"] == "ok" and row["message"] == "1 of 1 certificates renewed", row
        assert units.sh("ls /run/day2-reloaded") and "Not After" in units.sh("openssl x509 -in /root/day2.pem -text")
        row = units.take("certificates", certificates_command=["false"], **about)
        assert row["status"] == "critical"
        # Where no file is named nobody can tell what was renewed: no unit is reloaded, and that is said.
        units.sh("rm -f /run/day2-reloaded")
        row = units.take("certificates", certificates_command=["true"])
        assert row["status"] == "ok" and row["message"].startswith("true ran; whether it renewed anything is not known")
        assert "no unit was reloaded" in row["message"]
        row = units.take("certificates", certificates_command=long, certificates_reload=["day2-one"])
        assert row["status"] == "warning" and "day2-one was not reloaded" in row["message"], row
        assert units.sh("ls /run/day2-reloaded 2>/dev/null || echo none") == "none"
        # Nothing renews here.
        row = units.take("certificates", **about)
        assert row["status"] == "skipped" and "there is no certbot" in row["message"]
    finally:
        units.sh("rm -f /root/day2.pem /root/day2.key /run/day2-reloaded")


LOGS = """
rm -rf /srv/day2; mkdir -p /srv/day2/app/sub /srv/day2/outside; cd /srv/day2
for name in app/audit.log.1 app/auth.log.2.gz app/dump.sql.gz app/shipper.log.pos \\
  app/old.log.1 app/sub/older.2.gz app/open.log.1 app/new.log.1 app/keep.log.1 app/data.db outside/far.gz; do
  head -c 8192 /dev/urandom > $name; done
ln app/old.log.1 app/twin.txt
ln -s /srv/day2/outside app/link; ln -s /srv/day2/outside/far.gz app/far.gz
touch -d '40 days ago' app/*.1 app/*.db app/*.gz app/*.pos app/sub/*.gz outside/*.gz
touch -h -d '40 days ago' app/far.gz
touch app/new.log.1
"""


def test_old_logs_go_and_nothing_else(steps: Steps) -> None:
    steps.sh(LOGS)
    there = steps.sh("cd /srv/day2; find . | sort").split("\n")
    reader = steps.host.start("sh", "-c", "exec 3< /srv/day2/app/open.log.1; echo $$; exec sleep 300")
    pid = reader.stdout.readline().strip()
    about = {"logs_directories": ["/srv/day2/app"], "logs_exclude": ["keep*"], "logs_journal": "3650d"}
    try:
        planned = steps.take("logs", "--check", **about)
        assert planned["message"].startswith("would remove 2 files") and planned["status"] == "skipped"
        assert steps.sh("cd /srv/day2; find . | sort").split("\n") == there
        row = steps.take("logs", **about)
        # One of the two has another name, which keeps its bytes.
        assert row["message"] == (
            "removed 2 files older than 30 d, 8.0 KiB; open files stay (1); audit files stay (2);"
            " excluded files stay (1)"
        ), row
        assert "audit file, so it stays: /srv/day2/app/auth.log.2.gz" in row["evidence"]
        gone = set(there) - set(steps.sh("cd /srv/day2; find .").split("\n"))
        assert gone == {"./app/old.log.1", "./app/sub/older.2.gz"}
        again = steps.take("logs", **about)
        assert again["message"].startswith("removed 0 files") and "changed=0" in steps.said
    finally:
        steps.host.run("kill", pid)
        reader.wait(30)
    assert steps.take("logs", **about)["message"].startswith("removed 1 file ")
    for directory, said in (("/var", "too near to the root"), ("/srv/day2/app/link", "symbolic link"),
                            ("/srv/day2/../day2/app", "without '..'"), ("/srv/nosuch", "no directory"),
                            ("/var/lib/dpkg/info", "below /var/lib")):  # fmt: skip
        row = steps.take("logs", logs_directories=[directory])
        assert row["status"] == "critical" and said in row["message"], row
    steps.sh("rm -rf /srv/day2")


def test_no_clean_up_touches_a_database(steps: Steps) -> None:
    steps.sh("rm -rf /srv/day2; mkdir -p /srv/day2/app/pg/base/5 /srv/day2/cache/appendonlydir/old")
    steps.sh("cd /srv/day2; echo 15 > app/pg/PG_VERSION; touch app/pg/base/5/16384.1 app/old.log.1 cache/old.log.1;"
             " touch -d '40 days ago' app/*.1 app/pg/base/5/* cache/*.1")  # fmt: skip
    there = steps.sh("find /srv/day2 | sort")
    for directory, said in (("/srv/day2/app", "PostgreSQL"), ("/srv/day2/app/pg/base/5", "app/pg/PG_VERSION"),
                            ("/srv/day2/cache", "Redis")):  # fmt: skip
        row = steps.take("logs", logs_directories=[directory], logs_patterns=["*.[0-9]"])
        assert row["status"] == "critical" and said in row["message"], row
    assert steps.sh("find /srv/day2 | sort") == there
    # The default is names of logs, not of everything that ends in a number.
    steps.sh("rm /srv/day2/app/pg/PG_VERSION")
    row = steps.take("logs", logs_directories=["/srv/day2/app"])
    assert row["status"] == "ok" and row["evidence"] == ["/srv/day2/app/old.log.1"], row
    assert steps.sh("find /srv/day2/app -type f") == "/srv/day2/app/pg/base/5/16384.1"
    steps.sh("rm -rf /srv/day2")


def test_what_cannot_be_removed_does_not_hide_what_went(steps: Steps) -> None:
    steps.sh("rm -rf /srv/day2; mkdir -p /srv/day2/app; cd /srv/day2/app; touch a.log.1 b.log.1 c.log.1;"
             " chown postgres a.log.1 c.log.1; chmod 1777 .; touch -d '40 days ago' *.1")  # fmt: skip
    arguments = {"directories": ["/srv/day2/app"], "patterns": ["*.log.*"], "age": "30d"}
    done = steps.host.task("day2.ops.file_cleanup", arguments, become_user="postgres")
    assert done["paths"] == ["/srv/day2/app/a.log.1", "/srv/day2/app/c.log.1"] and not done.get("failed"), done
    assert done["outcome"]["status"] == "warning" and "1 could not be removed" in done["msg"]
    assert done["refused"][0].startswith("/srv/day2/app/b.log.1: ")
    assert steps.sh("ls /srv/day2/app") == "b.log.1"
    steps.sh("rm -rf /srv/day2")
