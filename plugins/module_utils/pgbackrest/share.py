# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Progress of a running backup, from pgBackRest's `info` (2.41 and later)."""

from __future__ import annotations

import re
import threading
from contextlib import contextmanager, suppress
from typing import Iterator

from ansible_collections.day2.ops.plugins.module_utils.errors import Day2Error
from ansible_collections.day2.ops.plugins.module_utils.pgbackrest.client import Client
from ansible_collections.day2.ops.plugins.module_utils.process import progress

_SHARE = re.compile(r"running - ([0-9.]+)% complete")
# Seconds between two queries.
_PAUSE = 5.0


@contextmanager
def watched(client: Client) -> Iterator[None]:
    """Report the progress of the backup while the context is active."""
    stopped = threading.Event()

    def ask() -> None:
        while not stopped.wait(_PAUSE):
            # A failing query must not fail the backup.
            with suppress(Day2Error):
                share = parse_share(client.read("info", f"--repo={client.repo}"))
                if share is not None and not stopped.is_set():
                    progress.reach(share)

    if progress.is_kept():
        threading.Thread(target=ask, daemon=True).start()
    try:
        yield
    finally:
        stopped.set()


def parse_share(text: str) -> float | None:
    """Progress from 0 to 1 in the output of `pgbackrest info`; None if it is missing."""
    found = _SHARE.search(text)
    return min(1.0, float(found[1]) / 100) if found else None
