# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which repository's lists decide how much a host knows of its updates."""

from __future__ import annotations

import pytest
from ansible_collections.day2.ops.plugins.module_utils.errors import Undetermined
from ansible_collections.day2.ops.plugins.module_utils.packages.lists import (
    Looks,
    Repository,
    configured,
    oldest,
    read_release,
)

DAY = 86400.0
# 2026-11-30 08:00:00 UTC
NOW = 1796025600.0
MAIN = """Origin: Debian
Label: Debian
Suite: stable
Version: 12.11
Codename: bookworm
Date: Sat, 17 May 2025 09:13:24 UTC
Acquire-By-Hash: yes
SHA256:
 0123 1 main/binary-amd64/Packages
"""
SECURITY = """-----BEGIN PGP SIGNED MESSAGE-----
Hash: SHA512

Origin: Debian
Label: Debian-Security
Suite: stable-security
Codename: bookworm-security
Date: Sun, 29 Nov 2026 20:00:00 UTC
Valid-Until: Sun, 06 Dec 2026 20:00:00 UTC
"""
UBUNTU = "Origin: Ubuntu\nLabel: Ubuntu\nSuite: jammy\nCodename: jammy\nDate: Thu, 21 Apr 2022 17:16:08 UTC\n"
MADE = {"main": 1747473204.0, "ubuntu": 1650561368.0, "security": 1795982400.0}


@pytest.mark.parametrize(
    ("text", "name", "listed", "steady"),
    [
        (MAIN, "http://deb.example/debian", MADE["main"], True),
        (UBUNTU, "http://archive.example/ubuntu", MADE["ubuntu"], True),
        # The time of its list is not that of its making: that is when somebody looked.
        (MAIN, "http://deb.example/debian", NOW - 20 * DAY, False),
        (SECURITY, "http://security.example/debian", MADE["security"], False),
        (MAIN.replace("stable\n", "stable-updates\n"), "http://deb.example/debian", MADE["main"], False),
        (UBUNTU.replace("jammy\n", "jammy-security\n"), "http://archive.example/ubuntu", MADE["ubuntu"], False),
        ("", "http://deb.example/flat", NOW, False),
        ("Origin: Lab\n", "http://deb.example/flat", NOW, False),
        ("Date: never\n", "http://deb.example/flat", NOW, False),
    ],
)
def test_repositories_that_may_be_old(text: str, name: str, listed: float, steady: bool) -> None:
    found = read_release(name, text, listed)
    assert (found.steady, found.listed) == (steady, listed)


def test_how_long_a_release_is_valid() -> None:
    assert read_release("x", SECURITY, NOW).valid_until == MADE["security"] + 7 * DAY
    assert read_release("x", MAIN, NOW).valid_until is None


FRESH = Repository("fresh", NOW - 3600)
OLD = Repository("old", NOW - 20 * DAY)
STEADY = Repository("steady", NOW - 400 * DAY, steady=True)
WRITTEN = Repository("written", NOW - 120 * DAY, steady=True, written=NOW - 90 * DAY)
OVER = Repository("over", NOW - 30 * DAY, steady=True, valid_until=NOW - 23 * DAY)
VALID = Repository("valid", NOW - 6 * DAY, steady=True, valid_until=NOW + DAY)


@pytest.mark.parametrize(
    ("repositories", "looks", "days", "name"),
    [
        ([FRESH], Looks(NOW), 1 / 24, "fresh"),
        ([FRESH, OLD], Looks(NOW), 20, "old"),
        ([OLD, FRESH], Looks(NOW), 20, "old"),
        ([FRESH, STEADY], Looks(NOW), 1 / 24, "fresh"),
        # Nobody has looked at all.
        ([STEADY], Looks(NOW - 9 * DAY), 9, "steady"),
        ([FRESH, STEADY], Looks(NOW - 9 * DAY), 9, "steady"),
        ([STEADY], Looks(), 400, "steady"),
        ([WRITTEN], Looks(any=NOW - 90 * DAY + 60), 90, "written"),
        # Its list was written a moment ago, when all were looked at.
        (
            [FRESH, Repository("new", NOW - 400 * DAY, steady=True, written=NOW - 1800)],
            Looks(any=NOW - 60),
            1 / 24,
            "fresh",
        ),
        ([FRESH, WRITTEN], Looks(NOW - 2 * DAY, NOW), 2, "written"),
        # One that is older for certain decides.
        ([Repository("older", NOW - 95 * DAY), WRITTEN], Looks(any=NOW), 95, "older"),
        ([FRESH, OVER], Looks(NOW), 30, "over"),
        ([FRESH, VALID], Looks(NOW), 1 / 24, "fresh"),
        ([Repository("made later", NOW + DAY)], Looks(NOW), 0, "made later"),
    ],
)
def test_the_oldest_that_counts_decides(repositories: list[Repository], looks: Looks, days: float, name: str) -> None:
    age, found = oldest(repositories, looks, NOW)
    assert (age, found) == (pytest.approx(days * DAY), name)


@pytest.mark.parametrize(
    ("repositories", "words"),
    [
        ([], "this host has no package lists"),
        ([Repository("a", None)], "this host has no package lists"),
        ([FRESH, Repository("http://gone.example", None)], "lists of http://gone.example were never read"),
    ],
)
def test_what_was_never_read_is_unknown(repositories: list[Repository], words: str) -> None:
    with pytest.raises(Undetermined, match=words):
        oldest(repositories, Looks(NOW), NOW)


@pytest.mark.parametrize(
    ("repositories", "looks"),
    [
        ([WRITTEN], Looks(any=NOW)),
        ([FRESH, WRITTEN], Looks(any=NOW)),
        ([FRESH, WRITTEN, OLD], Looks(any=NOW - 5 * DAY)),
        ([FRESH, WRITTEN], Looks(NOW - 100 * DAY, NOW)),
    ],
)
def test_other_repositories_say_nothing_of_one_that_publishes_seldom(
    repositories: list[Repository], looks: Looks
) -> None:
    with pytest.raises(
        Undetermined, match="when written was last looked at is not known: its list was written 90 d ago"
    ):
        oldest(repositories, looks, NOW)


def test_repositories_that_apt_names() -> None:
    lists = {
        "http://deb.example/debian/dists/bookworm/InRelease": "deb.example_debian_dists_bookworm_InRelease",
        "http://deb.example/debian/dists/bookworm/main/binary-amd64/Packages.xz": "deb.example_binary-amd64_Packages",
        "file:/root/r/main/./InRelease": "_root_r_main_._InRelease",
        "http://127.0.0.1:8099/sec/./Release": "127.0.0.1:8099_sec_._Release",
    }
    text = "".join(f"'{address}' {name} 0 \n" for address, name in lists.items())
    assert configured(text) == {
        "deb.example_debian_dists_bookworm": "http://deb.example/debian/dists/bookworm",
        "_root_r_main_.": "file:/root/r/main",
        "127.0.0.1:8099_sec_.": "http://127.0.0.1:8099/sec",
    }
    assert configured("") == {}
