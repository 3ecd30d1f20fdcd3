# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is sent to a host for a checklist: the probes that it names, and nothing of the others."""

from __future__ import annotations

import base64
import io
import json
import os
import re
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
# The collection's files are sent as a package of the name that the module has.
OWN = re.compile(r"ansible/module_utils/day2_ops_checklist_\w+/")
# KiB of this collection's files, compressed as they are sent. All that checklists may need are 250.
LIMIT = 121.0
ANYWHERE = {"id": "a", "title": "A", "probe": "backup"}
FILES = {"path": "/var/backups/app/*.dump"}
SETS = {"repository": "s3://backups/app"}
STANZA = {"stanza": "main"}


def sent(folder: Path, command: list[str]) -> dict[str, float]:
    """The collection's files in the checklist's module, and their KiB. The checks are only validated."""
    kept = {"ANSIBLE_KEEP_REMOTE_FILES": "1", "ANSIBLE_REMOTE_TEMP": str(folder), "ANSIBLE_REMOTE_TMP": str(folder)}
    done = subprocess.run(command, cwd=ROOT, env={**os.environ, **kept}, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    (module,) = folder.rglob("AnsiballZ_day2_ops_checklist_*.py")
    packed = re.search(r"""(?:zip_data|ZIPDATA) ?= ?["']+([A-Za-z0-9+/=]+)""", module.read_text())
    assert packed is not None
    archive = zipfile.ZipFile(io.BytesIO(base64.b64decode(packed[1])))
    return {
        OWN.sub("", entry.filename): entry.compress_size / 1024
        for entry in archive.infolist()
        if "day2" in entry.filename
    }


def adhoc(folder: Path, *checks: dict[str, Any]) -> dict[str, float]:
    numbered = [{**check, "id": str(number)} for number, check in enumerate(checks)]
    arguments = json.dumps({"checks": numbered, "planned": True})
    return sent(folder, ["ansible", "localhost", "-m", "day2.ops.checklist", "-a", arguments])


def test_a_daily_checklist(tmp_path: Path) -> None:
    reports = ["-e", f"day2_report_dir={tmp_path / 'reports'}", "-e", f"ansible_python_interpreter={sys.executable}"]
    planned = ["-c", "local", "-e", '{"day2_checks_planned": true}', "-e", "day2_fail_on=never", *reports]
    files = sent(
        tmp_path / "sent",
        [
            "ansible-playbook",
            "day2.ops.daily",
            "-i",
            "inventories/options_engine",
            "--limit",
            "options_engine",
            *planned,
        ],
    )
    assert "probes/redis.py" in files
    assert sum(files.values()) <= LIMIT, sorted(files.items(), key=lambda entry: -entry[1])


@pytest.mark.parametrize(
    ("checks", "there", "not_there"),
    [
        (
            [FILES],
            {"probes/backups/files.py"},
            ("probes/backups/s", "backup/", "repositories/base", "pgbackrest/", "restore/"),
        ),
        ([SETS], {"probes/backups/sets.py", "repositories/s3.py"}, ("probes/backups/f", "pgbackrest/", "restore/")),
        ([STANZA], {"probes/backups/stanza.py"}, ("probes/backups/f", "repositories/s3.py", "restore/")),
        ([FILES, STANZA], {"probes/backups/files.py", "probes/backups/stanza.py"}, ("repositories/s3.py",)),
        ([{"timer": "backup.timer", "metric": "next_run"}], {"probes/timer.py"}, ("repositories/base", "pgbackrest/")),
        (
            [{"probe": "baseline", "subject": "figure", "of": {"probe": "backup", **FILES}}],
            {"probes/baseline.py", "probes/backups/files.py"},
            ("probes/log", "repositories/base", "maintenance/mode"),
        ),
    ],
)
def test_what_a_check_names(
    checks: list[dict[str, Any]], there: set[str], not_there: tuple[str, ...], tmp_path: Path
) -> None:
    files = adhoc(tmp_path, *({**ANYWHERE, **check} for check in checks))
    assert there <= files.keys() and not [name for name in files if name.startswith(not_there)]
