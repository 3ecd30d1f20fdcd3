# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The zones that log lines name: `CET`, `GMT+2`, `Europe/Berlin`.

An abbreviation that means several zones (IST is India's, Israel's and Ireland's) is known only where the host itself
uses it. What looks like a zone and is not known is an UnknownZone, never taken to be the host's own time.
"""

from __future__ import annotations

import re
import time
from datetime import datetime, timedelta, timezone

# RFC 822, section 5.1, and the abbreviations that name one offset in the tz database since 2000.
_HOURS = {
    -10.0: "HST",
    -9.0: "AKST HDT",
    -8.0: "AKDT PST",
    -7.0: "MST PDT",
    -6.0: "MDT",
    -5.0: "EST CDT",
    -4.0: "EDT",
    -3.5: "NST",
    -2.5: "NDT",
    0.0: "Z UTC UCT GMT UT WET",
    1.0: "CET MET WEST WAT",
    2.0: "CEST MEST EET SAST CAT",
    3.0: "EEST MSK EAT IDT",
    5.0: "PKT",
    7.0: "WIB",
    8.0: "HKT AWST WITA",
    9.0: "JST KST WIT",
    9.5: "ACST",
    10.0: "AEST",
    10.5: "ACDT",
    11.0: "AEDT",
    12.0: "NZST",
    13.0: "NZDT",
}
_OFFSETS = {name: timedelta(hours=hours) for hours, names in _HOURS.items() for name in names.split()}
# Capitals that end as zones do, or stand where a zone may, and are none.
_NO_ZONES = frozenset(
    [
        "ALERT",
        "ALRT",
        "AUDIT",
        "AUTH",
        "BOOT",
        "CRIT",
        "DEBUG",
        "DBG",
        "DIAG",
        "EMERG",
        "EMRG",
        "ERR",
        "ERROR",
        "EVENT",
        "EXIT",
        "FACT",
        "FATAL",
        "FINE",
        "FINER",
        "FTL",
        "GET",
        "HEAD",
        "HINT",
        "HOST",
        "HTTP",
        "HTTPS",
        "INF",
        "INFO",
        "INIT",
        "JUST",
        "LAST",
        "LOG",
        "MAIN",
        "MQTT",
        "NEXT",
        "NOT",
        "NOTE",
        "NOTI",
        "OUT",
        "PANIC",
        "PATCH",
        "PID",
        "PORT",
        "POST",
        "PUT",
        "QUIT",
        "REST",
        "ROOT",
        "START",
        "STAT",
        "STOP",
        "TEST",
        "TEXT",
        "TRACE",
        "TRC",
        "VERB",
        "WARN",
        "WRN",
        "XACT",
    ]
)
_OFFSET = re.compile(r"(?:UTC|GMT)?([+-])(\d{1,2}):?(\d\d)?")
_AREAS = frozenset(
    [
        "Africa",
        "America",
        "Antarctica",
        "Arctic",
        "Asia",
        "Atlantic",
        "Australia",
        "Brazil",
        "Canada",
        "Chile",
        "Etc",
        "Europe",
        "Indian",
        "Mexico",
        "Pacific",
        "US",
    ]
)


class UnknownZone(ValueError):
    """A zone that is not known, or whose abbreviation means several."""


def posix(moment: datetime, zone: str | None, closed: bool = False) -> float:
    """POSIX time of a local time that a line shows with this zone; without one it is the host's.

    `closed`: the word stands where only a zone does, at the end of brackets or before a process id.
    """
    if zone is None:
        return moment.timestamp()
    found = _OFFSET.fullmatch(zone)
    if found is not None:
        offset = timedelta(hours=int(found[2]), minutes=int(found[3] or 0))
        return moment.replace(tzinfo=timezone(-offset if found[1] == "-" else offset)).timestamp()
    if "/" in zone:
        return _in_place(moment, zone)
    # The host's own names first: CST is China's where China is local.
    if zone in time.tzname:
        for fold in (0, 1):
            local = moment.replace(fold=fold).timestamp()
            if time.localtime(local).tm_zone == zone:
                return local
    if zone.upper() in _OFFSETS:
        return moment.replace(tzinfo=timezone(_OFFSETS[zone.upper()])).timestamp()
    if zone not in _NO_ZONES and (closed or (zone.endswith("T") and len(zone) > 2)):
        raise UnknownZone(f"the zone '{zone}' is not known, or means more than one")
    # Other capitals (INFO) are no zone at all.
    return moment.timestamp()


def _in_place(moment: datetime, zone: str) -> float:
    """A zone by its name in the tz database."""
    if zone.partition("/")[0] not in _AREAS:
        return moment.timestamp()
    # Few logs name their zone so, and most calls need not load this.
    import zoneinfo

    try:
        return moment.replace(tzinfo=zoneinfo.ZoneInfo(zone)).timestamp()
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
        raise UnknownZone(f"this host does not know the zone '{zone}'") from None
