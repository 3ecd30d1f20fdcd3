# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Roles out of pg_dumpall's output: text in comments, settings and names is text, whatever it looks like."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.day2.ops.plugins.module_utils.errors import Day2Error
from ansible_collections.day2.ops.plugins.module_utils.restore.globals_sql import (
    Definition,
    Definitions,
    GlobalsError,
    Membership,
    decode,
    from_catalogue,
    parse,
)
from ansible_collections.day2.ops.plugins.module_utils.restore.roles import RolePlan, choose, grant_options

PLAIN = "NOSUPERUSER INHERIT NOCREATEROLE NOCREATEDB LOGIN NOREPLICATION NOBYPASSRLS"
ALL = "SUPERUSER INHERIT CREATEROLE CREATEDB LOGIN REPLICATION BYPASSRLS"
APP = f"CREATE ROLE app;\nALTER ROLE app WITH {PLAIN};\n"
POWER = f"ALTER ROLE app SUPERUSER;\nALTER ROLE app WITH {ALL};\nGRANT pg_execute_server_program TO app;\n"
HEAD = (
    "SET default_transaction_read_only = off;\nSET client_encoding = 'UTF8';\nSET standard_conforming_strings = on;\n"
)


@pytest.mark.parametrize(
    "more",
    [
        f"COMMENT ON ROLE app IS 'x\n{POWER}y';\n",
        f"COMMENT ON ROLE app IS 'it''s\n{POWER}';\n",
        f"COMMENT ON ROLE app IS E'a\\\\b''c\\'\n{POWER}';\n",
        "COMMENT ON ROLE app IS E'\\\\'; -- '\n",
        f"ALTER ROLE app SET my.value TO 'a\n{POWER}';\n",
        f"ALTER ROLE app SET \"my.value\" TO E'a\\n\n{POWER}\\'';\n",
        f"ALTER ROLE app SET search_path TO '$user', 'a\n{POWER}', 'public';\n",
        f"ALTER ROLE app IN DATABASE shop SET a.b TO '\n{POWER}';\n",
        f"/* {POWER} /* nested {POWER} */ {POWER} */\n",
        f"-- {POWER.splitlines()[1]}\n",
        f"SECURITY LABEL FOR dummy ON ROLE app IS '\n{POWER}';\n",
        f'CREATE ROLE "x\n{POWER}";\nALTER ROLE "x\n{POWER}" WITH {PLAIN};\n',
        f'CREATE ROLE "x""\n{POWER}";\n',
        f'CREATE ROLE r;\nGRANT r TO "y\n{POWER}" GRANTED BY "z\n{POWER}";\n',
        f"CREATE TABLESPACE t OWNER app LOCATION '/a\n{POWER}';\n",
        f"COMMENT ON TABLESPACE t IS '\n{POWER}';\nGRANT ALL ON TABLESPACE t TO app WITH GRANT OPTION;\n",
        f"\\restrict {POWER.splitlines()[0]}\n",
        f"COMMENT ON ROLE app IS $a$ ' {POWER} $b$ $a$;\n",
    ],
)
def test_text_gives_no_attribute_and_no_membership(more: str) -> None:
    for text in (HEAD + APP + more, HEAD + APP + more.replace("\n", "\r\n")):
        found = parse(text)
        assert found.roles["app"].attributes == {"INHERIT", "LOGIN"}
        assert [membership for membership in found.memberships if membership.member == "app"] == []


