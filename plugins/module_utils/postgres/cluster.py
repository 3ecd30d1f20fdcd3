# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A cluster on this host, by its data directory: whose it is, whether it runs, and how it is stopped and started."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from glob import glob
from typing import Sequence

from ansible_collections.day2.ops.plugins.module_utils.postgres.server import ServerError, conninfo, tool_for
from ansible_collections.day2.ops.plugins.module_utils.process.pipeline import (
    PipelineError,
    PipelineTimeout,
    Program,
    run_pipeline,
)
from ansible_collections.day2.ops.plugins.module_utils.process.programs import Finished, run

_DEBIAN = "/etc/postgresql/*/*/postgresql.conf"
_DIRECTORY = re.compile(r"^\s*data_directory\s*=?\s*'([^']+)'", re.MULTILINE)
_CONTROL = re.compile(r"^([^:\n]+):\s*(.*)$", re.MULTILINE)
_SYSTEMD = "/run/systemd/system"
# How psql begins what it says of a statement that it read.
_PLACE = re.compile(r"^psql:<stdin>:\d+: ")


class NoAnswer(ServerError):
    """A server that did not answer in time."""


@dataclass(frozen=True)
class Running:
    """What postmaster.pid says of a server: its process, its port, and the directory of its socket or its address."""

    pid: int
    port: int
    host: str


@dataclass(frozen=True)
class Cluster:
    """`prefix` is what root puts before a program to run it as the cluster's owner."""

    data: str
    bin_dir: str
    prefix: Sequence[str] = ()
    unit: str | None = None

    def running(self) -> Running | None:
        """The server on this data directory, if its process is there."""
        try:
            with open(os.path.join(self.data, "postmaster.pid"), encoding="utf-8") as stream:
                lines = stream.read().split("\n")
            found = Running(int(lines[0]), int(lines[3]), lines[4].split(",")[0] or lines[5].strip())
            return found if self._is_its_own(found.pid) else None
        except (OSError, ValueError, IndexError):
            return None

    def _is_its_own(self, pid: int) -> bool:
        """After a reboot the number may be another server's."""
        try:
            # A server works in its own data directory.
            return os.path.realpath(os.readlink(f"/proc/{pid}/cwd")) == os.path.realpath(self.data)
        except PermissionError:
            # Root without every capability may not see that.
            with open(f"/proc/{pid}/comm", encoding="utf-8") as stream:
                is_server = "postgres" in stream.read()
            with open("/proc/stat", encoding="ascii") as stream:
                booted = next(float(line.split()[1]) for line in stream if line.startswith("btime"))
            written = os.stat(os.path.join(self.data, "postmaster.pid"))
            same_user = os.stat(f"/proc/{pid}").st_uid == written.st_uid
            return is_server and same_user and written.st_mtime > booted

    def control(self) -> dict[str, str]:
        """What pg_controldata says; empty without a data directory."""
        if not os.path.exists(os.path.join(self.data, "global", "pg_control")):
            return {}
        done = run([*self.prefix, os.path.join(self.bin_dir, "pg_controldata"), "-D", self.data])
        if done.code != 0:
            raise ServerError(f"pg_controldata of {self.data} failed: {done.complaint}")
        return {name.strip(): value.strip() for name, value in _CONTROL.findall(done.stdout.decode("utf-8", "replace"))}

    def is_standby(self) -> bool:
        return os.path.exists(os.path.join(self.data, "standby.signal"))

    def query(self, sql: str) -> list[str]:
        """One row by psql on the server's own socket; ServerError when there is no answer."""
        return self.ask(sql).strip().split("|")

    def ask(self, sql: str, database: str = "postgres", limit: float | None = None, options: str | None = None) -> str:
        """What psql prints of statements, which go in by standard input: some hold secrets.

        ServerError says what was refused; NoAnswer that nothing came within `limit` seconds. `options` is PGOPTIONS.
        """
        found = self.running()
        if found is None:
            raise ServerError("the server is not running")
        argv = [os.path.join(self.bin_dir, "psql"), "-XAtqw", "-v", "ON_ERROR_STOP=1", "-v", "VERBOSITY=terse"]
        argv += ["-h", found.host, "-p", str(found.port), "-d", conninfo(dbname=database)]
        environment = {"PGCONNECT_TIMEOUT": "5", **({"PGOPTIONS": options} if options else {})}
        said: list[bytes] = []
        try:
            program = Program([*self.prefix, *argv], environment, "psql")
            run_pipeline([program], said.append, [sql.encode()], limit)
        except PipelineTimeout as exc:
            raise NoAnswer(f"the server did not answer within {limit:g} s") from exc
        except PipelineError as exc:
            lines = [_PLACE.sub("", line.strip()) for line in exc.stderr.split("\n") if line.strip()]
            raise ServerError(lines[-1] if lines else str(exc)) from exc
        return b"".join(said).decode("utf-8", "replace")

    def stop(self) -> None:
        """A fast shutdown, at whose end everything that was committed is on disk and offered to the archive."""
        # A unit that is still starting has no process yet: systemd is asked in any case.
        done = self._systemctl("stop")
        if done is None:
            if self.running() is None:
                return
            ctl = [os.path.join(self.bin_dir, "pg_ctl"), "stop", "-D", self.data, "-m", "fast", "-w", "-t", "3600"]
            done = run([*self.prefix, *ctl])
        if self.running() is not None:
            raise ServerError(f"the cluster {self.data} did not stop: {done.complaint}")

    def start(self, log: str | None = None) -> None:
        """Start it, without waiting for what it has to recover first."""
        done = self._systemctl("start", "--no-block")
        if done is None:
            debian = debian_name(self.data)
            if debian and log is None:
                done = run([*self.prefix, "pg_ctlcluster", *debian, "start"])
            else:
                ctl = [os.path.join(self.bin_dir, "pg_ctl"), "start", "-D", self.data, "-W", "-s"]
                done = run([*self.prefix, *ctl, "-l", log or os.path.join(self.data, "day2-start.log")])
        if done.code != 0:
            raise ServerError(f"the cluster {self.data} did not start: {done.complaint}")

    def _systemctl(self, verb: str, *options: str) -> Finished | None:
        if self.unit is None or os.geteuid() != 0 or not os.path.isdir(_SYSTEMD):
            return None
        return run(["systemctl", verb, *options, self.unit])

    def last_words(self, log: str | None = None) -> str:
        """The end of its log, for a message."""
        debian = debian_name(self.data)
        paths = [log] if log else [f"/var/log/postgresql/postgresql-{'-'.join(debian)}.log"] if debian else []
        paths += [os.path.join(self.data, "day2-start.log")]
        for path in paths:
            if path and os.path.exists(path):
                with open(path, encoding="utf-8", errors="replace") as stream:
                    lines = [line.strip() for line in stream.readlines()[-40:]]
                errors = [line for line in lines if "FATAL" in line or "PANIC" in line or "ERROR" in line]
                return (errors or lines or [""])[-1]
        return ""


