# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""repmgrd of a member: whether it is paused, and pausing it, at the member's own server, as `repmgr service pause` does
it at each node."""

from __future__ import annotations

from ansible_collections.day2.ops.plugins.module_utils.failover.deciders import repmgr_database
from ansible_collections.day2.ops.plugins.module_utils.failover.local import Member, MemberError
from ansible_collections.day2.ops.plugins.module_utils.postgres.server import ServerError

_WORDS = {True: "pause", False: "unpause"}


def is_paused(member: Member, limit: float = 10.0) -> bool | None:
    """None where the server does not say."""
    try:
        said = member.ask("SELECT repmgr.repmgrd_is_paused()", repmgr_database(member.cluster.data), limit)
    except ServerError:
        return None
    return {"t": True, "f": False}.get(said)


def pause(member: Member, wanted: bool, check_mode: bool) -> bool:
    """Whether that changed something. MemberError where it is not proven."""
    data = member.cluster.data
    if is_paused(member) is wanted:
        return False
    if check_mode:
        return True
    try:
        member.ask(f"SELECT repmgr.repmgrd_pause({str(wanted).lower()})", repmgr_database(data))
    except ServerError as exc:
        raise MemberError(f"repmgrd of {data} cannot be told to {_WORDS[wanted]}: {exc}") from exc
    if is_paused(member) is not wanted:
        raise MemberError(
            f"repmgrd of {data} was told to {_WORDS[wanted]}, and its server does not say so: shared_preload_libraries"
            " needs repmgr"
        )
    return True
