# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The collection's archive, built in a checkout in use: what it holds, and that it works where it is installed."""

from __future__ import annotations

import json
import shutil
import subprocess
import tarfile
from pathlib import Path

import pytest
from generate_build_ignore import PACKED
from lab_host import ROOT, ansible

# What people and programs leave in a checkout; each beside or within something that is packed.
USED = (
    "day2-reports/latest/report.html",
    "history.sqlite",
    "inventory.yml",
    "inventories/production/hosts.yml",
    "group_vars/all.yml",
    "venv/bin/python",
    ".venv/bin/python",
    ".lab/demo/id_ed25519",
    ".collections/ansible_collections/x",
    "vault-password",
    "reports/report.json",
    "playbook.yml",
    "playbooks.zip",
    "plugin",
    "docs-old/page.md",
    "doc",
    "roles.bak/x/tasks/main.yml",
    "README.md~",
    "requirements.yml",
    "LICENSE.orig",
    "day2-ops-0.0.1.tar.gz",
    "core",
    "nohup.out",
    "roles/notify/.vault",
    "plugins/modules/__pycache__/checklist.cpython-311.pyc",
    "plugins/modules/checklist.py~",
    "playbooks/daily.retry",
)


@pytest.fixture(scope="module")
def tracked() -> list[str]:
    asked = ["git", "-C", str(ROOT), "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(asked, capture_output=True, text=True, check=True).stdout.split("\0")
    return [name for name in listed if name and (ROOT / name).is_file()]


@pytest.fixture(scope="module")
def archive(tracked: list[str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    checkout, built = tmp_path_factory.mktemp("checkout"), tmp_path_factory.mktemp("built")
    for name in tracked:
        (checkout / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT / name, checkout / name)
    for name in USED:
        (checkout / name).parent.mkdir(parents=True, exist_ok=True)
        (checkout / name).write_text("left here\n")
    done = _galaxy("build", str(checkout), "--output-path", str(built))
    assert done.returncode == 0, done.stderr
    (found,) = built.glob("day2-ops-*.tar.gz")
    return found


def _galaxy(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["ansible-galaxy", "collection", *arguments], capture_output=True, text=True, check=False)


def test_it_holds_the_collection_and_nothing_else(archive: Path, tracked: list[str]) -> None:
    with tarfile.open(archive) as packed:
        files = {member.name for member in packed if member.isfile()}
        folders = {member.name for member in packed if member.isdir()}
    wanted = {name for name in tracked if name.split("/")[0] in PACKED and "/." not in name}
    assert files == wanted | {"MANIFEST.json", "FILES.json"}
    assert folders <= {str(parent) for name in wanted for parent in Path(name).parents} - {"."}


def test_it_is_a_collection_with_all_that_users_read(archive: Path) -> None:
    with tarfile.open(archive) as packed:
        names = set(packed.getnames())
        about = json.load(packed.extractfile("MANIFEST.json"))["collection_info"]  # type: ignore[arg-type]
    assert {"README.md", "LICENSE", "CHANGELOG.md", "meta/runtime.yml", "playbooks/daily.yml"} <= names
    assert {"meta/execution-environment.yml", "requirements.txt", "bindep.txt"} <= names
    assert (about["namespace"], about["name"]) == ("day2", "ops") and not about["license_file"]


def test_a_playbook_of_it_runs_where_it_is_installed(archive: Path, tmp_path: Path) -> None:
    done = _galaxy("install", str(archive), "--no-deps", "--force", "-p", str(tmp_path / "collections"))
    assert done.returncode == 0, done.stderr
    reports = tmp_path / "reports"
    # Neither this checkout's ansible.cfg nor its inventories.
    (tmp_path / "ansible.cfg").write_text(f"[defaults]\ncollections_path = {tmp_path}/collections\n")
    inventory = {"all": {"hosts": {"localhost": {"ansible_connection": "local", "day2_daily_checks": [
        {"id": "disk", "title": "Root file system", "probe": "disk", "path": "/", "critical": "> 100%"}
    ]}}}}  # fmt: skip
    (tmp_path / "inventory.json").write_text(json.dumps(inventory))
    run = ["ansible-playbook", "day2.ops.daily", "-i", str(tmp_path / "inventory.json")]
    run += ["-e", "ansible_python_interpreter={{ ansible_playbook_python }}", "-e", f"day2_report_dir={reports}"]
    ran = ansible(run, ANSIBLE_CONFIG=str(tmp_path / "ansible.cfg"))
    assert ran.returncode == 0, ran.stdout + ran.stderr
    report = reports / "latest" / "report.json"
    (host,) = json.loads(report.read_text())["hosts"]
    assert [result["status"] for result in host["results"]] == ["ok"]
