# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""An HAProxy in memory behind a socket, with the columns of real ones."""

from __future__ import annotations

import socket
import threading
from pathlib import Path

COLUMNS = "be_id be_name srv_id srv_name srv_addr srv_op_state srv_admin_state srv_uweight srv_iweight srv_agent_state"
STATS = "# pxname,svname,qcur,qmax,scur,smax,status,tracked,\n"


def states(*rows: str, columns: str = COLUMNS) -> str:
    """As `show servers state` has it: rows are `backend server op admin agent`."""
    lines = []
    for row in rows:
        backend, name, op, admin, agent = row.split()
        lines.append(f"3 {backend} 1 {name} 127.0.0.1 {op} {admin} 1 1 {agent}")
    return "\n".join(["1", f"# {columns}", *lines, "", ""])


class Fake:
    """A HAProxy that keeps states; `said` is all that it was told. An agent that is asked says `ready` to each look."""

    def __init__(self, path: Path) -> None:
        self.path, self.level, self.processes = str(path), "admin", 1
        self.states = {"web/app1": "ready", "web/app2": "ready", "api/app1": "ready"}
        self.agents = dict.fromkeys(self.states, False)
        self.sessions = dict.fromkeys(self.states, 0)
        self.said: list[str] = []
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(self.path)
        self._listener.listen(16)
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            try:
                connection, _peer = self._listener.accept()
            except OSError:
                return
            with connection, connection.makefile("r") as stream:
                answer = self._answer(stream.readline().strip())
                connection.sendall(f"{answer}\n".encode())

    def stop(self) -> None:
        if self._listener.fileno() != -1:
            # A thread that waits for the next one would go on waiting after close(2).
            self._listener.shutdown(socket.SHUT_RDWR)
            self._listener.close()

    def _answer(self, command: str) -> str:
        if command == "show cli level":
            return f"{self.level}\n"
        if command == "show info":
            return f"Name: HAProxy\nNbproc: {self.processes}\n"
        if command.startswith("show stat"):
            return STATS + "".join(
                f"{name.replace('/', ',')},0,0,{self.sessions[name]},0,UP,,\n" for name in self.states
            )
        if command == "show servers state":
            ended = [name for name, state in self.states.items() if self.agents[name] and state == "maint"]
            self.states.update(dict.fromkeys(ended, "ready"))
            bits = {"ready": 0, "maint": 1, "drain": 8}
            return states(*(f"{name.replace('/', ' ')} 2 {bits[state]} {4 * self.agents[name]}"
                            for name, state in self.states.items()))  # fmt: skip
        self.said.append(command)
        return self._change(command.split())

    def _change(self, words: list[str]) -> str:
        name = words[2]
        if self.level != "admin":
            return "Permission denied\n"
        if name not in self.states:
            return "No such server.\n"
        if words[1] == "agent":
            self.agents[name] = words[0] == "enable"
        else:
            self.states[name] = words[4]
        return ""
