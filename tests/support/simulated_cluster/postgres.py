# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""PostgreSQL as far as a failover sees it: WAL that is flushed and received, timelines that fork, processes that hang.

Written from the manual of PostgreSQL, chapters 27 (standbys) and 30 (WAL): a standby streams only what continues its
own history; a promotion replays what was received, starts the next timeline and leaves its .history in the archive.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Optional

START = 0x3000000
SYSTEM = "7301234567890123456"


@dataclass(frozen=True, eq=False)
class Record:
    """One transaction (or the end-of-recovery record) in the WAL of whoever wrote it; copies are the same object."""

    timeline: int
    end: int
    size: int
    transaction: str
    at: float


def text(lsn: int) -> str:
    return f"{lsn >> 32:X}/{lsn & 0xFFFFFFFF:X}"


@dataclass
class Server:
    name: str
    role: str = "standby"
    state: str = "running"  # running | hung (SIGSTOP) | stopped
    disk_hung: bool = False
    disk_full: bool = False
    promotes: bool = True
    wal: list[Record] = field(default_factory=list)
    timeline: int = 1
    forks: list[tuple[int, int]] = field(default_factory=list)  # (timeline that ended, where)
    upstream: Optional[str] = None
    received_at: float = 0.0
    replayed: int = 0  # records
    paused: bool = False
    apply_delay: float = 0.0
    enabled: bool = True
    masked: bool = False
    mute: bool = False  # what looks at it on its host never ends
    clean: bool = False
    readable: bool = True  # somebody can read the end of its WAL while it is stopped
    checkpoint: int = START
    synchronous: tuple[str, ...] = ()
    promoted_by: Optional[str] = None
    slots: set[str] = field(default_factory=set)
    system: str = SYSTEM
    managed_by: Optional[str] = None
    nofailover: bool = False
    fenced_by: Optional[str] = None
    started_primary_at: float = 0.0
    looked_at: float = 0.0  # when a promotion of it last saw that nobody else is promoted
    disturbed_at: float = -1.0  # when the world (not a failover) last did something to it

    port: int = 5432
    unit: str = "postgresql@15-main.service"
    data: str = "/var/lib/postgresql/15/main"

    @property
    def end(self) -> int:
        return self.wal[-1].end if self.wal else START

    @property
    def replayed_lsn(self) -> int:
        return self.wal[self.replayed - 1].end if self.replayed else START

    @property
    def writes(self) -> bool:
        return self.role == "primary" and self.state == "running" and not self.disk_hung and not self.disk_full

    @property
    def alive(self) -> bool:
        """Processes exist on its data directory: it may write again at any moment."""
        return self.state != "stopped"

    def append(self, transaction: str, size: int, now: float) -> Record:
        record = Record(self.timeline, self.end + size, size, transaction, now)
        self.wal.append(record)
        self.replayed = len(self.wal)
        return record

    def continues(self, other: Server) -> bool:
        """Whether this server's WAL is a beginning of the other's."""
        mine, theirs = self.wal, other.wal
        return not mine or (len(mine) <= len(theirs) and mine[-1] is theirs[len(mine) - 1])

    def ahead_of(self, other: Server) -> int:
        """Bytes of this server's WAL that the other one's history does not have."""
        common = START
        for mine, theirs in zip(self.wal, other.wal):
            if mine is not theirs:
                break
            common = mine.end
        return self.end - common

    def receive(self, other: Server, now: float) -> bool:
        """Stream from a running upstream; whether it streams. A timeline that forked behind it is refused."""
        if not self.continues(other) or self.system != other.system or other.timeline < self.timeline:
            return False
        self.received_at = now
        if len(self.wal) < len(other.wal):
            self.wal.extend(other.wal[len(self.wal) :])
        self.timeline, self.forks = other.timeline, list(other.forks)
        if not self.paused and not self.apply_delay:
            self.replayed = len(self.wal)
        return True

    def become_primary(self, timeline: int, now: float) -> int:
        """Replay what was received and start a timeline; where it forked."""
        self.replayed = len(self.wal)
        fork = self.end
        self.forks.append((self.timeline, fork))
        self.timeline = timeline
        self.role, self.upstream, self.paused = "primary", None, False
        self.started_primary_at = now
        self.append(f"end of recovery of {self.name}", 56, now)
        return fork

    def stop(self, clean: bool) -> None:
        self.state, self.clean = "stopped", clean
        self.checkpoint = self.end if clean else self.wal[len(self.wal) // 2].end if self.wal else START
