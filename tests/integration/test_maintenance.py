# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Maintenance mode on a lab host with real nginx, systemd and Alertmanager, asked past the collection."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from maintained_host import ALERTMANAGER, NGINX, OFFICE, ROOT, SERVICE, SITE, UNIT, Host, prepare, role_on

# The end of each line is how it is found again.
OWN = r"\n    rewrite html$ \/metrics last; # day2-test;\n    location = \/busy { return 503; } # day2-test;"


@pytest.fixture(scope="module")
def prepared(lab_host: Any) -> Iterator[Host]:
    yield prepare(lab_host)
    lab_host.run("systemctl", "stop", "--no-block", "prometheus-alertmanager")


@pytest.fixture
def host(prepared: Host) -> Iterator[Host]:
    yield prepared
    prepared.end()


def test_roles_change_nothing_the_second_time(host: Host) -> None:
    for role, about in (("day2.ops.runtime", {}), ("day2.ops.maintenance_page", NGINX)):
        again = role_on(host.host, role, about)
        assert "changed=0" in again.stdout and again.returncode == 0, again.stdout


def test_in_and_out(host: Host) -> None:
    planned = host.mode(check_mode=True)
    assert planned["changed"] and f"stop {UNIT}" in planned["steps"] and host.in_service()
    done = host.mode()
    assert done["changed"] and done["enabled"], done
    status, headers, body = host.get()
    assert (status, headers["retry-after"]) == (503, "120") and "We are working on it" in body
    assert host.get(method="POST")[0] == 503
    # Health endpoints and the office pass; the application behind them is stopped.
    assert host.get("/health")[0] == 502 and host.get(source=OFFICE)[0] == 502
    assert host.unit() == "inactive"
    (silence,) = host.silences()
    assert silence["matchers"][0]["value"] == SERVICE
    # It is kept from starting.
    host.host.run("systemctl", "start", SERVICE)
    assert host.unit() == "inactive"
    again = host.mode()
    assert not again["changed"], again
    assert "in maintenance: window until" in host.host.run("day2ctl", "maintenance", "status")
    back = host.mode(state="disabled")
    assert back["changed"] and not back["enabled"]
    assert host.in_service()
    assert not host.mode(state="disabled")["changed"]


def test_it_ends_by_itself(host: Host) -> None:
    host.mode(duration="8s")
    assert host.get()[0] == 503
    host.until(host.in_service)
    timer = ("systemctl", "is-enabled", "day2-maintenance.timer")
    host.until(lambda: host.host.run(*timer, check=False) == "disabled")


def test_two_owners(host: Host) -> None:
    host.mode(owner="first", targets=["web"])
    host.mode(owner="second", targets=["web", "units"])
    first = host.mode(owner="first", state="disabled", targets=["web"])
    assert first["changed"] and [lease["owner"] for lease in first["leases"]] == ["second"]
    assert host.get()[0] == 503 and host.unit() == "inactive"
    assert host.mode(owner="nobody", state="disabled")["changed"] is False
    # Fewer targets: the units run again, users still see the page.
    host.mode(owner="second", targets=["web"])
    assert host.unit() == "active" and host.get()[0] == 503
    assert host.mode(state="disabled", force=True)["changed"] and host.in_service()


def test_extended(host: Host) -> None:
    host.mode(duration="20s")
    (before,) = host.silences()
    done = host.mode(state="extended", duration="30m")
    assert done["changed"] and done["leases"][0]["left"] > 1700
    (after,) = host.silences()
    assert after["endsAt"] > before["endsAt"]
    unknown = host.mode(state="extended", owner="nobody")
    assert unknown["failed"] and "nobody holds no lease" in unknown["msg"] and "window" in unknown["msg"]


