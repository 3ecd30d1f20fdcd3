# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Units that systemd has not loaded, and that depend on one of the mode's: found by their files."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest
from ansible_collections.day2.ops.plugins.module_utils.maintenance.targets import systemd
from ansible_collections.day2.ops.plugins.module_utils.maintenance.targets.graph import Unit

APP = Unit({"Id": "app.service", "Names": "app.service shop.service", "LoadState": "loaded", "ActiveState": "active"})


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("worker.service", "[Unit]\nRequires=app.service\n"), ("worker.service", "[Unit]\nPartOf \t=\tapp.service\n"),
        ("worker.service.d/x.conf", "[Unit]\nBindsTo=db.service \\\n  app.service\n"),
        ("worker.service", "[Unit]\nPartOf=shop.service\n"), ("worker.service", "[Unit]\nPartOf=%p-x.service\n"),
        ("worker.service.requires/app.service", ""), ("worker.service.requires/shop.service", ""),
        ("worker.service", "[Unit]\nPartOf=x.service\n# PartOf=y.service \\\nPartOf=app.service\n"),
    ],
)  # fmt: skip
def test_one_that_depends_on_it_is_asked_about(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, path: str, text: str
) -> None:
    def show(names: Sequence[str]) -> list[Unit]:
        return [Unit({"Id": name, "LoadState": "loaded"}) for name in names]

    for name, content in ((path, text), ("other.service", "[Unit]\nAfter=app.service\nPartOf=db.service\n")):
        file = tmp_path / name
        file.parent.mkdir(exist_ok=True)
        file.write_text(content)
    monkeypatch.setattr(systemd, "_FOLDERS", (str(tmp_path),))
    monkeypatch.setattr(systemd, "show", show)
    assert sorted(systemd.neighbourhood([APP])) == ["app.service", "worker.service"]
