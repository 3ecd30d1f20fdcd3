# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Updates by the lists of several repositories, with a real apt."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

MAKE = r"""set -e
make() { # repository package label suite date
  mkdir -p /root/repos/$1/pool && cd /root/repos/$1
  printf 'Package: %s\nVersion: 9999\nArchitecture: amd64\nMulti-Arch: foreign\n' $2 > head
  mkdir -p b/DEBIAN; (cat head; printf 'Maintainer: x <x@example.com>\nDescription: x\n') > b/DEBIAN/control
  dpkg-deb -b b pool/$2.deb > /dev/null
  (cat head; printf 'Filename: pool/%s.deb\nSize: %s\nSHA256: %s\nDescription: x\n' \
    $2 $(stat -c %s pool/$2.deb) $(sha256sum pool/$2.deb | cut -d' ' -f1)) > Packages
  printf 'Origin: Lab\nLabel: %s\nSuite: %s\nCodename: %s\nDate: %s\n' $3 $4 $1 "$5" > Release
  printf 'SHA256:\n %s %s Packages\n' $(sha256sum Packages | cut -d' ' -f1) $(stat -c %s Packages) >> Release
  touch -d "$5" Release Packages
}
make main tzdata Debian stable "$(LC_ALL=C date -u -d '90 days ago' '+%a, %d %b %Y %H:%M:%S UTC')"
make sec sed Debian-Security stable-security "$(LC_ALL=C date -u '+%a, %d %b %Y %H:%M:%S UTC')"
mkdir -p /root/apt; find /etc/apt -maxdepth 1 -name 'sources.list*' -exec mv -t /root/apt {} +
printf 'deb [trusted=yes] file:/root/repos/main ./\ndeb [trusted=yes] file:/root/repos/sec ./\n' \
  > /etc/apt/sources.list
apt-get -q update"""
CLEAN = (
    "apt-mark unhold sed > /dev/null; rm -rf /root/repos /var/lib/apt/lists/* /etc/apt/sources.list;"
    " mkdir -p /root/apt; find /root/apt -mindepth 1 -maxdepth 1 -exec mv -t /etc/apt {} +"
)
CHECKS: list[dict[str, Any]] = [
    {"id": "security", "probe": "packages", "critical": "> 0"},
    {"id": "pending", "probe": "packages", "metric": "pending"},
    {"id": "age", "probe": "packages", "metric": "lists_age"},
]


@pytest.fixture
def repositories(lab_host: Any) -> Iterator[Any]:
    try:
        lab_host.run("bash", "-c", MAKE)
        yield lab_host
    finally:
        lab_host.run("bash", "-c", CLEAN)


def test_updates_of_several_repositories(repositories: Any) -> None:
    host = repositories
    results = host.checks(*CHECKS)
    assert (results["security"]["status"], results["security"]["value"]) == ("critical", 1), results["security"]
    assert "2 updates wait, 1 for security" in results["pending"]["message"]
    # A release that has published nothing for 90 days is as recent as the last look at it.
    assert results["age"]["value"] < 3600, results["age"]

    host.run("apt-mark", "hold", "sed")
    held = host.checks(*CHECKS)["security"]
    assert (held["status"], held["value"]) == ("critical", 1) and "1 on hold (sed)" in held["message"], held
    assert held["evidence"] == [line for line in held["evidence"] if line.endswith("9999 (security) (on hold)")] != []

    # One repository was not looked at for a while, the other one and the folder were.
    host.run("bash", "-c", "touch -d '20 days ago' /var/lib/apt/lists/*_sec_*")
    results = host.checks(*CHECKS)
    assert results["security"]["status"] == results["pending"]["status"] == "unknown", results
    assert "/root/repos/sec are 20 d old" in results["security"]["message"], results["security"]
    assert results["age"]["value"] == pytest.approx(20 * 86400, abs=3600)

    # Lists of a repository that is configured no more do not count.
    host.run("bash", "-c", "sed -i '/sec/d' /etc/apt/sources.list")
    results = host.checks(*CHECKS)
    assert (results["pending"]["status"], results["pending"]["value"]) == ("ok", 1), results["pending"]

    host.run("bash", "-c", "echo 'deb [trusted=yes] file:/root/repos/gone ./' >> /etc/apt/sources.list")
    results = host.checks(*CHECKS)
    assert results["security"]["status"] == "unknown", results["security"]
    assert "/root/repos/gone were never read" in results["security"]["message"]