@pytest.mark.parametrize(
    ("about", "words"),
    [
        ({"units": [SERVICE, "nosuch"]}, "nosuch.service is not-found"),
        ({"alerts": {"alertmanager": "http://127.0.0.1:1", "matchers": [{"name": "a", "value": "b"}]}}, "refused"),
        ({"alerts": {"alertmanager": ALERTMANAGER}}, "'matchers' is empty"),
        ({"web": {"probe": "https://127.0.0.1/health"}}, "should answer 503"),
        ({"web": {"snippet": "/etc/nginx/nosuch"}}, "ansible-playbook day2.ops.maintenance_setup installs it"),
        ({"duration": "-1h"}, "'duration'"), ({"duration": None}, "'duration' is missing"),
        ({"reason": None}, "'reason' is missing"), ({"targets": ["webb"]}, "'targets' has 'webb'"),
        ({"targets": []}, "'targets' is empty"), ({"service": "../x"}, "'service'"),
    ],
)  # fmt: skip
def test_all_or_none(host: Host, about: dict[str, Any], words: str) -> None:
    done = host.mode(**about)
    assert done["failed"] and words in done["msg"], done
    assert host.in_service()


def test_a_unit_that_does_not_stop(host: Host) -> None:
    loop = "trap '' TERM; exec sleep 1000"
    unit = f'[Service]\nExecStart=/bin/sh -c "{loop}"\nTimeoutStopSec=60\n'
    host.host.run("sh", "-c", "cat > /etc/systemd/system/stubborn.service; systemctl daemon-reload", text=unit)
    host.host.run("systemctl", "start", "stubborn")
    try:
        done = host.mode(units=[SERVICE, "stubborn"], units_timeout="3s")
        assert done["failed"] and "stubborn.service" in done["msg"] and "took longer" in done["msg"], done
        assert host.unit() == "active" and host.get()[0] == 200
        # It is still asked to stop; once it did, the host's timer starts it again.
        host.host.run("systemctl", "kill", "-s", "KILL", "stubborn")
        host.until(lambda: host.unit("stubborn") == "active" and host.in_service())
    finally:
        host.host.run("systemctl", "stop", "--no-block", "stubborn", check=False)
        host.host.run("systemctl", "kill", "-s", "KILL", "stubborn", check=False)
        host.host.run("sh", "-c", "rm -f /etc/systemd/system/stubborn.service; systemctl daemon-reload")


def test_a_broken_nginx_is_left_alone(host: Host) -> None:
    host.host.run("sh", "-c", "echo 'nonsense;' > /etc/nginx/conf.d/broken.conf")
    try:
        done = host.mode()
    finally:
        host.host.run("rm", "/etc/nginx/conf.d/broken.conf")
    assert done["failed"] and "broken already" in done["msg"]
    assert host.in_service()


def test_an_edited_snippet_is_not_overwritten(host: Host) -> None:
    snippet = f"/etc/nginx/snippets/day2-maintenance-{SERVICE}.conf"
    host.host.run("cp", "-p", snippet, "/root/snippet")
    host.host.run("sh", "-c", f"echo '# mine' >> {snippet}")
    try:
        refused = role_on(host.host, "day2.ops.maintenance_page", {"maintenance_page_service": SERVICE})
        assert refused.returncode == 2 and "was edited by hand" in refused.stdout
        assert host.host.run("tail", "-n", "1", snippet) == "# mine"
        done = host.mode()
        assert done["failed"] and "edited by hand" in done["msg"]
    finally:
        host.host.run("cp", "-p", "/root/snippet", snippet)
    assert host.in_service()


def test_two_services_of_one_server_have_two_pages(host: Host) -> None:
    """Names that differ by a dash alone, and a server that asks for a password, rewrites, and has a 503 of its own."""
    other = SERVICE.replace("-", "_")
    done = role_on(host.host, "day2.ops.maintenance_page", {**NGINX, "maintenance_page_service": other})
    assert done.returncode == 0, done.stdout + done.stderr
    edit = ("sed", "-i", "--follow-symlinks")
    host.host.run(*edit, rf"s/^\s*listen 443.*/&\n    auth_basic day2-test;\n    deny 127.0.0.1;{OWN}/", SITE)
    try:
        host.reload_nginx()
        assert host.get()[0] in (401, 403)
        busy = host.get("/busy")
        assert busy[0] == 503 and "We are working on it" not in busy[2]
        for enabled in ([SERVICE], [SERVICE, other], [other]):
            for service in (SERVICE, other):
                state = "enabled" if service in enabled else "disabled"
                assert not host.mode(service=service, state=state, targets=["web"]).get("failed")
            status, headers, body = host.get(method="POST")
            assert (status, headers["retry-after"]) == (503, "120"), enabled
            assert any(f"<strong>{service}</strong>" in body for service in enabled), body
            assert host.get(f"/day2-maintenance-{SERVICE}.html")[0] == 404
            assert host.get("/health")[0] in (401, 403)
        host.mode(service=other, state="disabled", targets=["web"])
    finally:
        host.host.run(*edit, "/day2-test;/d; /deny 127.0.0.1;/d", SITE)
        host.reload_nginx()
    host.until(host.in_service)


