# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""PgBouncer: a database of its is paused, led elsewhere in its configuration and at once, and resumed.

Clients wait meanwhile, and get no error as long as `query_wait_timeout` allows it. A server that is cut off has no
connection of PgBouncer's left, and none is made: the database stays paused, and leads nowhere also after a restart.
"""

from __future__ import annotations

import os
from contextlib import suppress
from typing import Any, ClassVar, Mapping, Sequence

from ansible_collections.day2.ops.plugins.module_utils.checks.entries import meant
from ansible_collections.day2.ops.plugins.module_utils.errors import Day2Error
from ansible_collections.day2.ops.plugins.module_utils.failover.traffic import pgbouncer_ini
from ansible_collections.day2.ops.plugins.module_utils.failover.traffic.base import (
    NOWHERE,
    Endpoint,
    Kind,
    Seen,
    TrafficError,
    check_reach,
    content,
    rewrite,
)
from ansible_collections.day2.ops.plugins.module_utils.failover.traffic.pgbouncer_console import (
    Console,
    Late,
    NotRunning,
)
from ansible_collections.day2.ops.plugins.module_utils.network import sockets
from ansible_collections.day2.ops.plugins.module_utils.process.waiting import wait_until

_CONFIG, _SOCKETS, _PORT = "/etc/pgbouncer/pgbouncer.ini", "/var/run/postgresql", 6432
_PROGRAM = "pgbouncer"
# Seconds that a command may take which waits for nobody.
_COMMAND = 10.0
# How often PgBouncer tries a server that refused it, and seconds that its waiting clients may take to be served.
_RETRY, _SERVED = "server_login_retry", 5.0
# Seconds that logins may take which are under way when a database is cut.
_LOGINS = 3.0
# Levels of %include, as many as PgBouncer reads.
_LEVELS = 10


class PgBouncer(Kind):
    options: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "databases": {"type": "list", "elements": "str"},
        "config": {"type": "path"},
        "admin_host": {"type": "str"},
        "admin_port": {"type": "int"},
        "admin_user": {"type": "str"},
        "admin_password": {"type": "str", "no_log": True},
    }
    needs = ("databases",)
    cuts = True
    # Clients wait for so long; what is open at a server that is fenced does not end by itself.
    limit: ClassVar[float] = 5.0

    def __init__(self, options: Mapping[str, Any], wish: Any) -> None:
        super().__init__(options, wish)
        self.names: list[str] = list(dict.fromkeys(options["databases"]))
        self.console = Console(
            options["admin_host"] or _SOCKETS,
            options["admin_port"] or _PORT,
            options["admin_user"],
            options["admin_password"],
        )

    def observe(self) -> Seen:
        shown = self._shown()
        files = self._files(shown)
        targets = {name: [(line.host, line.port) for text in files.values() for line in pgbouncer_ini.lines(text)
                          if line.name == name] for name in self.names}  # fmt: skip
        self._check_names(files, targets)
        wanted = (self.wish.target.host, self.wish.target.port)
        is_done = all(set(found) == {wanted} for found in targets.values())
        leads = ", ".join(f"{name} at {_shown(*found[-1])}" for name, found in targets.items())
        stale: list[str] = []
        if shown is not None:
            rows = [shown[name] for name in self.names]
            paused = [row["name"] for row in rows if row["paused"] == "1"]
            leads = ", ".join(f"{row['name']} at {_shown(row['host'], int(row['port']))}"
                              f"{', paused' if row['name'] in paused else ''}" for row in rows)  # fmt: skip
            stale = self._stale()
            at = all((row["host"], int(row["port"])) == wanted for row in rows)
            disabled = any(row.get("disabled") == "1" for row in rows)
            is_done = (
                is_done and at and not stale and not disabled and len(paused) == (len(rows) if self.wish.cut else 0)
            )
        others = self._others(files)
        evidence = [*stale, *(f"database {name} of this PgBouncer leads to {self.wish.old} as well" for name in others)]
        unproven = self._unproven(is_done, stale, others) if self.wish.cut else ""
        return Seen(leads, is_done, unproven, evidence, {"files": files, "shown": shown})

    def steps(self, seen: Seen) -> list[str]:
        named = ", ".join(self.names)
        if seen.more["shown"] is None:
            return [f"lead {named} to {self.wish.words} in {', '.join(seen.more['files'])}; PgBouncer does not run"]
        if self.wish.cut:
            return [f"cut {named} off (KILL): clients are disconnected, and new ones wait", "lead it nowhere, also"
                    " after a restart"]  # fmt: skip
        return [f"pause {named}, at most {self.wish.limit:g} s; then sessions that are left are cut (KILL)",
                f"lead it to {self.wish.words}, reconnect, and resume"]  # fmt: skip

    def act(self, seen: Seen) -> list[str]:
        shown, files = seen.more["shown"], seen.more["files"]
        if not self.wish.cut:
            check_reach(self.wish.target)
        if shown is None:
            if not self.wish.cut:
                raise NotRunning(f"pgbouncer: PgBouncer does not run: {', '.join(self.names)} cannot be led to "
                                 f"{self.wish.words}; start it first")  # fmt: skip
            self._write(files)
            return [f"{', '.join(self.names)} leads nowhere in {', '.join(files)}; PgBouncer does not run"]
        before = {name for name in self.names if shown[name]["paused"] == "1"}
        if self.wish.cut:
            # Killed first: whatever fails afterwards, nobody reaches the old server through here.
            self._kill(self.names)
            self._write(files)
            self._tell("RELOAD")
            return [f"{', '.join(self.names)}: its connections are cut, and it leads nowhere"]
        try:
            done = self._paused()
            self._write(files)
            self._forget_failures()
            self._go_on()
        except BaseException:
            self._back(files, before)
            raise
        if not self._is_loaded():
            self._back(files, before)
            raise TrafficError(
                "pgbouncer: it was told to load its configuration, and leads where it did before: its log says what"
                " is wrong with the configuration; all of it is as before"
            )
        self._serve_waiting()
        return [*done, f"{', '.join(self.names)} leads to {self.wish.words}, and goes on"]

    def _paused(self) -> list[str]:
        """Pause every database; what had to be done about those that are busy."""
        busy = []
        for name in self.names:
            try:
                self.console.ask(f"PAUSE {_quoted(name)}", self.wish.limit)
            except Late:
                # The old server is fenced by now: what waits for it waits for nothing.
                busy.append(name)
        self._kill(busy)
        if busy:
            return [f"{', '.join(busy)}: sessions were busy for {self.wish.limit:g} s, and all of its clients cut"]
        return []

    def _forget_failures(self) -> None:
        """Have PgBouncer forget that the old server refused it, where no client is there to be disconnected."""
        clients = {row["database"] for row in self.console.ask("SHOW CLIENTS", _COMMAND)}
        for name in self.names:
            if name in clients:
                self._tell("RECONNECT", name)
        self._kill([name for name in self.names if name not in clients])

    def _kill(self, names: Sequence[str]) -> None:
        """Cut databases off from their clients and their servers, while nobody logs in.

        PgBouncer (1.18) frees what it knows of a database under clients that are logging in: it loses their places,
        and may hang for good. Who comes meanwhile, for some milliseconds, is refused.
        """
        if not names:
            return
        for name in names:
            self._tell("DISABLE", name)
        try:
            wait_until(lambda: self._logins() == 0, _LOGINS)
            for name in names:
                self._tell("KILL", name)
        finally:
            for name in names:
                self._tell("ENABLE", name)

    def _logins(self) -> int:
        """How many clients are logging in, to whatever database."""
        rows = self.console.ask("SHOW LISTS", _COMMAND)
        return next((int(row["items"]) for row in rows if row["list"] == "login_clients"), 0)

    def _go_on(self) -> None:
        """Load the configuration and resume, at once.

        A client that comes in between has PgBouncer log in to the new server and hang up, because it is paused; to the
        next client PgBouncer says that it cannot connect.
        """
        with self.console.session(_COMMAND) as session:
            session.ask("RELOAD")
            for name in self.names:
                # A run that was killed while it cut may have left it disabled.
                session.ask(f"ENABLE {_quoted(name)}")
                try:
                    session.ask(f"RESUME {_quoted(name)}")
                except TrafficError as exc:
                    # Somebody was faster.
                    if "is not paused" not in str(exc):
                        raise

    def _serve_waiting(self) -> None:
        """Have clients served that wait: PgBouncer tries a server that refused it every 15 s only."""
        retry = self._setting(_RETRY)
        with suppress(Day2Error):
            self._tell(f"SET {_RETRY} = '0'")
        try:
            wait_until(lambda: not self._waiting(), _SERVED)
        finally:
            with suppress(Day2Error):
                self._tell(f"SET {_RETRY} = '{retry}'")

    def _waiting(self) -> bool:
        """Whether clients wait where not even a login to the server is under way."""
        return any(
            row["database"] in self.names and row["cl_waiting"] != "0"
            and all(value == "0" for column, value in row.items() if column.startswith("sv_"))
            for row in self.console.ask("SHOW POOLS", _COMMAND)
        )  # fmt: skip

    def _setting(self, key: str) -> str:
        return next((row["value"] for row in self.console.ask("SHOW CONFIG", _COMMAND) if row["key"] == key), "")

    def _back(self, files: Mapping[str, str], before: set[str]) -> None:
        """As it was before this call; what was cut off stays so."""
        for path, text in files.items():
            with suppress(Day2Error):
                if content(path) != text:
                    rewrite(path, text)
        with suppress(Day2Error):
            self._tell("RELOAD")
        for name in self.names:
            if name not in before:
                with suppress(Day2Error):
                    self._resume(name)

    def _write(self, files: Mapping[str, str]) -> None:
        for path, text in files.items():
            new = text
            for name in self.names:
                new = pgbouncer_ini.led_to(new, name, self.wish.target.host, self.wish.target.port)
            if new != text:
                rewrite(path, new)

    def _tell(self, command: str, name: str | None = None) -> None:
        self.console.ask(command if name is None else f"{command} {_quoted(name)}", _COMMAND)

    def _resume(self, name: str) -> None:
        rows = {row["name"]: row for row in self.console.ask("SHOW DATABASES", _COMMAND)}
        if name in rows and rows[name]["paused"] == "1":
            self._tell("RESUME", name)

    def _shown(self) -> dict[str, dict[str, str]] | None:
        """What PgBouncer knows of its databases; None where it does not run."""
        try:
            rows = {row["name"]: row for row in self.console.ask("SHOW DATABASES", _COMMAND)}
        except NotRunning:
            running = any(sockets.content(f"/proc/{one}/comm").strip() == _PROGRAM for one in sockets.processes())
            if running:
                raise
            return None
        for name in self.names:
            if name not in rows:
                raise TrafficError(f"pgbouncer: it has no database {name!r}; {meant(name, rows)}")
        return rows

    def _files(self, shown: object) -> dict[str, str]:
        """The configuration and what it includes, by path."""
        path = self.given["config"]
        if path is None and shown is not None:
            path = self._setting("conffile")
        files: dict[str, str] = {}
        fresh = [path or _CONFIG]
        for _level in range(_LEVELS):
            for one in fresh:
                files[one] = content(one)
            fresh = [os.path.join(os.path.dirname(one), name) for one in fresh for name in
                     pgbouncer_ini.includes(files[one])]  # fmt: skip
            fresh = [one for one in fresh if one not in files]
        return files

    def _check_names(self, files: Mapping[str, str], targets: Mapping[str, list[tuple[str, int]]]) -> None:
        known = [line.name for text in files.values() for line in pgbouncer_ini.lines(text)]
        for name, found in targets.items():
            if not found:
                raise TrafficError(
                    f"pgbouncer: [databases] in {', '.join(files)} has no line {name!r}"
                    f" ({meant(name, known) if known else 'it is empty'}); one that comes by '*' cannot be led alone"
                )

    def _is_loaded(self) -> bool:
        """PgBouncer says of a configuration that it does not take in its log only."""
        wanted = (self.wish.target.host, str(self.wish.target.port))
        rows = {row["name"]: row for row in self.console.ask("SHOW DATABASES", _COMMAND)}
        return all((rows[name]["host"], rows[name]["port"]) == wanted for name in self.names)

    def _stale(self) -> list[str]:
        """Connections of these databases to elsewhere."""
        # One that is cut off leads nowhere, where a connection comes to no server.
        addresses = self.wish.target.known_addresses()
        rows = self.console.ask("SHOW SERVERS", _COMMAND)
        return [
            f"{row['database']} has a connection to {row['addr']}:{row['port']}"
            for row in rows
            if row["database"] in self.names
            and (row["addr"] not in addresses or int(row["port"]) != self.wish.target.port)
            and row["addr"] != "unix"
        ]

    def _others(self, files: Mapping[str, str]) -> list[str]:
        """Other databases that lead to the old server."""
        old = self.wish.old
        if old is None:
            return []
        addresses = {old.host, *old.known_addresses()}
        return [
            line.name
            for text in files.values()
            for line in pgbouncer_ini.lines(text)
            if line.name not in self.names and line.port == old.port
            and any(host in addresses or addresses & set(Endpoint(host, old.port).known_addresses())
                    for host in line.host.split(",") if host)
        ]  # fmt: skip

    def _unproven(self, is_done: bool, stale: list[str], others: list[str]) -> str:
        if not is_done:
            return "; ".join(stale) or f"{', '.join(self.names)} is not cut off"
        if others:
            return f"{', '.join(others)} of this PgBouncer leads to {self.wish.old} as well: name it in 'databases'"
        old = self.wish.old
        if old is None:
            return "'old' is missing: nobody can say whether connections to it are left"
        left = sockets.count_to(_PROGRAM, old.known_addresses(), old.port)
        return f"PgBouncer has {left} connections to {old}" if left else ""


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _shown(host: str, port: int) -> str:
    if (host, port) == (NOWHERE.host, NOWHERE.port):
        return "nowhere"
    return str(Endpoint(host, port)) if host else f"the socket of port {port}"
