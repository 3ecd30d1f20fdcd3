# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a checklist finds, in a real Alertmanager, and what that sends on."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import pytest
from lab.waiting import wait_for
from lab_host import LabHost
from pytest_httpserver import HTTPServer
from site_of_hosts import FULL, TIGHT, Site
from werkzeug import Request as Received
from werkzeug import Response

UNIT, PORT, FOLDER = "day2-test-alertmanager", 9094, "/run/day2-test-alertmanager"
FINE = {**FULL, "critical": "> 100%"}
LIMIT = 30.0


class Alertmanager:
    """One in a lab host, and what its receiver gets: status and check of each alert, in order."""

    def __init__(self, server: HTTPServer) -> None:
        self.url = ""
        self.notified: list[tuple[str, str]] = []
        server.expect_request("/hook").respond_with_handler(self._take)

    def _take(self, request: Received) -> Response:
        self.notified += [(alert["status"], alert["labels"]["check"]) for alert in request.get_json()["alerts"]]
        return Response("")

    def ask(self, path: str, body: Any = None) -> Any:
        data = None if body is None else json.dumps(body).encode()
        request = Request(f"{self.url}/{path}", data, {"Content-Type": "application/json"})
        with urlopen(request, timeout=10) as answer:
            return json.load(answer)

    def alerts(self) -> dict[str, dict[str, Any]]:
        return {alert["labels"]["check"]: alert for alert in self.ask("api/v2/alerts")}

    def wait_for(self, *notified: tuple[str, str]) -> None:
        wait_for(lambda: list(self.notified), lambda seen: set(notified) <= set(seen), LIMIT, "notifications")

    def channel(self) -> dict[str, Any]:
        return {"name": "alerts", "kind": "alertmanager", "url": self.url, "labels": {"service": "engine"}}


def ready(alertmanager: Alertmanager) -> bool:
    try:
        return bool(alertmanager.ask("api/v2/status"))
    except OSError:
        return False


@pytest.fixture
def alertmanager(lab_host: LabHost) -> Iterator[Alertmanager]:
    with HTTPServer(host=lab_host.gateway, port=0) as server:
        made = Alertmanager(server)
        hook = {"url": server.url_for("/hook"), "send_resolved": True}
        route = {"receiver": "hook", "group_by": ["check"], "group_wait": "0s", "group_interval": "1s"}
        config = {"route": route, "receivers": [{"name": "hook", "webhook_configs": [hook]}]}
        lab_host.run("mkdir", "-p", FOLDER)
        lab_host.run("sh", "-c", f"cat > {FOLDER}/config.yml", text=json.dumps(config))
        lab_host.run(
            "systemd-run", f"--unit={UNIT}", "prometheus-alertmanager", f"--config.file={FOLDER}/config.yml",
            f"--storage.path={FOLDER}/data", f"--web.listen-address=127.0.0.1:{PORT}", "--cluster.listen-address=",
        )  # fmt: skip
        try:
            with lab_host.tunnel(PORT) as port:
                made.url = f"http://127.0.0.1:{port}"
                wait_for(lambda: ready(made), bool, LIMIT, "Alertmanager answers")
                yield made
        finally:
            lab_host.run("systemctl", "stop", UNIT)
            lab_host.run("rm", "-r", FOLDER)


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path)


def run(site: Site, channel: dict[str, Any], **more: Any) -> int:
    quick = {"notify_retry_delay": 0, "notify_retries": 1, "notify_timeout": 3}
    state = str(site.folder / "state")
    status: int = site.run(day2_system="shop", notify_channels=[channel], notify_state_dir=state, **quick, **more)
    return status


def test_it_is_told_in_each_run_and_tells_others_once(site: Site, alertmanager: Alertmanager) -> None:
    site.host("a", day2_daily_checks=[FULL, TIGHT])
    assert run(site, alertmanager.channel()) == 2, site.output
    alertmanager.wait_for(("firing", "full"), ("firing", "tight"))
    first = alertmanager.alerts()
    assert {check: alert["labels"] for check, alert in first.items()} == {
        check: {"alertname": check, "check": check, "system": "shop", "host": "a", "severity": severity,
                "service": "engine"}
        for check, severity in (("full", "critical"), ("tight", "warning"))
    }  # fmt: skip
    notes = first["full"]["annotations"]
    assert notes["title"] == "Root file system" and "critical above" in notes["message"]
    assert notes["report"] == str(site.latest() / "report.html")
    assert run(site, alertmanager.channel()) == 2
    again = alertmanager.alerts()["full"]
    assert again["updatedAt"] > first["full"]["updatedAt"] and again["endsAt"] > first["full"]["endsAt"]
    assert again["startsAt"] == first["full"]["startsAt"]
    site.host("a", day2_daily_checks=[FINE, TIGHT])
    run(site, alertmanager.channel())
    alertmanager.wait_for(("resolved", "full"))
    assert set(alertmanager.alerts()) == {"tight"}
    assert sorted(alertmanager.notified) == [("firing", "full"), ("firing", "tight"), ("resolved", "full")]


def test_its_silences_hold(site: Site, alertmanager: Alertmanager) -> None:
    """Maintenance asks for one; that of a run is not needed, and does not keep the alert from it."""
    now = datetime.now(timezone.utc)
    matcher = {"name": "check", "value": "full", "isRegex": False, "isEqual": True}
    times = {"startsAt": now.isoformat(), "endsAt": (now + timedelta(hours=1)).isoformat()}
    alertmanager.ask("api/v2/silences", {"matchers": [matcher], "createdBy": "test", "comment": "test", **times})
    site.host("a", day2_daily_checks=[FULL, TIGHT])
    assert run(site, alertmanager.channel(), notify_maintenance=True) == 2, site.output
    alertmanager.wait_for(("firing", "tight"))
    states = {check: alert["status"]["state"] for check, alert in alertmanager.alerts().items()}
    assert states == {"full": "suppressed", "tight": "active"}
    assert alertmanager.notified == [("firing", "tight")]


def test_one_that_is_gone_is_a_warning_and_told_later(site: Site, alertmanager: Alertmanager) -> None:
    site.host("a", day2_daily_checks=[FULL])
    assert run(site, {**alertmanager.channel(), "url": "http://127.0.0.1:1"}) == 2, site.output
    assert "alerts refused the connection" in site.output and "kept for the next run" in site.output
    assert alertmanager.alerts() == {}
    site.host("a", day2_daily_checks=[FULL, TIGHT])
    assert run(site, alertmanager.channel()) == 2
    assert set(alertmanager.alerts()) == {"full", "tight"}
    assert "not delivered" not in site.output
