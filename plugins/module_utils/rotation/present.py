# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A policy put in place on its host, or removed: its file, logrotate's file, and what other files had for its logs."""

from __future__ import annotations

import glob
import grp
import json
import os
import pwd
import shutil
from contextlib import suppress
from dataclasses import dataclass, field
from signal import Signals
from typing import Sequence

from ansible_collections.day2.ops.plugins.module_utils.errors import Day2Error, Undetermined
from ansible_collections.day2.ops.plugins.module_utils.process.files import write_atomic
from ansible_collections.day2.ops.plugins.module_utils.process.opened import writers
from ansible_collections.day2.ops.plugins.module_utils.process.programs import run
from ansible_collections.day2.ops.plugins.module_utils.repositories import opening
from ansible_collections.day2.ops.plugins.module_utils.repositories.base import Unavailable
from ansible_collections.day2.ops.plugins.module_utils.rotation import claims, logrotate, pieces
from ansible_collections.day2.ops.plugins.module_utils.rotation.arguments import Wanted
from ansible_collections.day2.ops.plugins.module_utils.rotation.entries import File
from ansible_collections.day2.ops.plugins.module_utils.rotation.globs import meet
from ansible_collections.day2.ops.plugins.module_utils.rotation.logrotate import LogrotateError, Owner, Stanza
from ansible_collections.day2.ops.plugins.module_utils.rotation.place import Place
from ansible_collections.day2.ops.plugins.module_utils.rotation.policy import (
    LOGROTATE,
    LogPolicyError,
    Policies,
    Policy,
    check_together,
    render,
)

_SIGNAL = "--signal="
_SANDBOX = ("ProtectSystem", "ProtectHome", "PrivateTmp", "ReadOnlyPaths", "ReadWritePaths", "InaccessiblePaths")


@dataclass(frozen=True)
class Site:
    """Where logrotate's files are, and the program."""

    main: str = claims.MAIN
    directory: str = claims.DIRECTORY
    runner: logrotate.Runner = field(default_factory=logrotate.Runner)

    def file(self, name: str) -> str:
        return os.path.join(self.directory, claims.OWN + name)


@dataclass
class Plan:
    """Texts of the files before and after (empty: not there), and what becomes of files of others."""

    before: dict[str, str]
    after: dict[str, str]
    others: claims.Change
    warnings: list[str] = field(default_factory=list)

    @property
    def changed(self) -> bool:
        return self.before != self.after or bool(self.others)

    def diff(self) -> dict[str, str]:
        def shown(texts: dict[str, str]) -> str:
            return "".join(f"# {path}\n{_masked(text)}" for path, text in texts.items() if text)

        moved = [f"# {path} has no effect any more\n" for path in self.others.take]
        moved += [f"# {path} is given back\n" for path in self.others.give_back]
        moved += [f"# {path}\n{text}" for path, text in self.others.write.items()]
        return {"before": shown(self.before), "after": shown(self.after) + "".join(moved)}


def plan(wanted: Wanted, policies: Policies, site: Site, planning: bool = False) -> Plan:
    """What is to be done. Refuses what cannot be kept, by name, and changes nothing.

    `planning` alone may be before logrotate is installed, which then reads the file only when it is put in place.
    """
    policy = wanted.policy
    others = [other for other in policies.all() if other.name != policy.name]
    warnings = []
    try:
        check_together(policy, others)
    except LogPolicyError as exc:
        # The limit of a class is changed in one policy after the other; meanwhile the larger one holds.
        warnings.append(str(exc))
    _refuse_shared(policy, others)
    _check_program(wanted)
    path = site.file(policy.name)
    text, take = "", []
    files = claims.read(site.main)
    if policy.renamed_by == LOGROTATE:
        claims.refuse_common(files)
        _refuse_deaf(wanted)
        text = logrotate.render(policy.name, _stanzas(wanted), wanted.turn)
        take = claims.judge(claims.find(policy.paths, files, path), wanted.take_over)
        if site.runner.is_installed or not planning:
            site.runner.check(text, path)
    elif claims.find(policy.paths, files, path):
        take = claims.judge(claims.find(policy.paths, files, path), wanted.take_over)
    own = policies.path(policy.name)
    paths = [path for each in (*others, policy) for path in each.paths]
    return Plan(
        {own: _text(own), path: _text(path)},
        {own: render(policy), path: text},
        claims.plan(paths, take, _directories(site, files)),
        warnings,
    )


