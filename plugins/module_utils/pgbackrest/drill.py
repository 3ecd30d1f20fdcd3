# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A drill of the physical backups: the end of the archive recovered into a scratch cluster, asked, and thrown away.

The verdict stays with the backup as an annotation of pgBackRest's.
"""

from __future__ import annotations

import os
import time
from typing import Any, Mapping

from ansible_collections.day2.ops.plugins.module_utils.backup.manifest import Manifest, rfc3339
from ansible_collections.day2.ops.plugins.module_utils.errors import Day2Error
from ansible_collections.day2.ops.plugins.module_utils.pgbackrest import arguments
from ansible_collections.day2.ops.plugins.module_utils.pgbackrest.restore import RESTORE, run_physical
from ansible_collections.day2.ops.plugins.module_utils.pgbackrest.target import parse_time
from ansible_collections.day2.ops.plugins.module_utils.postgres.server import Login
from ansible_collections.day2.ops.plugins.module_utils.restore.drill import Drill, newest_row, outcome_of
from ansible_collections.day2.ops.plugins.module_utils.restore.drills import Drilled
from ansible_collections.day2.ops.plugins.module_utils.restore.proof import prove_site

_FOLDER = "day2-drill-physical"
_SUPERUSER = "postgres"


def run(drill: Drill, params: Mapping[str, Any], check_mode: bool = False) -> dict[str, Any]:
    """Recover, ask, remove. What is left of an interrupted drill is removed first."""
    folder = os.path.join(drill.scratch, _FOLDER)
    call = {
        **{name: about.get("default") for name, about in RESTORE.items()},
        **{name: params[name] for name in arguments.STANZA},
        "force": False,
        "jobs": params["jobs"],
        "bin_dir": drill.bin_dir,
        "timeout": params["timeout"],
        "recovery_timeout": params["time_budget"],
        "recover_to": params["source"] or "latest",
        "scratch_cluster": folder,
        "scratch_settings": dict(drill.settings),
    }
    gone = {**call, "scratch_state": "absent"}
    if check_mode:
        return {"changed": True, "drills": [], "steps": [], "msg": run_physical(call, True)["msg"]}
    run_physical(gone, False)
    began, begun = time.time(), time.monotonic()
    drilled = Drilled(_named("physical", params["stanza"], began), began)
    try:
        done = run_physical(call, False)
        drilled.manifest = _named(done["plan"]["backup"]["label"], params["stanza"], began)
        login = Login(host=folder, port=call["scratch_port"], user=_SUPERUSER, maintenance_database="postgres")
        proof = prove_site(login, drill.database, drill.expectations, drill.amcheck)
        drilled.words, drilled.rto = proof.words, time.monotonic() - begun
        if proof.faults:
            drilled.failure = "; ".join(proof.faults[:10])
        last = done["recovered"]["time"]
        moment = newest_row(drill, login, drill.database, parse_time(last) if last else began)
        drilled.rpo = max(0.0, began - moment)
        if drilled.failure is None:
            _annotate(params, drilled)
    except Day2Error as exc:
        drilled.failure, drilled.rto = str(exc), time.monotonic() - begun
    finally:
        run_physical(gone, False)
    return outcome_of([drilled], drill.targets, f"Recovery drill of {drill.database}")


def _named(label: str, stanza: str, moment: float) -> Manifest:
    """What a drill's line has to know of a backup."""
    return Manifest(label, "physical", stanza, 0, moment, moment, [])


def _annotate(params: Mapping[str, Any], drilled: Drilled) -> None:
    label = drilled.manifest.id
    proven = f"--annotation=day2-proven={rfc3339(drilled.began + drilled.rto)}"
    arguments.client(params).log("annotate", f"--set={label}", proven, f"--repo={params['pgbackrest_repo']}")
