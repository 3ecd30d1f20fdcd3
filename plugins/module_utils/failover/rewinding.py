# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The two ways in which a stopped server gets the data of its new primary: pg_rewind, and a base backup."""

from __future__ import annotations

import os
import shutil
from typing import Mapping, Sequence

from ansible_collections.day2.ops.plugins.module_utils.failover.local import Member, MemberError, write_owned
from ansible_collections.day2.ops.plugins.module_utils.failover.upstream import Upstream, login_environment
from ansible_collections.day2.ops.plugins.module_utils.postgres.cluster import debian_name
from ansible_collections.day2.ops.plugins.module_utils.postgres.server import ServerError, conninfo
from ansible_collections.day2.ops.plugins.module_utils.process.pipeline import PipelineError, Program, run_pipeline
from ansible_collections.day2.ops.plugins.module_utils.process.waiting import wait_until

# What is this host's own in a data directory, and comes over from the primary with everything else.
OWN_FILES = ("postgresql.auto.conf", "postgresql.conf", "pg_hba.conf", "pg_ident.conf")
AUTO = "postgresql.auto.conf"
SIGNAL = "standby.signal"
_CHECKPOINT = 300.0


class RewindFailed(MemberError):
    """pg_rewind was begun and has failed: the data directory is of no use but to be replaced."""


def config_of(member: Member) -> str:
    """The path of postgresql.conf, which Debian keeps apart from the data."""
    debian = debian_name(member.cluster.data)
    folder = os.path.join("/etc/postgresql", *debian) if debian else member.cluster.data
    return os.path.join(folder, "postgresql.conf")


def own_files(data: str) -> dict[str, bytes]:
    """This host's own configuration in a data directory, by name."""
    found = {}
    for name in OWN_FILES:
        path = os.path.join(data, name)
        if os.path.isfile(path):
            with open(path, "rb") as stream:
                found[name] = stream.read()
    return found


def ready_source(source: Upstream, timeline: int, database: str) -> None:
    """pg_rewind reads the source's control file, which names the timeline before until the first checkpoint after a
    promotion: without one it takes both servers for the same timeline, and does nothing."""
    asked = "SELECT timeline_id FROM pg_control_checkpoint()"
    if source.ask(asked, database) == str(timeline):
        return
    refused = ""
    try:
        source.ask("CHECKPOINT", database, _CHECKPOINT)
    except ServerError as exc:
        refused = f" ({exc})"
    if not wait_until(lambda: source.ask(asked, database) == str(timeline), 10.0):
        raise MemberError(
            f"{source.address} has had no checkpoint since its promotion, and pg_rewind would not see its timeline"
            f" {timeline}: run CHECKPOINT there{refused}; nothing was changed"
        )


def recover(member: Member, limit: float) -> None:
    """Let a server that crashed recover, alone and without a port: pg_rewind wants a clean end of its WAL."""
    if member.cluster.control().get("Database cluster state", "").startswith("shut down"):
        return
    argv = [os.path.join(member.cluster.bin_dir, "postgres"), "--single", "-F", "-D", member.cluster.data]
    argv += ["-c", f"config_file={config_of(member)}", "template1"]
    _run(member, argv, {}, limit, "recovery in single-user mode")


def rewind(member: Member, source: Upstream, database: str, limit: float) -> None:
    """Take the blocks that differ from the source. RewindFailed where it fails: then not even a second try is safe."""
    cluster = member.cluster
    major = int(os.path.basename(os.path.dirname(cluster.bin_dir)).rpartition("-")[2] or 13)
    argv = [os.path.join(cluster.bin_dir, "pg_rewind"), f"--target-pgdata={cluster.data}", "--no-ensure-shutdown"]
    parts = {name: value for name, value in source.parts.items() if name != "password"}
    argv.append(f"--source-server={conninfo(**{**parts, 'dbname': database})}")
    config = config_of(member)
    apart = os.path.dirname(config) != cluster.data
    if _restores(member, config) and (major >= 14 or not apart):
        argv.append("--restore-target-wal")
        argv += [f"--config-file={config}"] if apart else []
    try:
        _run(member, argv, login_environment(source.parts, 10.0), limit, "pg_rewind")
    except MemberError as exc:
        raise RewindFailed(str(exc)) from exc


def base_backup(member: Member, source: Upstream, into: str, slot: str | None, limit: float) -> None:
    """A copy of the primary in a directory beside; what an earlier run left there is removed first."""
    shutil.rmtree(into, ignore_errors=True)
    argv = [os.path.join(member.cluster.bin_dir, "pg_basebackup"), f"--pgdata={into}", "--checkpoint=fast"]
    argv += ["--wal-method=stream", "--no-password", *([f"--slot={slot}"] if slot else [])]
    argv.append(f"--dbname={conninfo(**source.parts)}")
    try:
        _run(member, argv, login_environment(source.parts, 10.0), limit, "pg_basebackup")
    except MemberError:
        shutil.rmtree(into, ignore_errors=True)
        raise


def make_standby(member: Member, data: str, own: Mapping[str, bytes], settings: Mapping[str, str]) -> None:
    """This host's own configuration, with settings that a standby needs. The signal file is the last: a directory that
    has it is complete."""
    for name, content in own.items():
        if name != AUTO:
            write_owned(member, os.path.join(data, name), content)
    text = merged(own.get(AUTO, b"").decode("utf-8", "surrogateescape"), settings)
    write_owned(member, os.path.join(data, AUTO), text.encode("utf-8", "surrogateescape"))
    write_owned(member, os.path.join(data, SIGNAL), "")


def merged(text: str, settings: Mapping[str, str]) -> str:
    """The lines of postgresql.auto.conf with these settings in place of earlier ones; what says where an earlier
    recovery was to end is left out. Pure."""
    lines = [line for line in text.splitlines() if not _is_of(line, settings)]
    lines += [f"{name} = '{value.replace(chr(39), chr(39) * 2)}'" for name, value in settings.items()]
    return "\n".join(lines) + "\n"


def _is_of(line: str, settings: Mapping[str, str]) -> bool:
    name = line.split("=", 1)[0].strip().lower()
    return name in settings or name.startswith("recovery_target")


def _restores(member: Member, config: str) -> bool:
    """Whether a restore_command is set, by the server's own reading of its files."""
    argv = [os.path.join(member.cluster.bin_dir, "postgres"), "-D", member.cluster.data]
    said: list[bytes] = []
    program = Program(
        [*member.cluster.prefix, *argv, "-c", f"config_file={config}", "-C", "restore_command"], name="postgres"
    )
    try:
        run_pipeline([program], said.append, timeout=30.0)
    except PipelineError as exc:
        raise MemberError(f"{config} is not understood by the server: {exc}; nothing was changed") from exc
    return bool(b"".join(said).strip())


def _run(member: Member, argv: Sequence[str], environment: Mapping[str, str], limit: float, name: str) -> None:
    program = Program([*member.cluster.prefix, *argv], {"LC_ALL": "C", **environment}, name)
    try:
        run_pipeline([program], lambda _piece: None, [b""], limit)
    except PipelineError as exc:
        raise MemberError(f"{name} failed: {exc}") from exc