def debian_name(data: str) -> tuple[str, str] | None:
    """Version and name of Debian's cluster with this data directory."""
    for path in sorted(glob(_DEBIAN)):
        with open(path, encoding="utf-8", errors="replace") as stream:
            match = _DIRECTORY.search(stream.read())
        if match and os.path.realpath(match[1]) == os.path.realpath(data):
            version, name = path.split(os.sep)[-3:-1]
            return version, name
    return None


def programs_of(data: str, bin_dir: str | None = None) -> str:
    """The folder of the server programs for a data directory; empty where it is none, which no server can run."""
    try:
        with open(os.path.join(data, "PG_VERSION"), encoding="ascii") as stream:
            return os.path.dirname(tool_for("pg_ctl", int(stream.read()), bin_dir))
    except FileNotFoundError:
        return ""
    except (OSError, ValueError) as exc:
        raise ServerError(f"{data}/PG_VERSION cannot be read: {exc}") from exc


def unit_of(data: str) -> str | None:
    """The systemd unit that runs a data directory, where the distribution's layout says it."""
    debian = debian_name(data)
    if debian:
        return f"postgresql@{debian[0]}-{debian[1]}.service"
    match = re.fullmatch(r"/var/lib/pgsql/(\d+)/data/?", data)
    if match:
        return f"postgresql-{match[1]}.service"
    return "postgresql.service" if data.rstrip("/") == "/var/lib/pgsql/data" else None
