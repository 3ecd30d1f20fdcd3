# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""One file: how old, how big, whose."""

from __future__ import annotations

import os
import stat
import time

from ansible_collections.day2.ops.plugins.module_utils.checks.result import Observation
from ansible_collections.day2.ops.plugins.module_utils.checks.spec import Argument, Check, Metric, ProbeSpec
from ansible_collections.day2.ops.plugins.module_utils.errors import NeedsRoot, Undetermined
from ansible_collections.day2.ops.plugins.module_utils.units.quantity import (
    BYTES,
    Unit,
    format_duration,
    format_quantity,
)

SPEC = ProbeSpec(
    doc="A file's age, size, mode and owner.",
    arguments={"path": Argument("path", "The file; links are followed.", required=True)},
    metrics={
        "age": Metric("Time since the last change of its content.", "s"),
        "size": Metric("Size of the file.", "B"),
        "mode": Metric("Permissions of the file as four octal digits, such as 0640.", words=True),
        "owner": Metric("Name of the file's owner (the number where there is no name).", words=True),
        "state": Metric("`present` or `absent`.", words=True),
    },
    default_metric="age",
)


def observe(_source: object, check: Check) -> Observation:
    path, name = check.args["path"], check.metric.name
    try:
        # As bytes: a host whose locale is not UTF-8 has files with such names too.
        status = os.stat(path.encode("utf-8", "surrogateescape"))
    except PermissionError:
        raise NeedsRoot(f"{path} cannot be reached") from None
    except (FileNotFoundError, NotADirectoryError):
        if name == "state":
            return Observation("absent", f"{path} is absent")
        raise Undetermined(f"{path} does not exist") from None
    except OSError as exc:
        raise Undetermined(f"{path}: {exc.strerror}") from exc
    except ValueError:
        raise Undetermined(f"{path!r} cannot be a path: there is a zero byte in it") from None
    if name == "age":
        age = time.time() - status.st_mtime
        return Observation(round(age, 3), f"{path} last changed {format_duration(age)} ago")
    if name == "size":
        return Observation(status.st_size, f"{path} has {format_quantity(status.st_size, Unit('B', BYTES))}")
    if name == "mode":
        mode = f"{stat.S_IMODE(status.st_mode):04o}"
        return Observation(mode, f"{path} has mode {mode}")
    if name == "owner":
        owner = _owner(status.st_uid)
        return Observation(owner, f"{path} belongs to {owner}")
    return Observation("present", f"{path} is present")


def _owner(number: int) -> str:
    import pwd

    try:
        return pwd.getpwuid(number).pw_name
    except KeyError:
        return str(number)