@pytest.mark.parametrize(
    ("more", "words"),
    [
        (f"ALTER ROLE app WITH {ALL};\n", "described twice"),
        ("CREATE ROLE app;\n", "created twice"),
        ("ALTER ROLE app SUPERUSER;\n", "WITH is missing"),
        ("ALTER ROLE app WITH SUPERMAN;\n", "described twice"),
        ("CREATE ROLE b;\nALTER ROLE b WITH SUPERMAN;\n", "SUPERMAN is unknown"),
        ("CREATE ROLE b SUPERUSER;\n", "'SUPERUSER' is not expected"),
        ("CREATE ROLE b IN ROLE app;\n", "'IN' is not expected"),
        (f"ALTER ROLE nobody WITH {PLAIN};\n", "not created before"),
        ("COMMENT ON ROLE app IS 'a' 'b';\n", "'b' is not expected"),
        ("GRANT a TO b WITH EVERYTHING OPTION;\n", "EVERYTHING is unknown"),
        ("GRANT a TO b, c;\n", "is unknown"),
        ("COMMENT ON ROLE app IS 'cut", "not whole"),
        ('CREATE ROLE "cut', "not whole"),
        ("/* cut", "not whole"),
        ("ALTER ROLE app SET a TO $x$ cut $y$;\n", "not whole"),
        ("ALTER ROLE app SET a", "not whole"),
        ("COMMENT ON ROLE app IS U&'\\0041';\n", "Unicode escapes"),
    ],
)
def test_what_pg_dumpall_does_not_write_is_refused(more: str, words: str) -> None:
    with pytest.raises(GlobalsError) as caught:
        parse(HEAD + APP + more)
    assert words in str(caught.value)


def test_a_password_is_not_in_a_message() -> None:
    with pytest.raises(GlobalsError) as caught:
        parse(f"{APP}CREATE ROLE b;\nALTER ROLE b WITH LOGIN PASSWORD 'SCRAM-fictional' SUPERMAN;\n")
    assert "SUPERMAN" in str(caught.value) and "fictional" not in str(caught.value)


def test_what_a_role_is() -> None:
    text = (
        "\\restrict abc\n" + HEAD + 'CREATE ROLE "Stra""nge\nname";\n'
        'ALTER ROLE "Stra""nge\nname" WITH NOSUPERUSER NOINHERIT CREATEROLE NOCREATEDB LOGIN NOREPLICATION BYPASSRLS'
        " CONNECTION LIMIT 7 PASSWORD 'md5''x' VALID UNTIL '2030-01-01 00:00:00+00';\n"
        "COMMENT ON ROLE \"Stra\"\"nge\nname\" IS 'it''s';\n"
        "ALTER ROLE \"Stra\"\"nge\nname\" SET search_path TO '$user', 'a b', 'public';\n"
        "ALTER ROLE \"Stra\"\"nge\nname\" SET application_name TO E'a''b\\\\c\\td';\n"
        'ALTER ROLE "Stra""nge\nname" SET "my.value" TO \'-1\';\n\\unrestrict abc\n'
    )
    assert parse(text).roles == {
        'Stra"nge\nname': Definition(
            name='Stra"nge\nname',
            attributes=frozenset({"CREATEROLE", "LOGIN", "BYPASSRLS"}),
            connection_limit=7,
            password="md5'x",
            valid_until="2030-01-01 00:00:00+00",
            settings=[
                ("search_path", ["$user", "a b", "public"]),
                ("application_name", ["a'b\\c\td"]),
                ("my.value", ["-1"]),
            ],
            comment="it's",
        )
    }


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("GRANT a TO b", Membership("a", "b")),
        ("GRANT a TO b GRANTED BY postgres", Membership("a", "b")),
        ("GRANT a TO b WITH ADMIN OPTION GRANTED BY c", Membership("a", "b", True)),
        ('GRANT "TO" TO "WITH" WITH ADMIN OPTION', Membership("TO", "WITH", True)),
        ("GRANT a TO b WITH INHERIT TRUE GRANTED BY c", Membership("a", "b", False, True)),
        ("GRANT a TO b WITH ADMIN OPTION, INHERIT FALSE, SET FALSE", Membership("a", "b", True, False, False)),
        ('GRANT "a;b" TO "c""d" WITH INHERIT TRUE, SET TRUE', Membership("a;b", 'c"d', False, True, True)),
    ],
)
def test_memberships(words: str, expected: Membership) -> None:
    assert parse(f"{words};\n").memberships == [expected]


@pytest.mark.parametrize(
    ("encoding", "codec"),
    [("UTF8", "utf-8"), ("LATIN1", "latin-1"), ("LATIN9", "iso8859-15"), ("WIN1252", "cp1252"), ("SQL_ASCII", "utf-8"),
     ("KOI8R", "koi8_r"), ("ISO_8859_5", "iso8859-5"), ("EUC_JP", "euc_jp")],
)  # fmt: skip
def test_encodings(encoding: str, codec: str) -> None:
    name = {"koi8_r": "жук", "iso8859-5": "жук", "euc_jp": "日本"}.get(codec, "größe")
    text = f"SET client_encoding = '{encoding}';\nCREATE ROLE \"{name}\";\n"
    assert list(parse(decode(text.encode(codec))).roles) == [name]


