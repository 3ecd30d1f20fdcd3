# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Properties of systemd units by name, as `systemctl show` prints them. An answer is never matched by its position."""

from __future__ import annotations

import os
import re
from typing import Mapping, Sequence

from ansible_collections.day2.ops.plugins.module_utils.errors import Undetermined
from ansible_collections.day2.ops.plugins.module_utils.process.programs import run

Fields = dict[str, str]
Units = dict[str, Fields]

SUFFIXES = ("service", "socket", "timer", "mount", "automount", "path", "target", "slice", "scope", "swap", "device")
# What systemd allows in a name (systemd.unit(5)); systemctl escapes everything else itself.
_PLAIN = re.compile(r"[A-Za-z0-9:_.\\@-]+")
_TEMPLATE = re.compile(r"(.*)@\.(\w+)")


def full_name(name: str, suffix: str = "service") -> str:
    """The name with its suffix. A path stays: systemctl makes a mount or a device of it."""
    if name.startswith("/") or ("." in name and name.rpartition(".")[2] in SUFFIXES):
        return name
    return f"{name}.{suffix}"


def refusal(name: str) -> str | None:
    """Why a name stands for no unit of its own; None when it does."""
    template = _TEMPLATE.fullmatch(name)
    if template is not None:
        return f"{name} is a template: name one of its instances, such as {template[1]}@main.{template[2]}"
    if any(sign in name for sign in "*?["):
        return f"{name} is a pattern: a check is about one unit, so name it"
    return None


def need_systemd() -> None:
    if not os.path.isdir("/run/systemd/system"):
        raise Undetermined("systemd does not run this host")


def show(names: Sequence[str], properties: Sequence[str]) -> tuple[Units, dict[str, str]]:
    """The properties of each unit, under the name that was asked for, and why some have none.

    One call of systemctl for all of them; units that it does not answer so (it ends at the first name that it cannot
    read) are asked for one by one. Times are shown in UTC.
    """
    wanted = ",".join(dict.fromkeys(("Id", "Names", *properties)))
    refused = {name: reason for name in names for reason in [refusal(name)] if reason is not None}
    rest = [name for name in names if name not in refused]
    units: Units = {}
    plain = [name for name in rest if _PLAIN.fullmatch(name)]
    if len(plain) > 1:
        blocks, _complaint = _ask(plain, wanted)
        by_name = {name: fields for fields in blocks for name in (fields.get("Id", ""), *unit_names(fields))}
        units = {name: by_name[name] for name in plain if name in by_name}
    for name in rest:
        if name in units:
            continue
        blocks, complaint = _ask([name], wanted)
        if len(blocks) == 1:
            units[name] = blocks[0]
        else:
            refused[name] = f"systemctl does not describe {name}: {complaint or 'it says nothing'}"
    return units, refused


def _ask(names: Sequence[str], wanted: str) -> tuple[list[Fields], str]:
    # In the host's own zone, times would have an abbreviation that nobody can read back.
    answer = run(["env", "TZ=UTC", "systemctl", "show", f"--property={wanted}", "--", *names], cap=1 << 24)
    return ([], answer.complaint) if answer.code != 0 else (parse(answer.stdout.decode("utf-8", "replace")), "")


def parse(text: str) -> list[Fields]:
    """Blocks of `Property=value` lines, with an empty line between two units."""
    blocks = [block for block in text.split("\n\n") if block.strip()]
    return [dict(line.partition("=")[::2] for line in block.strip().split("\n")) for block in blocks]


def unit_names(fields: Mapping[str, str]) -> list[str]:
    """All names of a unit, aliases too. systemctl quotes those that have a backslash."""
    return [word.strip('"').replace("\\\\", "\\") for word in fields.get("Names", "").split()]
