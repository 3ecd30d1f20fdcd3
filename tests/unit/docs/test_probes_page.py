# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""docs/probes.md is what the probes declare, and the registry is what lies in the folder."""

from __future__ import annotations

from pathlib import Path

import generate_docs
from ansible_collections.day2.ops.plugins.module_utils.probes import registry

ROOT = Path(__file__).resolve().parents[3]


def test_the_page_is_current() -> None:
    assert (ROOT / "docs" / "probes.md").read_text(encoding="utf-8") == generate_docs.render(), "run `make docs`"


def test_every_probe_in_the_folder_is_registered() -> None:
    folder = ROOT / "plugins" / "module_utils" / "probes"
    # A folder beside a probe has what only some of its checks need.
    files = {path.stem for path in folder.glob("*.py")}
    assert set(registry.PROBES) == files - {"__init__", "registry", "runner"}


def test_every_probe_documents_itself() -> None:
    for name in registry.PROBES:
        spec = registry.load(name).SPEC
        assert spec.default_metric in spec.metrics, name
        assert all(argument.doc for argument in spec.arguments.values()), name
        assert all(metric.doc for metric in spec.metrics.values()), name
