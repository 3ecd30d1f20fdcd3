# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""pgBackRest as a program: argv lists, answers as JSON or as lines of its log, errors as one exception.

Keys and passphrases stay in its configuration file or in PGBACKREST_* variables, both of which it reads itself.
"""

from __future__ import annotations

import json
import os
import pwd
import re
import shutil
import time
from configparser import ConfigParser
from configparser import Error as ConfigError
from dataclasses import dataclass
from glob import glob
from typing import Any, Callable, Sequence

from ansible_collections.day2.ops.plugins.module_utils.errors import Day2Error
from ansible_collections.day2.ops.plugins.module_utils.process.pipeline import Program
from ansible_collections.day2.ops.plugins.module_utils.process.programs import run
from ansible_collections.day2.ops.plugins.module_utils.units.quantity import format_duration

PROGRAM = "pgbackrest"
# Where pgBackRest looks for its configuration, in this order.
_CONFIGS = ("/etc/pgbackrest/pgbackrest.conf", "/etc/pgbackrest.conf")
_INCLUDES = "/etc/pgbackrest/conf.d/*.conf"
# The listing of an archive of some hundred thousand segments.
_CAP = 256 << 20
_LOG = re.compile(r"^P\d+ +(DEBUG|DETAIL|INFO|WARN|ERROR): (?:\[DRY-RUN\] )?(.*)$")
_ERROR = re.compile(r"^(?:P\d+ +)?ERROR: \[(\d+)\]: (.*)$")
# The level of lines that are output, not messages.
ANSWER = "ANSWER"
_TIMED_OUT = 124
_LOCKED = 50
_LOCK_POLL = 1.0


class PgBackRestError(Day2Error):
    """pgBackRest refused or failed; `code` is its error code, 0 if there is none."""

    def __init__(self, message: str, code: int = 0) -> None:
        super().__init__(message)
        self.code = code


@dataclass(frozen=True)
class Line:
    """One message of the log, with its continuation lines."""

    level: str
    text: str


@dataclass(frozen=True)
class Client:
    """One stanza as one configuration describes it. `user` is whom root becomes; `timeout` is seconds."""

    stanza: str
    config: str | None = None
    repo: int = 1
    user: str | None = None
    timeout: float | None = None

    def setting(self, name: str) -> str | None:
        """The value of an option, in pgBackRest's own order of precedence."""
        given = os.environ.get("PGBACKREST_" + name.upper().replace("-", "_"))
        return given if given is not None else _configured(self.config, self.stanza, name)

    def argv(self, command: str, *options: str, log: str = "off", arguments: Sequence[str] = ()) -> list[str]:
        # Messages go to standard output if the log does, otherwise to standard error.
        levels = [f"--log-level-console={log}", f"--log-level-stderr={'error' if log == 'off' else 'off'}"]
        config = [f"--config={self.config}"] if self.config else []
        words = [PROGRAM, f"--stanza={self.stanza}", *config, *levels, "--no-log-timestamp", *options]
        limit = [*as_user(None), "timeout", "--kill-after=10", f"{self.timeout:g}"] if self.timeout else []
        return [*limit, *as_user(self.user), *words, command, *arguments]

    def log(self, command: str, *options: str, wait: float = 0.0, level: str = "info") -> list[Line]:
        """Run a command and return its log. `wait` is how long to wait for another holder of the stanza's lock."""
        end = time.monotonic() + wait
        while True:
            try:
                return self._log(command, options, level)
            except PgBackRestError as exc:
                left = end - time.monotonic()
                if exc.code != _LOCKED or left <= 0:
                    raise
                time.sleep(min(_LOCK_POLL, left))

    def _log(self, command: str, options: Sequence[str], level: str) -> list[Line]:
        done = run(self.argv(command, *options, log=level), _CAP)
        text = done.stdout.decode("utf-8", "replace")
        if done.code != 0:
            raise self._failed(command, done.code, text + done.stderr.decode("utf-8", "replace"))
        return parse_log(text)

    def ask(self, command: str, *options: str, arguments: Sequence[str] = ()) -> Any:
        """Run a command that writes JSON."""
        said = self.read(command, "--output=json", *options, arguments=arguments)
        try:
            # A repository that was read with a wrong key is quoted in its messages as it is.
            return json.loads(said, strict=False)
        except ValueError as exc:
            raise PgBackRestError(
                f"the repository of stanza '{self.stanza}' cannot be used: the answer of {PROGRAM} {command} is no JSON"
                f" ({_printable(said[-200:])}). Is its passphrase right?"
            ) from exc

    def read(self, command: str, *options: str, arguments: Sequence[str] = ()) -> str:
        done = run(self.argv(command, *options, arguments=arguments), _CAP)
        text = done.stdout.decode("utf-8", "replace")
        if done.code != 0:
            raise self._failed(command, done.code, done.stderr.decode("utf-8", "replace") + text)
        if len(done.stdout) >= _CAP:
            raise PgBackRestError(f"the answer of {PROGRAM} {command} is larger than {_CAP >> 20} MiB")
        return text

    def read_file(self, path: str) -> str:
        """A text file of the repository, decrypted."""
        return self.read("repo-get", f"--repo={self.repo}", arguments=[path])

    def file(self, path: str) -> Program:
        """A program that writes a file of the repository, decrypted, to its standard output."""
        return Program(self.argv("repo-get", f"--repo={self.repo}", arguments=[path]), name=PROGRAM)

    def _failed(self, command: str, code: int, said: str) -> PgBackRestError:
        if code == _TIMED_OUT and self.timeout:
            return PgBackRestError(f"{PROGRAM} {command} took longer than {format_duration(self.timeout)}")
        number, words = parse_error(said)
        return PgBackRestError(f"{PROGRAM} {command} failed: {words or f'exit status {code}'}", number)