def plan_absent(name: str, policies: Policies, site: Site) -> Plan:
    own, path = policies.path(name), site.file(name)
    paths = [path for other in policies.all() if other.name != name for path in other.paths]
    others = claims.plan(paths, [], _directories(site, claims.read(site.main)))
    return Plan({own: _text(own), path: _text(path)}, {own: "", path: ""}, others)


def apply(plan: Plan, policies: Policies, wanted: Wanted | None = None) -> None:
    """The policy first, so that pieces are known as soon as there are any; given back is before ours goes."""
    if wanted is None:
        claims.apply(plan.others)
    else:
        policies.save(wanted.policy)
    for path, text in plan.after.items():
        if not text:
            with suppress(FileNotFoundError):
                os.unlink(path)
        elif text != plan.before[path] and not (wanted and path == policies.path(wanted.policy.name)):
            write_atomic(path, text.encode("utf-8", "surrogateescape"), 0o644)
    if wanted is not None:
        claims.apply(plan.others)


def try_copies(policy: Policy, place: Place, planning: bool) -> list[str]:
    """Whether this host can write to the log's repository. LogPolicyError says why not; a warning, that it is away."""
    if not policy.copy_to:
        return []
    from ansible_collections.day2.ops.plugins.module_utils.rotation import copies

    try:
        copies.attempt(policy, place.identity(make=not planning), planning)
    except Unavailable as exc:
        return [f"'copy_to' cannot be tried: {exc}"]
    except (Day2Error, OSError) as exc:
        # A plan may be before its programs are installed.
        if planning and isinstance(exc.__cause__, ImportError):
            return []
        raise LogPolicyError(f"'copy_to': {exc}") from exc
    return []


def _text(path: str) -> str:
    with suppress(FileNotFoundError), open(path, encoding="utf-8", errors="surrogateescape") as stream:
        return stream.read()
    return ""


def _masked(text: str) -> str:
    """A policy without the secrets of its repository, also those that it had before."""
    try:
        place = json.loads(text).get("copy_to")
    except (ValueError, AttributeError):
        return text
    for secret in opening.secret_values(place):
        text = text.replace(json.dumps(secret), json.dumps("***"))
    return text


def _directories(site: Site, files: dict[str, File]) -> list[str]:
    return [site.directory, *(os.path.dirname(name) for name in files if name != site.main)]


def _refuse_shared(policy: Policy, others: Sequence[Policy]) -> None:
    for other in others:
        for path in policy.paths:
            twice = next((known for known in other.paths if meet(path, known)), None)
            if twice is not None:
                raise LogPolicyError(f"'paths': {path} is in policy {other.name} too ({twice}): a log has one policy")


def _check_program(wanted: Wanted) -> None:
    """That what has the writer reopen its log is there."""
    if wanted.turn.service:
        unit = _properties(wanted.turn.service, ("LoadState", "CanReload", "MainPID"))
        if unit.get("LoadState") != "loaded":
            raise LogPolicyError(f"'reopen.service': systemd has no {wanted.turn.service} on this host")
        if "reload" in wanted.turn.reopen and unit.get("CanReload") != "yes":
            raise LogPolicyError(
                f"'reopen': {wanted.turn.service} cannot be reloaded (it has no ExecReload): say which signal has it"
                " reopen its log, or a command"
            )
        sign = next((word for word in wanted.turn.reopen if word.startswith(_SIGNAL)), None)
        if sign is not None:
            _refuse_uncaught(wanted.turn.service, unit.get("MainPID", "0"), Signals[sign[len(_SIGNAL) :]])
    elif wanted.turn.reopen and not shutil.which(wanted.turn.reopen[0]):
        raise LogPolicyError(f"'reopen.command': {wanted.turn.reopen[0]} is no program on this host")


def _refuse_uncaught(service: str, pid: str, sign: Signals) -> None:
    """proc(5): a signal that a process neither catches nor ignores does to it what it does by default: it ends it."""
    try:
        with open(f"/proc/{int(pid)}/status", encoding="utf-8", errors="replace") as stream:
            masks = dict(line.rstrip("\n").split(":\t", 1) for line in stream if line.startswith("Sig"))
        catches, ignores = (int(masks[name], 16) >> (sign - 1) & 1 for name in ("SigCgt", "SigIgn"))
    except (OSError, ValueError, KeyError):
        # It does not run now, or cannot be looked at: nobody knows.
        return
    if not catches:
        then = "ignores it" if ignores else "would be ended by it"
        raise LogPolicyError(
            f"'reopen.signal': the main process of {service} ({pid}) does not catch {sign.name}, and {then}: say which"
            " signal or command has it reopen its log. 'copytruncate' is for one that cannot, and loses the lines that"
            " are written between the copy and the cut"
        )


