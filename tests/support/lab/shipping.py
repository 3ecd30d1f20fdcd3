# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Send a host type's provisioning into a container and run it there."""

from __future__ import annotations

import hashlib
import io
import tarfile
from pathlib import Path

from .podman import LabError, Podman

PACKAGE = Path(__file__).resolve().parent
# A host that is only a host: what a benchmark needs twenty of.
BARE = "bare"
TARGET = "/usr/local/lib/day2-lab"
STAMP = f"{TARGET}/provisioned"
# The history in the logs ends "now": after an hour it is written anew.
FRESH_MINUTES = 60


def check_type(kind: str) -> None:
    if kind != BARE and kind not in types():
        raise LabError(f"unknown host type {kind!r}: there are {', '.join([BARE, *types()])}")


def types() -> list[str]:
    return sorted(path.parent.name for path in (PACKAGE / "hosts").glob("*/provision.py"))


def provision(podman: Podman, container: str, kind: str) -> None:
    if kind == BARE:
        return
    archive, wanted = _archive(kind)
    fresh = f'[ "$(cat {STAMP})" = {wanted} ] && [ -n "$(find {STAMP} -mmin -{FRESH_MINUTES})" ]'
    if podman.succeeds("exec", container, "sh", "-c", f"[ -e {STAMP} ] && {fresh}"):
        return
    script = f"""
        set -eu
        rm -rf {TARGET} && mkdir -p {TARGET} && cd {TARGET}
        tar -x
        python3 -m lab.hosts.{kind}.provision
        echo {wanted} >{STAMP}
    """
    podman.run_in(container, ["sh", "-c", script], stdin=archive)


def digest(kind: str) -> str:
    """Changes whenever a host of that type is provisioned differently."""
    return _archive(kind)[1]


def _archive(kind: str) -> tuple[bytes, str]:
    """The shared helpers and this type, as a tar; and a digest of their content."""
    content_digest, buffer = hashlib.sha256(), io.BytesIO()
    folders = [PACKAGE / "hosts" / "common", PACKAGE / "hosts" / kind]
    files = [PACKAGE / "__init__.py", PACKAGE / "hosts" / "__init__.py"]
    files += sorted(path for folder in folders for path in folder.rglob("*") if path.is_file())
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for path in files:
            if path.suffix == ".pyc":
                continue
            name = path.relative_to(PACKAGE.parent).as_posix()
            content = path.read_bytes()
            content_digest.update(f"{name} {len(content)}\n".encode() + content)
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode = len(content), 0o644
            archive.addfile(entry, io.BytesIO(content))
    return buffer.getvalue(), content_digest.hexdigest()[:16]
