# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Small charts: one line of inline SVG a check, readable without JavaScript and on paper."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from ansible_collections.day2.ops.plugins.plugin_utils.report.text import visible

_WIDTH, _HEIGHT, _EDGE = 240.0, 36.0, 3.0


def charts(curves: Sequence[Mapping[str, Any]]) -> str:
    """A line a check: its name, its curve, its figures."""
    return f'<table class="curves">{"".join(map(_line, curves))}</table>'


def _line(curve: Mapping[str, Any]) -> str:
    told = escape(visible(curve["told"]))
    chart = _chart(curve["points"], told) if curve["points"] else ""
    return f"<tr><th>{escape(visible(curve['title']))}</th><td>{chart}</td><td>{told}</td></tr>"


def _chart(points: Sequence[Sequence[float]], told: str) -> str:
    times, values = [point[0] for point in points], [point[1] for point in points]
    low, high = min(values), max(values)
    span = (times[-1] - times[0]) or 1.0
    # What never changed is a line in the middle.
    reach, base = (high - low, low) if high > low else (1.0, low - 0.5)
    places = [
        (
            _EDGE + (at - times[0]) / span * (_WIDTH - 2 * _EDGE),
            _HEIGHT - _EDGE - (value - base) / reach * (_HEIGHT - 2 * _EDGE),
        )
        for at, value in points
    ]
    line = " ".join(f"{across:.1f},{down:.1f}" for across, down in places)
    across, down = places[-1]
    return (
        f'<svg class="curve" viewBox="0 0 {_WIDTH:g} {_HEIGHT:g}" width="{_WIDTH:g}" height="{_HEIGHT:g}" role="img"'
        f' aria-label="{told}"><polyline points="{line}"/>'
        f'<circle cx="{across:.1f}" cy="{down:.1f}" r="2.5"/></svg>'
    )
