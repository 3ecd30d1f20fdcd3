# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Whether something accepts TCP connections, and how quickly."""

from __future__ import annotations

import socket
import time

from ansible_collections.day2.ops.plugins.module_utils.checks.result import Observation
from ansible_collections.day2.ops.plugins.module_utils.checks.spec import Argument, Check, Metric, ProbeSpec
from ansible_collections.day2.ops.plugins.module_utils.errors import Undetermined
from ansible_collections.day2.ops.plugins.module_utils.network.address import AddressError, ascii_host
from ansible_collections.day2.ops.plugins.module_utils.units.quantity import format_duration

SPEC = ProbeSpec(
    doc="Connects to a TCP port. No connection is critical.",
    arguments={
        "host": Argument("str", "Name or address to connect to.", default="localhost"),
        "port": Argument("port", "Port to connect to.", required=True),
    },
    metrics={"latency": Metric("Time until the connection stood, name resolution included.", "ms", elapsed=True)},
    default_metric="latency",
)


def observe(_source: object, check: Check) -> Observation:
    host, port = check.args["host"], check.args["port"]
    begun = time.monotonic()
    try:
        socket.create_connection((ascii_host(host), port)).close()
    except AddressError as exc:
        raise Undetermined(f"the address {exc}") from exc
    except socket.gaierror as exc:
        raise Undetermined(f"{host} cannot be resolved: {exc.strerror}") from exc
    except OSError as exc:
        reason = getattr(exc, "strerror", None) or str(exc)
        return Observation(None, "", failure=f"no connection to {host}:{port}: {reason}")
    latency = time.monotonic() - begun
    return Observation(round(latency * 1000, 3), f"{host}:{port} accepts connections ({format_duration(latency)})")
