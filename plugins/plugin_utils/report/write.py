# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Put a report in its place: the whole directory of a run appears at once, or not at all."""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
import secrets
import shutil
import time
from collections.abc import Callable, Mapping
from datetime import datetime, timezone
from pathlib import Path

from ansible_collections.day2.ops.plugins.module_utils.errors import Day2Error
from ansible_collections.day2.ops.plugins.plugin_utils.report import html, json, junit, prometheus
from ansible_collections.day2.ops.plugins.plugin_utils.report.document import Report, Run

FILES: Mapping[str, tuple[str, Callable[[Report], str]]] = {
    "json": ("report.json", json.render),
    "html": ("report.html", html.render),
    "junit": ("report.xml", junit.render),
    "prometheus": ("report.prom", prometheus.render),
}
LATEST = "latest"
_PARTIAL = ".partial-"
# A report takes seconds to write: what is older than this was left by a run that was killed.
_ABANDONED_SECONDS = 3600.0
# Of linux/fcntl.h and linux/fs.h.
_AT_FDCWD, _RENAME_EXCHANGE = -100, 2
_DIRECTORY_MODE = 0o750
_FILE_MODE = 0o640


class ReportError(Day2Error):
    """The report could not be written."""


def new_run_id(now: datetime) -> str:
    """Sorts by time; the random part keeps two runs of one second apart."""
    return f"{now.astimezone(timezone.utc):%Y%m%dT%H%M%SZ}-{secrets.token_hex(3)}"


def paths(directory: Path, run: Run) -> dict[str, str]:
    return {kind: str(directory / run.place / name) for kind, (name, _render) in FILES.items()}


def write(report: Report, directory: Path, again: bool = False) -> dict[str, str]:
    """Render and write all files of the report; returns their paths by kind.

    A report that is there already is refused, unless it may be made `again`.
    """
    place = report.run.place
    final = directory / place
    try:
        directory.mkdir(mode=_DIRECTORY_MODE, parents=True, exist_ok=True)
        if not again:
            check_free(directory, report.run)
        _remove_abandoned(directory)
        partial = directory / f"{_PARTIAL}{place}-{secrets.token_hex(4)}"
        partial.mkdir()
        try:
            _fill(partial, report)
            if final.exists():
                _exchange(partial, final)
                _discard(partial)
            else:
                os.rename(partial, final)
        except BaseException:
            _discard(partial)
            raise
        _sync_directory(directory)
        _point_latest(directory, place)
    except OSError as error:
        raise ReportError(
            f"the report cannot be written to {directory}: {error.strerror or error}. "
            "Set day2_report_dir to a directory that the user running ansible on the controller can write."
        ) from error
    return paths(directory, report.run)


def _exchange(new: Path, old: Path) -> None:
    """Swap two directories of reports in one step: whoever looks, also after a kill, finds the old one or the new one.

    Where the file system cannot (NFS, kernels before 3.15), each file of the new one replaces its own in one step, the
    JSON, which is what other runs read, last.
    """
    if _renameat2(new, old):
        return
    for name in sorted((name for name, _render in FILES.values()), key=lambda name: name == FILES["json"][0]):
        os.replace(new / name, old / name)
    _sync_directory(old)


def _renameat2(new: Path, old: Path) -> bool:
    """Whether the two were exchanged. Python has no name for this system call."""
    call = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)
    if call is None:
        return False
    if call(_AT_FDCWD, os.fsencode(new), _AT_FDCWD, os.fsencode(old), _RENAME_EXCHANGE) == 0:
        return True
    code = ctypes.get_errno()
    if code in (errno.EINVAL, errno.ENOSYS, errno.ENOTSUP):
        return False
    raise OSError(code, os.strerror(code), str(old))


def check_free(directory: Path, run: Run) -> None:
    """ReportError where a run of this name has its report already."""
    if (directory / run.place).exists():
        raise ReportError(
            f"there is a report of run {run.place} in {directory} already: leave day2_run_id (run_id) out, choose"
            " another, or name the parts of a run that is sliced with day2_run_part (part)"
        )


def _discard(path: Path) -> None:
    # What resists is hidden, harmless and tried again by the next run.
    with contextlib.suppress(OSError):
        shutil.rmtree(path)


def _fill(partial: Path, report: Report) -> None:
    for name, render in FILES.values():
        _write_file(partial / name, render(report))
    partial.chmod(_DIRECTORY_MODE)
    _sync_directory(partial)


def _write_file(path: Path, content: str) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, _FILE_MODE)
    with os.fdopen(descriptor, "w", encoding="utf-8", newline="\n") as file:
        # the umask may have taken more away
        os.fchmod(descriptor, _FILE_MODE)
        file.write(content)
        file.flush()
        os.fsync(descriptor)


def _sync_directory(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _point_latest(directory: Path, place: str) -> None:
    link = directory / f"{_PARTIAL}{LATEST}-{secrets.token_hex(4)}"
    link.symlink_to(place)
    try:
        os.replace(link, directory / LATEST)
    except OSError:
        link.unlink()
        raise
    _sync_directory(directory)


def _remove_abandoned(directory: Path) -> None:
    now = time.time()
    for path in directory.glob(f"{_PARTIAL}*"):
        try:
            abandoned = now - path.lstat().st_mtime > _ABANDONED_SECONDS
        except FileNotFoundError:
            continue  # another run's, finished in between
        if not abandoned:
            continue
        if path.is_symlink():
            path.unlink(missing_ok=True)
        else:
            _discard(path)
