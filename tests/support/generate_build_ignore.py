# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Write build_ignore into galaxy.yml (`make docs`): all that the collection's archive does not hold.

A checkout in use holds reports, inventories and keys under names that nobody can list, so what is packed is listed
instead. galaxy.yml has `manifest` for that, which needs distlib wherever the collection is installed from Git;
build_ignore needs nothing, but has no "all but": its patterns exclude whatever begins otherwise than these names.
"""

from __future__ import annotations

from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PACKED = (
    "CHANGELOG.md",
    "LICENSE",
    "README.md",
    "bindep.txt",
    "docs",
    "extensions",
    "meta",
    "playbooks",
    "plugins",
    "requirements.txt",
    "roles",
)
# What may lie about within what is packed.
_WITHIN = ("*/.*", "*/__pycache__", "*.tar.gz", "*.orig", "*.rej", "*~")
_MARK = "build_ignore: # Made by `make docs`: only what generate_build_ignore.py names is packed.\n"


def patterns() -> list[str]:
    """Of fnmatch, where `*` goes over slashes too: for each beginning of a name, what does not go on like one."""
    # What comes after a whole name is its folder, if anything.
    entries, found = [f"{name}/" for name in PACKED], []
    for beginning in sorted({name[:length] for name in entries for length in range(len(name))}):
        further = {name[len(beginning)] for name in entries if name.startswith(beginning) and name != beginning}
        found.append(f"{beginning}[!{''.join(sorted(further))}]*")
    unfinished = sorted({name[:length] for name in PACKED for length in range(1, len(name))} - set(PACKED))
    return [*found, *unfinished, *_WITHIN]


def render() -> str:
    """galaxy.yml with the list as it has to be, which is its end."""
    text = (ROOT / "galaxy.yml").read_text(encoding="utf-8")
    head = text[: text.index("build_ignore:")]
    lines, line = [], "  ["
    for pattern in patterns():
        entry = f'"{pattern}",'
        if len(line) + len(entry) > 100:
            lines.append(line.rstrip())
            line = "   "
        line += entry + " "
    return head + _MARK + "\n".join([*lines, line.rstrip(", ") + "]"]) + "\n"


if __name__ == "__main__":
    (ROOT / "galaxy.yml").write_text(render(), encoding="utf-8")
