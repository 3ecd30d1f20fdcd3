# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The proof that users see the page, where nginx listens at addresses that it serves in the mode."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from in_host import InHost
from maintained_host import NGINX, SERVICE, SITE, prepare, role_on


@pytest.fixture(scope="module")
def host(lab_host: Any) -> Iterator[InHost]:
    host = InHost(prepare(lab_host).host)
    text = host.sh(f"cat {SITE}")
    yield host
    host.end()
    # A reload would not bind to all addresses of a port while one of them is bound.
    host.sh(f"cat > {SITE}; systemctl restart nginx", text=f"{text}\n")
    host.sh("systemctl stop --no-block prometheus-alertmanager")


def serve(host: InHost, listens: list[str], allowed: list[str]) -> None:
    """The site at those addresses, with a role's configuration that serves the others in the mode."""
    lines = host.sh(f"cat {SITE}").split("\n")
    kept = [line for line in lines if "listen" not in line or line.endswith(" 80;")]
    place = next(number for number, line in enumerate(kept) if "server_name" in line)
    kept[place:place] = [f"    listen {listen} ssl;" for listen in listens]
    host.sh(f"cat > {SITE}", text="\n".join([*kept, ""]))
    done = role_on(host.host, "day2.ops.maintenance_page", {**NGINX, "maintenance_page_allow": allowed})
    assert done.returncode == 0, done.stdout + done.stderr
    host.sh("nginx -t && systemctl restart nginx")


def status(host: InHost, to: str, source: str) -> str:
    ask = (
        "import http.client, ssl, sys\n"
        "c = http.client.HTTPSConnection(sys.argv[1], context=ssl._create_unverified_context(),"
        " source_address=(sys.argv[2], 0))\n"
        "c.request('GET', '/metrics')\n"
        "print(c.getresponse().status)"
    )
    return host.host.python(ask, to, source)


@pytest.mark.parametrize("network", ["{own}/32", "{own}/8"])
def test_a_site_at_an_address_that_it_serves(host: InHost, network: str) -> None:
    own = host.sh("hostname -I").split()[0]
    serve(host, [f"{own}:443", "127.0.0.1:443", "[::1]:443"], [network.format(own=own), "::1"])
    done = host.mode(targets=["web"])
    assert not done.get("failed") and not done["unproven"], done
    (said,) = [step for step in done["steps"] if step.startswith("users see the page")]
    assert f"(at {own}) says HTTP 503" in said and "(at ::1)" in said, said
    # What the host itself sees at that address, and what users see there.
    assert (status(host, own, own), status(host, own, "127.0.0.1")) == ("200", "503")
    host.end()


def test_where_everybody_on_the_host_is_served_it_is_a_warning(host: InHost) -> None:
    serve(host, ["127.0.0.1:443", "[::1]:443"], ["0.0.0.0/0", "::/0"])
    done = host.mode(targets=["web"])
    assert not done.get("failed") and "nobody was asked whether users see the page" in done["unproven"][0], done
    assert "web.probe" in str(done["warnings"]), done
    assert host.mode(state="status")["enabled"] and SERVICE in done["msg"]