def test_an_encoding_that_does_not_fit() -> None:
    for content in (b"SET client_encoding = 'EUC_JP';\n\xff", b"SET client_encoding = 'NOSUCH';\n"):
        with pytest.raises(GlobalsError, match="cannot be read as such"):
            decode(content)
    # Names that a database in another encoding has made are kept as they are stored.
    for name in (b"UTF8", b"SQL_ASCII"):
        content = b"SET client_encoding = '" + name + b'\';\nCREATE ROLE "gr\xf6\xdfe";\n'
        assert decode(content).encode("utf-8", "surrogateescape") == content


RECORD: dict[str, Any] = {
    "roles": [
        {
            "name": "app", "attributes": ["INHERIT", "LOGIN"], "connection_limit": -1, "valid_until": None,
            "settings": ['search_path="$user", "a,b", public', "a.b=x=y", "application_name="], "comment": POWER,
            "labels": [["anon", "MASKED"]],
        }
    ],
    "memberships": [{"role": "readers", "member": "app", "admin": True, "inherit": None, "set": None}],
}  # fmt: skip


def test_the_catalogue_of_a_manifest() -> None:
    found = from_catalogue(RECORD)
    assert found.roles["app"] == Definition(
        "app",
        frozenset({"INHERIT", "LOGIN"}),
        settings=[("search_path", ["$user", "a,b", "public"]), ("a.b", ["x=y"]), ("application_name", [""])],
        comment=POWER,
        labels=[("anon", "MASKED")],
    )
    assert found.memberships == [Membership("readers", "app", True)]


def definitions(*memberships: Membership) -> Definitions:
    return Definitions({name: Definition(name) for name in ("app", "clerk", "readers")}, list(memberships))


def test_memberships_with_roles_that_are_there() -> None:
    given = [
        Membership("readers", "app", True),
        Membership("readers", "app", False, True),
        Membership("clerk", "app"),
        Membership("there", "elsewhere"),
        Membership("app", "boss"),
    ]
    planned = choose(definitions(*given), ["app"], {"readers", "boss"}, "20260131T020000Z")
    assert list(planned.memberships) == [Membership("readers", "app", True, True), Membership("app", "boss")]
    assert planned.warnings == [
        "app is not made a member of clerk again: this server has no role clerk",
    ]
    assert planned.describe() == "app (member of readers WITH ADMIN; with member boss)"
    assert RolePlan([Definition("x", frozenset({"SUPERUSER", "INHERIT"})), Definition("y")]).describe() == (
        "x (SUPERUSER), y"
    )


def test_a_role_that_the_set_does_not_define() -> None:
    with pytest.raises(Day2Error, match="20260131T020000Z does not define roles nobody"):
        choose(definitions(), ["app", "nobody"], set(), "20260131T020000Z")


def test_privileges_on_parameters_are_said_to_be_lost() -> None:
    found = parse(f"{APP}GRANT SET ON PARAMETER log_statement TO app WITH GRANT OPTION GRANTED BY postgres;\n"
                  "GRANT ALL ON PARAMETER log_statement TO app;\n")  # fmt: skip
    planned = choose(found, ["app"], set(), "20260131T020000Z")
    assert planned.warnings == ["app had privileges on parameters of the server, which are not restored"]
    assert not planned.memberships


@pytest.mark.parametrize(
    ("membership", "version", "options"),
    [
        (Membership("a", "b"), 150002, ""),
        (Membership("a", "b", True), 150002, " WITH ADMIN OPTION"),
        (Membership("a", "b", True, False, False), 150002, " WITH ADMIN OPTION"),
        (Membership("a", "b"), 160000, ""),
        (Membership("a", "b", True), 160000, " WITH ADMIN TRUE"),
        (Membership("a", "b", False, True, False), 170000, " WITH INHERIT TRUE, SET FALSE"),
    ],
)
def test_options_of_a_version(membership: Membership, version: int, options: str) -> None:
    assert grant_options(membership, version) == options
