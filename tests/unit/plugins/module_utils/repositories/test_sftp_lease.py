# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A lease by renames, with others between any two of its steps, and with answers that are lost."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from ansible_collections.day2.ops.plugins.module_utils.repositories.sftp_client import Dropped, Entry, Refused
from ansible_collections.day2.ops.plugins.module_utils.repositories.sftp_lease import Lease

NOTHING = 10**6


class Server:
    """Files of a server that does what is relied on."""

    def __init__(self) -> None:
        self.files: dict[str, tuple[bytes, float]] = {}
        self.folders = {""}
        self.clock = 0.0


class Client:
    """One connection. The answer to the request of number `lost` does not arrive; `done` says whether it was done.

    `between` is called before each request, with its number.
    """

    def __init__(self, server: Server, lost: int = NOTHING, done: bool = True) -> None:
        self.server, self.lost, self.done = server, lost, done
        self.requests = 0
        self.between: Callable[[int], None] = lambda _number: None

    def _ask(self, act: Callable[[], None]) -> None:
        self.requests += 1
        self.between(self.requests)
        if self.requests != self.lost:
            return act()
        if self.done:
            act()
        raise Dropped("the connection ended")

    def _again(self, act: Callable[[], None]) -> None:
        try:
            self._ask(act)
        except Dropped:
            self._ask(act)

    def listing(self, path: str) -> list[Entry] | None:
        self._again(lambda: None)
        inside = [name for name in self.server.files if name.startswith(f"{path}/")]
        return [Entry("-", 1, name[len(path) + 1 :]) for name in inside] if path in self.server.folders else None

    def upload(self, path: str, content: bytes) -> None:
        self._again(lambda: self.server.files.update({path: (content, self.server.clock)}))

    def written(self, path: str) -> tuple[bytes, float]:
        self._again(lambda: None)
        if path not in self.server.files:
            raise Refused(f"{path} not found")
        return self.server.files[path]

    def remove(self, path: str) -> None:
        self._again(lambda: self.server.files.pop(path, None) and None)

    def once(self, command: str) -> None:
        _rename, old, new = command.replace('"', "").split(" ")
        self._ask(lambda: self._rename(old, new))

    def rename(self, old: str, new: str) -> None:
        self._ask(lambda: self._rename(old, new))

    def _rename(self, old: str, new: str) -> None:
        server = self.server
        if old in server.folders:
            if any(name.startswith(f"{new}/") for name in server.files):
                raise Refused("Failure")
            server.folders = (server.folders - {old}) | {new}
            server.files = {
                new + name[len(old) :] if name.startswith(f"{old}/") else name: content
                for name, content in server.files.items()
            }
        elif old in server.files:
            server.files[new] = server.files.pop(old)
        else:
            raise Refused("No such file or directory")

    def do(self, command: str) -> None:
        what, path = command.replace('"', "").split(" ")
        if what == "mkdir":
            self._again(lambda: self.server.folders.add(path))
        elif any(name.startswith(f"{path}/") for name in self.server.files) or path not in self.server.folders:
            raise Refused("Failure")
        else:
            self._again(lambda: self.server.folders.remove(path))


def lease(client: Client) -> Lease:
    return Lease(client, "lease", "the lease")  # type: ignore[arg-type]


def held(server: Server) -> list[str]:
    return [name for name in server.files if name.startswith("lease/held-")]


def let_go(server: Server) -> None:
    """A lease that was held once, and is nobody's."""
    first = lease(Client(server))
    assert first.write(b"first", None) is not None
    first.remove()


def test_it_is_taken_renewed_and_let_go() -> None:
    server = Server()
    place = lease(Client(server))
    for _again in range(2):
        assert place.read() is None
        first = place.write(b"one", None)
        assert first is not None and place.write(b"two", None) is None
        server.clock += 5
        assert place.read() == (b"one", first, 5.0)
        second = place.write(b"two", first)
        assert second is not None and place.write(b"three", first) is None
        server.clock += 1
        assert place.read() == (b"two", second, 1.0)
        place.remove()
    assert len(server.files) == 1 and held(server) == [], "nothing is left but whose it is"


@pytest.mark.parametrize("begun", [False, True])
@pytest.mark.parametrize("number", range(1, 12))
def test_one_of_two_gets_it_whenever_the_other_comes(number: int, begun: bool) -> None:
    server, won = Server(), []
    if begun:
        let_go(server)
    client = Client(server)

    def other(request: int) -> None:
        if request == number:
            won.append(lease(Client(server)).write(b"other", None))

    client.between = other
    won.append(lease(client).write(b"mine", None))
    if len(won) == 1:
        won.append(lease(Client(server)).write(b"late", None))
    (winner,) = [version for version in won if version is not None]
    assert held(server) == [f"lease/held-{winner}"]


@pytest.mark.parametrize("number", range(1, 8))
def test_a_lease_that_ended_goes_to_one(number: int) -> None:
    """Two that saw the same lease of a holder that is gone, and the holder that is not gone."""
    server = Server()
    place = lease(Client(server))
    version = place.write(b"gone", None)
    client, won = Client(server), []
    client.between = lambda request: won.append(place.write(b"back", version)) if request == number else None
    won.append(lease(client).write(b"taken", version))
    won.append(lease(Client(server)).write(b"late", version))
    assert len([each for each in won if each is not None]) == 1 and len(held(server)) == 1


@pytest.mark.parametrize("done", [False, True])
@pytest.mark.parametrize("number", range(1, 8))
def test_an_answer_that_is_lost_is_found_out(number: int, done: bool) -> None:
    server = Server()
    let_go(server)
    client = Client(server)
    place = lease(client)
    version = place.write(b"mine", None)
    client.requests, client.lost, client.done = 0, number, done
    renewed = place.write(b"renewed", version)
    assert renewed is not None and held(server) == [f"lease/held-{renewed}"]
    assert (place.read() or (b"",))[0] == b"renewed"


def test_a_renewal_that_was_done_and_never_answered_is_ones_own() -> None:
    """The connection stays away for long: the next renewal goes on from what that one may have done."""
    server = Server()
    client = Client(server)
    place = lease(client)
    version = place.write(b"mine", None)

    def away(request: int) -> None:
        if request > 3:
            raise Dropped("the connection ended")

    client.requests, client.lost, client.between = 0, 3, away
    with pytest.raises(Dropped):
        place.write(b"not heard of", version)
    assert held(server) != [f"lease/held-{version}"]
    client.between = lambda _request: None
    assert place.write(b"renewed", version) is not None and len(held(server)) == 1
