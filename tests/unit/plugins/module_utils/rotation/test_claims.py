# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Patterns of paths compared, and logrotate's configuration read as it reads it."""

from __future__ import annotations

from fnmatch import fnmatchcase
from pathlib import Path

import pytest
from ansible_collections.day2.ops.plugins.module_utils.rotation import claims, entries, globs
from hypothesis import given
from hypothesis import strategies as some


@pytest.mark.parametrize(
    ("one", "other", "both"),
    [
        ("/var/log/app.log", "/var/log/app.log", True),
        ("/var/log/*.log", "/var/log/app*", True),
        ("/var/log/*.log", "/var/log/x/y.log", False),
        ("/var/log/*/*.log", "/var/log/nginx/access.log", True),
        ("/var/log/*.log", "/var/log/*.err", False),
        ("/a/[a-c]x", "/a/[!a-c]x", False),
        ("/a/[a-c]x", "/a/[c-d]x", True),
        ("/a/?", "/a/bc", False),
        ("/a/*b*", "/a/*c*", True),
        ("/a/[x", "/a/[x", True),
    ],
)
def test_patterns_that_a_path_can_both_match(one: str, other: str, both: bool) -> None:
    for first, second in ((one, other), (other, one)):
        assert globs.meet(first, second) is both


_PIECES = some.lists(some.sampled_from(["a", "b", "*", "?", "[ab]", "[!a]"]), max_size=5).map("".join)


@given(_PIECES, _PIECES, some.text("ab", max_size=6))
def test_what_matches_both_is_never_denied(one: str, other: str, text: str) -> None:
    if fnmatchcase(text, one) and fnmatchcase(text, other):
        assert globs.meet(one, other)


@pytest.mark.parametrize(
    ("pattern", "own"),
    [
        ("/a/*", True), ("/a/app.log*", True), ("/a/app*[0-9]", True), ("/a/*.zst", True), ("/a/*.age", True),
        ("/a/*.log", False), ("/a/app.log", False), ("/a/app?.log", False), ("/a/*-?", False), ("/a/*/x.log", False),
    ],
)  # fmt: skip
def test_patterns_that_match_their_own_pieces(pattern: str, own: bool) -> None:
    assert globs.own_piece(pattern) is own


def test_a_file_as_logrotate_reads_it() -> None:
    found = entries.parse(
        "# c {\nweekly\n"
        '"/var/log/a b.log" /var/log/c\\ d.log\n# /x/not.log {\n\'/x/"y".log\'\n{\n  daily\n  postrotate\n'
        '     echo "}" /z {\n  endscript\n}\n/var/log/one { missingok notifempty }\n'
        "create 0644 root root\ninclude /etc/logrotate.d\ntabooext + .foo,.bar\n"
    )
    assert [entry.patterns for entry in found.entries] == [
        ("/var/log/a b.log", "/var/log/c d.log", '/x/"y".log'),
        ("/var/log/one",),
    ]
    assert [entry.line for entry in found.entries] == [3, 12]
    assert found.steps == [("include", "/etc/logrotate.d"), ("tabooext", "+ .foo,.bar")]
    assert "create" in found.common and "daily" not in found.common


@pytest.mark.parametrize(
    "text", ["/a/b\n", "/a {\n daily\n", "}\n", "/a {\n/b {\n}\n", "/a } {\n}", "/a {\n postrotate\n x\n}\n"]
)
def test_what_logrotate_would_skip(text: str) -> None:
    with pytest.raises(entries.SyntaxFault):
        entries.parse(text)


@pytest.mark.parametrize("name", ["/a/b.log", "/a/b c.log", 'say "hi".log', "it's", "back\\slash", 'x\\".log', "%d"])
def test_a_word_is_read_as_it_was_written(name: str) -> None:
    assert entries.words(entries.quoted(name)) == (name,)


def write(folder: Path, **files: str) -> str:
    (folder / "d").mkdir()
    for name, text in files.items():
        (folder / "d" / name.replace("__", ".")).write_text(text)
    main = folder / "logrotate.conf"
    main.write_text(f"weekly\ninclude {folder}/d\n/var/log/main.log {{\n}}\n")
    return str(main)


def claimed(main: str, *paths: str) -> list[tuple[str, str]]:
    return [(Path(claim.file).name, claim.pattern) for claim in claims.find(paths, claims.read(main), "")]


def test_entries_of_other_files(tmp_path: Path) -> None:
    main = write(
        tmp_path, app="/var/log/app/*.log {\n}\n", old__bak="/var/log/app/x.log {\n}\n", broken="/var/log/app/y.log\n"
    )
    assert claimed(main, "/var/log/app/x.log") == [("app", "/var/log/app/*.log")]
    assert claimed(main, "/var/log/main.log") == [("logrotate.conf", "/var/log/main.log")]
    assert claimed(main, "/var/log/other.log") == []


def test_the_same_file_by_another_way(tmp_path: Path) -> None:
    (tmp_path / "logs").mkdir()
    (tmp_path / "logs" / "x.log").touch()
    (tmp_path / "link").symlink_to("logs")
    main = write(tmp_path, app=f"{tmp_path}/link/*.log {{\n}}\n")
    assert claimed(main, f"{tmp_path}/logs/x.log") == [("app", f"{tmp_path}/link/*.log")]


def test_what_is_left_of_a_file_that_is_taken(tmp_path: Path) -> None:
    text = "/var/log/syslog\n/var/log/mail.log\n{\n  weekly\n}\n/var/log/cron.log {\n}\n"
    main = write(tmp_path, rsyslog=text)
    change = claims.plan(["/var/log/syslog", "/var/log/cron.log"], [f"{tmp_path}/d/rsyslog"], [f"{tmp_path}/d"])
    assert change.take == [f"{tmp_path}/d/rsyslog"] and not change.give_back
    (rest,) = list(change.write.values())
    assert [entry.patterns for entry in entries.parse(rest).entries] == [("/var/log/mail.log",)] and "weekly" in rest
    # As it is once that is done; a second run has nothing to do, and it goes back with the last policy.
    (tmp_path / "d" / "rsyslog").rename(tmp_path / "d" / f"rsyslog{claims.TAKEN}")
    (tmp_path / "d" / "day2.rsyslog").write_text(rest)
    assert claimed(main, "/var/log/syslog") == [] and claimed(main, "/var/log/mail.log")[0][0] == "day2.rsyslog"
    assert not claims.plan(["/var/log/syslog", "/var/log/cron.log"], [], [f"{tmp_path}/d"])
    fewer = claims.plan(["/var/log/syslog"], [], [f"{tmp_path}/d"])
    assert "/var/log/cron.log" in next(iter(fewer.write.values())) and not fewer.give_back
    last = claims.plan(["/var/log/app.log"], [], [f"{tmp_path}/d"])
    assert last.give_back == [f"{tmp_path}/d/rsyslog"] and last.remove == [f"{tmp_path}/d/day2.rsyslog"]
