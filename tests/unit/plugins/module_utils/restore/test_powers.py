# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Roles of a server and of a set that have a name in common: no restored role gains rights by that."""

from __future__ import annotations

import pytest
from ansible_collections.day2.ops.plugins.module_utils.restore.globals_sql import parse
from ansible_collections.day2.ops.plugins.module_utils.restore.powers import Here
from ansible_collections.day2.ops.plugins.module_utils.restore.roles import choose

NAMES = ("app", "boss", "clerk", "ops", "team", "postgres")
POWERS = ("SUPERUSER", "CREATEROLE", "REPLICATION", "BYPASSRLS", "CREATEDB")
SUPER = "SUPERUSER"


def source(attributes: dict[str, str], *memberships: str) -> str:
    """As pg_dumpall writes it; `app in ops` is a membership."""
    lines = [f"CREATE ROLE {name};" for name in NAMES]
    for name in NAMES:
        has = attributes.get(name, "").split()
        words = [word if word in has else f"NO{word}" for word in POWERS]
        lines.append(f"ALTER ROLE {name} WITH {' '.join(words)};")
    for membership in memberships:
        member, role = membership.split(" in ")
        lines.append(f"GRANT {role} TO {member} GRANTED BY postgres;")
    return "\n".join([*lines, ""])


def gains(text: str, wanted: str, here: dict[str, str], same_cluster: bool) -> list[str]:
    """`here` has powers of every role of the server."""
    powers = {name: frozenset(words.split()) for name, words in here.items() if words}
    there = {*here, "pg_monitor", "pg_write_server_files"}
    return list(choose(parse(text), wanted.split(), there, "set", Here(powers, same_cluster)).gains)


@pytest.mark.parametrize("same_cluster", [True, False])
@pytest.mark.parametrize(
    ("text", "wanted", "here", "words"),
    [
        (source({}, "app in ops"), "app", {"ops": SUPER}, "app would become a member of ops, which has SUPERUSER on"),
        (source({}, "app in ops"), "app", {"ops": "CREATEROLE BYPASSRLS"}, "which has BYPASSRLS, CREATEROLE on this"),
        (source({}, "app in ops"), "app", {"ops": "REPLICATION"}, "REPLICATION on this server and not in the set"),
        (source({"ops": "CREATEROLE"}, "app in ops"), "app", {"ops": "CREATEROLE REPLICATION"}, "has REPLICATION on"),
        (source({"ops": "CREATEROLE"}, "app in ops"), "app", {"ops": SUPER}, "ops, which has SUPERUSER"),
        (source({}, "app in ops"), "app", {"ops": "pg_write_server_files"}, "has pg_write_server_files on this"),
        (source({}, "app in team", "team in ops"), "app team", {"ops": SUPER}, "team would become a member of ops"),
        (source({}, "app in postgres"), "app", {"postgres": SUPER}, "member of postgres"),
    ],
)
def test_a_made_role_gains_by_a_name(
    text: str, wanted: str, here: dict[str, str], words: str, same_cluster: bool
) -> None:
    (gain,) = gains(text, wanted, here, same_cluster)
    assert words in gain


@pytest.mark.parametrize("same_cluster", [True, False])
@pytest.mark.parametrize(
    ("text", "wanted", "here"),
    [
        (source({}, "app in ops"), "app", {"ops": ""}),
        (source({"ops": SUPER}, "app in ops"), "app", {"ops": SUPER}),
        (source({"ops": SUPER}, "app in ops"), "app", {"ops": "CREATEROLE"}),
        (source({"app": SUPER}, "app in ops"), "app", {"ops": SUPER}),
        (source({"ops": SUPER}, "app in team", "team in ops"), "app", {"team": SUPER}),
        (source({"postgres": SUPER}, "app in postgres"), "app", {"postgres": SUPER}),
        (source({}, "app in pg_write_server_files"), "app", {"pg_write_server_files": "pg_write_server_files"}),
        (source({}, "app in ops", "ops in pg_write_server_files"), "app", {"ops": "pg_write_server_files"}),
        (source({}, "app in pg_monitor"), "app", {"pg_monitor": ""}),
        (source({"ops": "CREATEDB"}, "app in ops"), "app ops", {}),
        (source({"boss": SUPER}, "clerk in boss"), "boss", {"clerk": SUPER}),
        (source({}, "clerk in boss"), "boss", {"clerk": ""}),
        (source({"boss": SUPER}, "clerk in boss"), "boss clerk", {}),
        (source({}, "clerk in ops"), "app", {"clerk": "", "ops": SUPER}),
    ],
)
def test_what_the_set_gives_is_no_gain(text: str, wanted: str, here: dict[str, str], same_cluster: bool) -> None:
    assert gains(text, wanted, here, same_cluster) == []


@pytest.mark.parametrize(
    ("text", "wanted", "words"),
    [
        (source({"boss": SUPER}, "clerk in boss"), "boss", "member of boss, which is made with SUPERUSER"),
        (source({"boss": "BYPASSRLS"}, "clerk in boss"), "boss", "made with BYPASSRLS"),
        (source({}, "clerk in boss", "boss in pg_write_server_files"), "boss", "made with pg_write_server_files"),
        (source({"team": SUPER}, "clerk in boss", "boss in team"), "boss team", "boss, which is made with SUPERUSER"),
    ],
)
def test_a_role_of_another_server_gains_by_a_made_one(text: str, wanted: str, words: str) -> None:
    (gain,) = gains(text, wanted, {"clerk": ""}, same_cluster=False)
    assert gain.startswith("clerk of this server would become") and words in gain
    # In the same cluster it is the role that had it.
    assert gains(text, wanted, {"clerk": ""}, same_cluster=True) == []
