# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a host's Python has compiled of an archive is kept for the next one, by the source.

Ansible sends each module as an archive, and day2ctl is one. Python keeps nothing of what it compiles of those: half of
a module's processor time is the same compilation again. The Pythons of a host load this by a `.pth` file as they start,
those that a test starts on this machine as `sitecustomize`.
"""

from __future__ import annotations

import _imp
import marshal
import os
import sys
import zipimport
from types import CodeType

# Beside this file, and root's alone: others only read it.
_FOLDER = os.path.splitext(__file__)[0]
# As importlib names the sources of hash-based pyc files.
_KEY = 0xDA72

_compile = zipimport._compile_source  # type: ignore[attr-defined]


def _kept(path: str, source: bytes) -> CodeType:
    # Another Python has another code.
    name = f"{_FOLDER}/{sys.implementation.cache_tag}-{_imp.source_hash(_KEY, source).hex()}-{len(source)}"
    try:
        with open(name, "rb") as stream:
            code: CodeType = marshal.load(stream)
    except OSError:
        code = _compile(path, source)
        _keep(name, code)
        return code
    # A traceback names the archive of this run.
    _imp._fix_co_filename(code, path)
    return code


def _keep(name: str, code: CodeType) -> None:
    beside = f"{name}.{os.getpid()}"
    try:
        with open(beside, "xb") as stream:
            marshal.dump(code, stream)
        os.replace(beside, name)
    except OSError:
        # Not root, or no room: it is compiled again next time.
        return


zipimport._compile_source = _kept  # type: ignore[attr-defined]
