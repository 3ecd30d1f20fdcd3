# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Places that are not cleaned up, and a clean-up that is refused half-way."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.day2.ops.plugins.module_utils.upkeep import cleanup


@pytest.mark.parametrize("directory", ["/var/lib/postgresql", "/usr/local/share", "/etc/logrotate.d", "/var/lib/x/y/z"])
def test_no_age_counts_where_packages_and_databases_live(directory: str) -> None:
    with pytest.raises(cleanup.CleanupError, match="lies below"):
        cleanup.refuse(directory)


@pytest.mark.parametrize("marker", ["PG_VERSION", "ibdata1", "dump.rdb", "appendonlydir", "backup.info"])
def test_a_store_is_known_from_above_and_from_within(tmp_path: Path, marker: str) -> None:
    inner = tmp_path / "a" / "store" / "base"
    inner.mkdir(parents=True)
    beside = tmp_path / "a" / "logs"
    beside.mkdir()
    (tmp_path / "a" / "store" / marker).touch()
    cleanup.refuse_stores(str(beside))
    for directory in (inner, inner.parent, tmp_path / "a"):
        with pytest.raises(cleanup.CleanupError, match=marker):
            cleanup.refuse_stores(str(directory))


def test_a_file_that_stays_does_not_hide_those_that_went(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "logs"
    folder.mkdir()
    for name in ("a.log.1", "b.log.1", "c.log.1"):
        (folder / name).write_text("x")
    real = os.unlink

    def unlink(name: str, **where: Any) -> None:
        if name == "b.log.1":
            raise PermissionError(1, "Operation not permitted", name)
        real(name, **where)

    monkeypatch.setattr(os, "unlink", unlink)
    now = os.stat(folder / "a.log.1").st_mtime + 100
    wanted = cleanup.Wanted([str(folder)], ("*.log.*",), 10)
    removed = cleanup.clean(wanted, now, only_look=False, policies=[])
    assert [os.path.basename(path) for path in removed.paths] == ["a.log.1", "c.log.1"]
    assert removed.refused == [f"{folder}/b.log.1: Operation not permitted"]
    told = cleanup.outcome(removed, wanted, planning=False)
    assert told["status"] == "warning" and told["evidence"][0].startswith("not removed: ")


AUDIT = [
    "/var/log/audit/audit.log.1", "/var/log/audit/audit.log.12.gz", "/var/log/shop/audit-2026-01-01.log.gz",
    "/var/log/shop/AUDIT.LOG.3", "/var/log/shop/access_audit.log.1", "/var/log/shop/pgaudit.log.2.gz",
    "/var/log/auth.log.4.gz", "/var/log/secure-20260101", "/var/log/secure.1", "/var/log/wtmp.1", "/var/log/btmp.1",
    "/var/log/lastlog", "/var/log/faillog.1", "/var/log/sudo.log.1", "/var/log/sudo-io/00/00/01/log.1",
    "/var/log/shop/security.log.2", "/var/log/shop/login.log.1", "/var/log/shop/audits/2026.log.1",
    "/srv/shop/audit_trail/events.log.7", "/var/log/shop/audit.2026.log.1", "/var/log/kube-apiserver/audit-2026.log.1",
    "/var/log/shop/admin-audit.log-20260101.gz", "/var/log/aide/aide.log.1", "/var/log/authpriv.log.1",
]  # fmt: skip
PLAIN = [
    "/var/log/shop/app.log.1", "/var/log/nginx/access.log.2.gz", "/var/log/shop/author.log.1",
    "/srv/login-service/logs/app.log.1", "/var/log/shop/secured-by-tls.log.1", "/var/log/syslog.3.gz",
    "/srv/saudi-shop/app.log.1",
]  # fmt: skip


@pytest.mark.parametrize("path", AUDIT)
def test_audit_files_are_known_by_their_names(path: str) -> None:
    assert cleanup.is_audit(path)


@pytest.mark.parametrize("path", PLAIN)
def test_logs_of_other_names_are_no_audit_files(path: str) -> None:
    assert not cleanup.is_audit(path)


@pytest.mark.parametrize("pattern", ["*", "*.log.*", "*.gz", "audit*"])
def test_no_pattern_removes_an_audit_file(tmp_path: Path, pattern: str) -> None:
    folder = tmp_path / "logs"
    (folder / "audit").mkdir(parents=True)
    names = ["audit.log.1", "audit.log.2.gz", "auth.log.1", "audit/x.log.1"]
    for name in (*names, "app.log.1", "app.log.2.gz"):
        (folder / name).write_text("x")
    now = os.stat(folder / "app.log.1").st_mtime + 100
    wanted = cleanup.Wanted([str(folder)], (pattern,), 10)
    removed = cleanup.clean(wanted, now, only_look=False, policies=[])
    assert all((folder / name).exists() for name in names)
    assert {os.path.basename(path) for path in removed.paths} <= {"app.log.1", "app.log.2.gz"}
    outcome = cleanup.outcome(removed, wanted, planning=False)
    assert f"audit files stay ({len(removed.audit)})" in outcome["message"] and removed.audit
