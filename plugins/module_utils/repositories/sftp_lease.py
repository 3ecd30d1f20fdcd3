# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a lease needs of SFTP, which has no compare-and-swap: renaming what was seen."""

from __future__ import annotations

import secrets
from contextlib import suppress

from ansible_collections.day2.ops.plugins.module_utils.repositories.sftp_client import (
    Client,
    Dropped,
    Refused,
    is_absent,
    quoted,
)


class Lease:
    """A directory that always has one entry that says whose the lease is: `free-…` or `held-…`.

    Whoever saw this entry renames it: of two who saw the same one only the first still finds it. The directory comes
    with its first entry in it, by a rename that a directory which is there and not empty refuses. What the holder says
    of itself is in `about-…`, whose age is by the server's clock: that of a file that is written now.
    """

    def __init__(self, client: Client, folder: str, name: str) -> None:
        self.name = name
        self._client, self._folder = client, folder
        # Of renames whose answer was lost: they may have been done.
        self._uncertain: list[str] = []

    def _names(self) -> list[str]:
        return [entry.name for entry in self._client.listing(self._folder) or []]

    def read(self) -> tuple[bytes, str, float] | None:
        """Content, version, and age in seconds by the server's clock; None: nobody holds it."""
        while True:
            version = next((name[len("held-") :] for name in self._names() if name.startswith("held-")), None)
            if version is None:
                return None
            now = f"{self._folder}/now-{secrets.token_hex(8)}"
            self._client.upload(now, b"now")
            _content, moment = self._client.written(now)
            self._client.remove(now)
            try:
                content, written = self._client.written(f"{self._folder}/about-{version}")
            except Refused as exc:
                if not is_absent(str(exc)) or f"held-{version}" in self._names():
                    raise
                # It was renewed or let go in between.
                continue
            return content, version, moment - written

    def write(self, content: bytes, version: str | None) -> str | None:
        """The new version, or None when somebody else was quicker. `version` None: only if nobody holds it."""
        new = secrets.token_hex(8)
        names = self._names()
        if not names:
            return self._begin(content, new) if version is None else None
        known = [f"held-{own}" for own in (version, *self._uncertain)]
        seen = next((name for name in names if name.startswith("free-") if version is None), None) or next(
            (name for name in names if name in known), None
        )
        if seen is None:
            return None
        about = f"{self._folder}/about-{new}"
        self._client.upload(about, content)
        if not self._swap(seen, new):
            self._client.remove(about)
            return None
        self._uncertain.clear()
        self._client.remove(f"{self._folder}/about-{seen.partition('-')[2]}")
        return new

    def _swap(self, seen: str, new: str) -> bool:
        self._uncertain.append(new)
        try:
            try:
                self._rename(seen, f"held-{new}")
            except Dropped:
                if f"held-{new}" not in self._names():
                    self._rename(seen, f"held-{new}")
        except Refused as exc:
            self._uncertain.remove(new)
            if is_absent(str(exc)):
                return False
            raise
        return True

    def _rename(self, seen: str, new: str) -> None:
        self._client.once(f"rename {quoted(f'{self._folder}/{seen}')} {quoted(f'{self._folder}/{new}')}")

    def _begin(self, content: bytes, new: str) -> str | None:
        """The directory with its first entry, as a whole; None where somebody else was quicker."""
        beside = f"{self._folder}-{new}"
        self._client.do(f"mkdir {quoted(beside)}")
        self._client.upload(f"{beside}/about-{new}", content)
        self._client.upload(f"{beside}/held-{new}", b"held")
        with suppress(Refused):
            # It is there and empty: somebody cleaned up by hand.
            self._client.do(f"rmdir {quoted(self._folder)}")
        try:
            self._client.rename(beside, self._folder)
        except Refused:
            for name in (f"{beside}/about-{new}", f"{beside}/held-{new}"):
                self._client.remove(name)
            self._client.do(f"rmdir {quoted(beside)}")
            if not self._names():
                raise
            return None
        return new

    def remove(self) -> None:
        """Let it go."""
        for name in self._names():
            if name.startswith("held-"):
                self._rename(name, f"free-{secrets.token_hex(8)}")
                self._client.remove(f"{self._folder}/about-{name[len('held-') :]}")