def _properties(unit: str, names: Sequence[str]) -> dict[str, str]:
    try:
        answer = run(["systemctl", "show", f"--property={','.join(names)}", "--", unit])
    except Undetermined:
        return {}
    lines = answer.stdout.decode("utf-8", "replace").splitlines()
    return {key: value for key, _is, value in (line.partition("=") for line in lines)}


def _refuse_deaf(wanted: Wanted) -> None:
    """A writer that nobody notifies would go on with the renamed file."""
    if wanted.turn.reopen or wanted.turn.copytruncate:
        return
    for path in pieces.logs(wanted.policy):
        who = writers(os.stat(path))
        if who:
            raise LogPolicyError(
                f"'reopen' is missing: {path} is open for writing by {', '.join(who)}, which would go on writing to the"
                " renamed file. Say what has it reopen its log; 'copytruncate' is for one that cannot, and loses the"
                " lines that are written between the copy and the cut"
            )
    raise LogPolicyError(
        f"'reopen' is missing: what writes to {wanted.policy.paths[0]} would go on writing to the renamed file. A"
        " program that opens its log anew for each line needs none: say so by {command: [/bin/true]}"
    )


def _stanzas(wanted: Wanted) -> list[Stanza]:
    """Paths by the user that rotates them."""
    unit = _properties("logrotate.service", _SANDBOX)
    found: dict[tuple[str, ...], list[str]] = {}
    for path in wanted.policy.paths:
        found.setdefault(_su(path, wanted.turn.copytruncate, unit), []).append(path)
    return [Stanza(tuple(paths), (su[0], su[1]) if su else ()) for su, paths in found.items()]


def _su(path: str, copytruncate: bool, unit: dict[str, str]) -> tuple[str, ...]:
    folder = os.path.dirname(path)
    known: dict[tuple[str, ...], str] = {}
    for directory in sorted(glob.glob(folder)) if glob.has_magic(folder) else [folder]:
        if not os.path.isdir(directory):
            continue
        if os.path.realpath(directory) != directory:
            raise LogrotateError(
                f"'paths': {directory} leads through a symbolic link: name {os.path.realpath(directory)}"
            )
        option = logrotate.out_of_reach(directory, unit)
        if option is not None:
            raise LogrotateError(
                f"{directory} is kept from logrotate.service by its {option}: `systemctl edit logrotate.service` can"
                f" add ReadWritePaths={directory}, or put the log elsewhere"
            )
        status = os.stat(directory)
        logs = [_owner(os.lstat(log)) for log in logs_in(directory, path)]
        wanted = logrotate.rotate_as(directory, _owner(status), logs, copytruncate)
        known.setdefault(_names(wanted, directory) if wanted else (), directory)
    if not known:
        raise LogrotateError(f"'paths': there is no directory {folder} yet: who rotates a log depends on who owns it")
    if len(known) > 1:
        raise LogrotateError(
            f"'paths': {path} has directories of different owners ({', '.join(known.values())}), and one entry of"
            " logrotate's has one user: name the directories one by one"
        )
    return next(iter(known))


def logs_in(directory: str, path: str) -> list[str]:
    pattern = os.path.join(glob.escape(directory), os.path.basename(path))
    return [found for found in glob.glob(pattern) if os.path.isfile(found) and not os.path.islink(found)]


def _owner(status: os.stat_result) -> Owner:
    return Owner(status.st_uid, status.st_gid, status.st_mode)


def _names(owner: Owner, directory: str) -> tuple[str, str]:
    try:
        user, group = pwd.getpwuid(owner.user).pw_name, grp.getgrgid(owner.group).gr_name
    except KeyError:
        raise LogrotateError(
            f"{directory} belongs to user {owner.user} and group {owner.group}, of which one has no name on this host:"
            " logrotate cannot become it"
        ) from None
    return logrotate.checked_name(user, f"the owner of {directory}"), logrotate.checked_name(group, "its group")