def as_user(user: str | None) -> list[str]:
    """The prefix with which root runs a program as another user; the kernel kills it when this process ends."""
    mortal = ["setpriv", "--pdeathsig", "KILL"]
    if user is None or os.geteuid() != 0 or user == "root":
        return mortal
    entry = pwd.getpwnam(user)
    identity = ["--reuid", user, "--regid", str(entry.pw_gid), "--init-groups"]
    return ["env", "-C", "/", f"HOME={entry.pw_dir}", f"USER={user}", f"LOGNAME={user}", *mortal, *identity]


def parse_log(text: str) -> list[Line]:
    """Messages of a log without times; an indented line continues the one before it, other lines are output."""
    lines: list[Line] = []
    for raw in text.split("\n"):
        match = _LOG.match(raw)
        if match:
            lines.append(Line(match[1], match[2]))
        elif lines and raw.startswith(" "):
            lines[-1] = Line(lines[-1].level, f"{lines[-1].text}\n{raw.strip()}")
        elif raw.strip():
            lines.append(Line(ANSWER, raw.strip()))
    return lines


def parse_error(text: str) -> tuple[int, str]:
    """Code and text of the first error, with its hints."""
    rows = text.split("\n")
    for number, row in enumerate(rows):
        match = _ERROR.match(row.strip())
        if not match:
            continue
        words = [match[2]]
        for more in rows[number + 1 :]:
            if not more.startswith(" ") or _LOG.match(more):
                break
            words.append(more.strip())
        return int(match[1]), _printable("; ".join(words))
    rest = [row.strip() for row in rows if row.strip()]
    return 0, _printable(rest[-1]) if rest else ""


def _printable(text: str) -> str:
    """Remove noise: messages quote a repository that was read with a wrong key."""
    shown = "".join(letter if letter.isprintable() and letter != "\ufffd" else "?" for letter in text)
    return shown if len(shown) <= 600 else shown[:600] + " …"


def _configured(config: str | None, stanza: str, name: str) -> str | None:
    paths = [config] if config else [next((path for path in _CONFIGS if os.path.exists(path)), _CONFIGS[0])]
    paths += [] if config else sorted(glob(_INCLUDES))
    parser = ConfigParser(delimiters=("=",), comment_prefixes=("#",), interpolation=None, strict=False)
    try:
        for path in paths:
            if os.path.exists(path):
                with open(path, encoding="utf-8") as stream:
                    parser.read_file(stream)
    except PermissionError as exc:
        raise PgBackRestError(
            f"{exc.filename} cannot be read by this user: run as the server's user or as root"
        ) from exc
    except (OSError, ConfigError, UnicodeDecodeError) as exc:
        raise PgBackRestError(f"{paths[0]} cannot be taken as pgBackRest's configuration: {exc}") from exc
    for section in (stanza, "global"):
        if parser.has_option(section, name):
            return parser.get(section, name).strip()
    return None


def open_client(
    stanza: str,
    config: str | None,
    repo: int = 1,
    timeout: float | None = None,
    owner_of: Callable[[str], str | None] | None = None,
) -> Client:
    """A client that runs as the owner of the data directory: the server could not write to files of root."""
    if shutil.which(PROGRAM) is None:
        raise PgBackRestError(f"{PROGRAM} is not installed on this host: role postgres_pitr sets it up")
    if config and not os.path.exists(config):
        raise PgBackRestError(f"'pgbackrest_config' is {config}, which does not exist")
    client = Client(stanza, config, repo, None, timeout)
    path = client.setting("pg1-path")
    user = (owner_of or owner)(path) if path else None
    return Client(stanza, config, repo, user or "postgres" if os.geteuid() == 0 else None, timeout)


def owner(path: str) -> str | None:
    """The user who owns a path, or the nearest directory over it that exists and is not root's."""
    while path not in ("", "/"):
        if os.path.exists(path):
            name = pwd.getpwuid(os.stat(path).st_uid).pw_name
            return None if name == "root" else name
        path = os.path.dirname(path)
    return None
