# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What to do about failures of a dump that servers explain to programmers only. Pure."""

from __future__ import annotations

import re

# Of a standby: a statement or a session that the replay of WAL did not wait for any longer.
_CANCELLED = re.compile(r"due to conflict with recovery")
STANDBY = (
    "a standby cancels what is in the way of replaying WAL: raise its max_standby_streaming_delay and"
    " max_standby_archive_delay above the time of a backup, set hot_standby_feedback, or back up the primary"
)
_ADVICE = (
    (r"would be affected by row-level security policy",
     "this role does not see all rows, and a set without the others would not be whole: ALTER ROLE … BYPASSRLS"),
    (r"permission denied for large object",
     "pg_read_all_data gives no large objects: GRANT SELECT ON LARGE OBJECT …, or run it as a superuser"),
    (r"permission denied for (?:table|schema|sequence|view|materialized view|relation|function|foreign)",
     "GRANT pg_read_all_data to the role (PostgreSQL 14 and later), or run it as a superuser"),
    (r"has no equivalent in encoding|invalid byte sequence for encoding",
     "the database has text that its own encoding does not allow: it is mended there, row by row"),
)  # fmt: skip


def advise(failure: str) -> str | None:
    """What to do about a failure, by the server's words in it."""
    return next((advice for pattern, advice in _ADVICE if re.search(pattern, failure)), None)


def cancelled(failure: str) -> bool:
    """Whether a standby has ended the statement or the session: another attempt may succeed."""
    return _CANCELLED.search(failure) is not None
