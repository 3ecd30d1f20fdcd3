# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Write docs/probes.md from what the probes declare (`make docs`); a unit test compares."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Iterable

ROOT = Path(__file__).resolve().parents[2]
if str(ROOT / ".collections") not in sys.path:
    sys.path.insert(0, str(ROOT / ".collections"))

from ansible_collections.day2.ops.plugins.module_utils.checks.spec import (  # noqa: E402
    COMMON,
    Argument,
    ProbeSpec,
)
from ansible_collections.day2.ops.plugins.module_utils.probes import registry  # noqa: E402

_HEAD = """# Probes

<!-- Made by `make docs` from the probes' own declarations; edit those. -->

A check is a mapping of common fields and the arguments of its probe:

```yaml
- {id: root-disk, title: Root file system, probe: disk, path: /, warning: "> 80%", critical: "> 90%", ref: [OE-A03]}
```

"""

_THRESHOLDS = """## Thresholds

A threshold is a quoted string, or a list of them of which any triggers: an operator (`>` `>=` `<` `<=` `==` `!=`) and

| quantity | examples |
|---|---|
| number | `> 5` |
| percentage | `> 80%` |
| bytes | `> 10GB` (10^9), `< 2Gi` or `< 2GiB` (2^30) |
| duration | `> 500ms`, `> 30d` (ns us ms s min h d w) |
| rate | `< 100/s`, `> 10MB/s` |
| word | `!= active` |

Units convert; one without a unit takes the value's. `critical` outranks `warning`. Without `critical` a built-in
expectation of the probe is critical (said with each probe below); `critical` of the check's own takes its place where
both are about the same value. What cannot be determined is `unknown`.

"""


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def _table(head: list[str], rows: Iterable[list[str]]) -> str:
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    lines += ["| " + " | ".join(_cell(cell) for cell in row) + " |" for row in rows]
    return "\n".join(lines) + "\n\n"


def _argument(name: str, argument: Argument) -> list[str]:
    shown = f"`{_plain(argument.default)}`"
    default = "" if argument.default is None else shown
    default = "required" if argument.required else default
    choices = f" One of {', '.join(f'`{choice}`' for choice in argument.choices)}." if argument.choices else ""
    secret = " Kept secret." if argument.secret else ""
    return [f"`{name}`", argument.kind, default, argument.doc + choices + secret]


def _plain(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _probe(name: str, spec: ProbeSpec) -> str:
    text = f"## {name}\n\n{spec.doc}\n\n"
    text += _table(["argument", "kind", "default", "meaning"], [_argument(*item) for item in spec.arguments.items()])
    if spec.one_of:
        text += "Exactly one of " + ", ".join(f"`{each}`" for each in spec.one_of) + " is needed.\n\n"
    rows = [
        [f"`{metric}`" + (" (default)" if metric == spec.default_metric else ""), _unit(entry), entry.doc]
        for metric, entry in spec.metrics.items()
    ]
    return text + _table(["metric", "unit", "meaning"], rows)


def _unit(metric: object) -> str:
    if getattr(metric, "words", False):
        return "word"
    unit = getattr(metric, "unit", None)
    return "the check's `unit`" if unit is None else unit or "number"


def render() -> str:
    """The whole page."""
    text = _HEAD + "## Common fields\n\n"
    text += _table(["field", "kind", "default", "meaning"], [_argument(*item) for item in COMMON.items()])
    text += _THRESHOLDS
    for name in registry.PROBES:
        text += _probe(name, registry.load(name).SPEC)
    return text.rstrip("\n") + "\n"


if __name__ == "__main__":
    (ROOT / "docs" / "probes.md").write_text(render(), encoding="utf-8")