def test_a_site_of_an_earlier_version_gets_what_it_lacks_or_stays_as_it_was(host: Host) -> None:
    edit, shared = ("sed", "-i", "--follow-symlinks"), "include /etc/nginx/snippets/day2-maintenance.conf;"
    host.host.run(*edit, r"\,include /etc/nginx/snippets/day2-maintenance.conf;,d", SITE)
    done = host.mode(targets=["web"])
    assert done["failed"] and "includes /etc/nginx/snippets/day2-maintenance.conf: name the site" in done["msg"], done
    clash = "server { listen 81; open_file_cache max=10; } # day2-test;"
    host.host.run("sh", "-c", f"echo '{clash}' >> {SITE}")
    before = host.host.run("cat", SITE)
    refused = role_on(host.host, "day2.ops.maintenance_page", NGINX)
    assert refused.returncode == 2 and '"open_file_cache" directive is duplicate' in refused.stdout
    assert host.host.run("cat", SITE) == before
    host.host.run(*edit, "/day2-test;/d", SITE)
    for changes in (True, False):
        done = role_on(host.host, "day2.ops.maintenance_page", NGINX)
        assert done.returncode == 0 and ("changed=0" not in done.stdout) is changes, done.stdout
    text = host.host.run("cat", SITE)
    assert text.count(shared) == text.count(f"day2-maintenance-{SERVICE}.conf;") == text.count("server {")
    assert host.mode(targets=["web"])["changed"] and host.get()[0] == 503


def test_a_damaged_state_gives_way_to_the_other(host: Host) -> None:
    host.mode()
    host.host.run("sh", "-c", f"truncate -s 100 {ROOT}/{SERVICE}/state.json")
    assert host.mode(state="status")["enabled"]
    assert host.mode(state="disabled")["changed"] and host.in_service()


@pytest.mark.parametrize("shift", ["-3 hours", "+3 hours"])
def test_a_clock_that_is_set_moves_no_end(host: Host, shift: str) -> None:
    """The lab's clock is the machine's, so that nobody can set it: the lease is asked with other readings."""
    host.mode(duration="10m")
    script = (
        "import json,sys; sys.path.insert(0, '/usr/local/bin/day2ctl')\n"
        "from ansible_collections.day2.ops.plugins.module_utils.maintenance import leases, states, store\n"
        "from dataclasses import replace\n"
        "s = store.FileStore(); now = states.reading()\n"
        "by = {'-3 hours': -10800, '+3 hours': 10800}[sys.argv[1]]\n"
        "lease = s.load('options-engine').leases['window']\n"
        "print(lease.left(replace(now, wall=now.wall + by)), lease.left(replace(now, wall=now.wall + by, boot='x')))"
    )
    same_boot, after_reboot = (float(word) for word in host.host.run("python3", "-c", script, shift).split())
    assert 500 < same_boot <= 600
    assert after_reboot <= 600


def test_the_checklist_knows(host: Host) -> None:
    host.mode()
    result = host.host.checks({"id": "mode", "probe": "maintenance"})["mode"]
    assert result["status"] == "ok" and result["value"] == 1 and "window until" in result["message"]
    host.mode(state="disabled")
    assert host.host.checks({"id": "mode", "probe": "maintenance"})["mode"]["message"] == "nothing is in maintenance"


def test_a_lease_that_could_not_be_left_is_a_warning(host: Host) -> None:
    host.mode(targets=["web", "alerts"])
    host.host.run("systemctl", "stop", "prometheus-alertmanager")
    try:
        done = host.mode(state="disabled")
        assert done["failed"] and "the host's timer goes on trying" in done["msg"]
        assert host.get()[0] == 200, "the others are left"
        result = host.host.checks({"id": "mode", "probe": "maintenance"})["mode"]
        assert result["status"] == "warning" and "could not be left" in result["message"]
    finally:
        host.start_alertmanager()
    host.until(host.in_service)
