# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a list of jobs comes to: which of them collide, and what a failure may cost between two backups. Pure."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import Enum
from typing import Iterator, Sequence

from ansible_collections.day2.ops.plugins.module_utils.schedule.jobs import Job

_DAY = 86400
# A year has every monthly job and both changes of the clocks.
_HORIZON_DAYS = 366
_LEAST_DAYS = 35
# That many starts are looked at in less than half a second.
_STARTS = 100_000


class Kind(Enum):
    JOB = "job"
    WINDOW = "window"


@dataclass(frozen=True)
class Track:
    """Something that takes its time, again and again: a job, or a window of maintenance.

    `spans` are POSIX seconds (start, end), by start. Tracks of one resource exclude each other; None goes with all.
    """

    name: str
    spans: Sequence[tuple[float, float]]
    resource: str | None
    kind: Kind = Kind.JOB


@dataclass(frozen=True)
class Collision:
    """Two tracks that are to run at the same time, or one that is not over when it is due again.

    `first` is when the later one begins for the first time (POSIX seconds), `count` how often that happens.
    """

    earlier: str
    later: str
    first: float
    count: int
    kinds: tuple[Kind, Kind] = (Kind.JOB, Kind.JOB)

    @property
    def names(self) -> tuple[str, ...]:
        return (self.earlier,) if self.with_itself else (self.earlier, self.later)

    @property
    def with_itself(self) -> bool:
        # A job and a window may have the same name.
        return self.earlier == self.later and self.kinds[0] is self.kinds[1]


@dataclass(frozen=True)
class Loss:
    """The greatest loss of data that backups allow: all since `since`, just before `job` is complete at `until`."""

    seconds: float
    since: float
    until: float
    job: str


def horizon(jobs: Sequence[Job], start: float) -> float:
    """Until when it is worth to look: a year, or less when there are jobs of every minute."""
    a_day = sum(job.at.starts_a_day for job in jobs) or 1
    return start + _DAY * min(_HORIZON_DAYS, max(_LEAST_DAYS, _STARTS // a_day))


def track(job: Job, start: float, end: float) -> Track:
    spans = [(moment, moment + job.duration) for moment in job.at.occurrences(start, end)]
    return Track(job.name, spans, job.resource if job.exclusive else None)


def collisions(
    jobs: Sequence[Job], start: float, end: float | None = None, windows: Sequence[Track] = ()
) -> list[Collision]:
    """What collides from `start` on, the first one first. Windows exclude each other, and backups."""
    end = horizon(jobs, start) if end is None else end
    found = clashes([track(job, start, end) for job in jobs])
    if windows:
        # What else runs then may be what the window is for.
        backups = [replace(track(job, start, end), resource=Kind.WINDOW.value) for job in jobs if job.backup]
        found += [clash for clash in clashes([*backups, *windows]) if Kind.WINDOW in clash.kinds]
    return sorted(found, key=lambda collision: collision.first)


def clashes(tracks: Sequence[Track]) -> list[Collision]:
    """Each pair of tracks of which one begins while the other goes on."""
    # A run of a track is over when its next one begins, or it collides with itself: the latest end says it all.
    goes_on: dict[int, float] = {}
    found: dict[tuple[int, int], list[float]] = {}
    for begin, end, place in _by_start(tracks):
        for other, until in goes_on.items():
            if begin < until and (other == place or _exclude(tracks[other], tracks[place])):
                found.setdefault((min(other, place), max(other, place)), [begin, 0, other, place])[1] += 1
        goes_on[place] = max(end, goes_on.get(place, end))
    pairs = [
        _collision(tracks[int(other)], tracks[int(place)], first, int(count))
        for first, count, other, place in found.values()
    ]
    return sorted(pairs, key=lambda collision: collision.first)


def _collision(earlier: Track, later: Track, first: float, count: int) -> Collision:
    return Collision(earlier.name, later.name, first, count, (earlier.kind, later.kind))


def _by_start(tracks: Sequence[Track]) -> Iterator[tuple[float, float, int]]:
    runs = [(begin, end, place) for place, of_place in enumerate(tracks) for begin, end in of_place.spans]
    runs.sort(key=lambda run: (run[0], run[2]))
    return iter(runs)


def _exclude(one: Track, other: Track) -> bool:
    return one.resource is not None and one.resource == other.resource


def worst_loss(jobs: Sequence[Job], start: float, end: float | None = None) -> Loss | None:
    """The longest time of which all may be lost; None when there are not two backups to lose it between.

    A backup holds what was there at its start and counts once it is complete: just before that, everything since the
    start of the one before is at stake. All backups of the list are taken to be of the same data.
    """
    backups = [job for job in jobs if job.backup]
    end = horizon(backups, start) if end is None else end
    runs = sorted(
        (moment + job.duration, moment, job.name)
        for job in backups
        # One that is complete later might have a better one beside it that starts after the end.
        for moment in job.at.occurrences(start, end - job.duration)
    )
    worst: Loss | None = None
    protected: float | None = None
    for complete, begun, name in runs:
        if protected is not None and begun > protected and (worst is None or complete - protected > worst.seconds):
            worst = Loss(complete - protected, protected, complete, name)
        protected = begun if protected is None else max(protected, begun)
    return worst
