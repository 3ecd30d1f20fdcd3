# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Logs with policies below a temporary directory, and their pieces, as tests of rotation have them without a host."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import Any

from ansible_collections.day2.ops.plugins.module_utils.process.trusted import Trust
from ansible_collections.day2.ops.plugins.module_utils.rotation.place import Place
from ansible_collections.day2.ops.plugins.module_utils.rotation.policy import Policies, Policy
from ansible_collections.day2.ops.plugins.module_utils.rotation.tending import Outcome, tend

NOW, DAY = 1_790_000_000.0, 86400.0


def make_place(folder: Path) -> Place:
    trust = Trust(os.geteuid(), str(folder))
    return Place(Policies(str(folder / "policies"), trust), str(folder / "state"), trust, threads=1)


def make_identity(path: Path) -> Path:
    """A private key of age."""
    subprocess.run(["age-keygen", "-o", path], check=True, capture_output=True)
    return path


def public_key(identity: Path) -> str:
    done = subprocess.run(["age-keygen", "-y", identity], check=True, capture_output=True, text=True)
    return done.stdout.strip()


def policy(folder: Path, **values: Any) -> Policy:
    usual = {"name": "shop", "log_class": "application", "max_age": 30 * DAY, "max_size": 10**9}
    return Policy(**{**usual, "paths": (f"{folder}/*.log",), **values})


def piece(folder: Path, age: float = 0.0, text: str = "", log: str = "app.log") -> Path:
    """A piece that was renamed so many days ago."""
    path = folder / f"{log}-20260921-{int(NOW - age * DAY)}"
    path.write_text(text or f"line of {age}\n" * 1000)
    return path


def run(place: Place, *policies: Policy, **options: Any) -> Outcome:
    """Tend all logs, with these policies too."""
    for each in policies:
        place.policies.save(each)
    return tend(place, clock=lambda: NOW, **options)


def unpacked(path: Path, identity: Path | None = None) -> str:
    """By programs that share nothing with what is tested."""
    data = path.read_bytes()
    if path.suffix == ".age":
        data = subprocess.run(["age", "-d", "-i", str(identity)], input=data, capture_output=True, check=True).stdout
    return subprocess.run(["zstd", "-dc"], input=data, capture_output=True, check=True).stdout.decode()


def names(folder: Path) -> list[str]:
    return sorted(os.listdir(folder))
