# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The collection's own version: from its manifest where it is installed, else from its source."""

from __future__ import annotations

import json
import re
from pathlib import Path

_ROOT = Path(__file__).parents[3]
_VERSION = re.compile(r"^version:\s*[\"']?([\w.+-]+)", re.MULTILINE)


def collection_version(root: Path = _ROOT) -> str:
    manifest, source = root / "MANIFEST.json", root / "galaxy.yml"
    if manifest.is_file():
        return str(json.loads(manifest.read_text(encoding="utf-8"))["collection_info"]["version"])
    match = _VERSION.search(source.read_text(encoding="utf-8")) if source.is_file() else None
    return match.group(1) if match else "unknown"
