# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Situations in which other tools failed, rebuilt with real systemd and real Alertmanagers.

Public reports: liske/needrestart 75, SSSD/sssd 5521, systemd/systemd 4708, 10529, 13198 and 26419,
prometheus/alertmanager 1269, 1627, 1897, 3279, 3366 and 4681, kubermatic/kubermatic 14157, psf/requests 5494.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from in_host import UNITS, InHost
from maintained_host import SERVICE, prepare

SLEEP = "[Service]\nExecStart=sleep infinity\n"
UNITS_ONLY = {"targets": ["units"], "units_stable": "200ms"}
SECRET = "hunter22"
FOLDER, CA = "/run/t-alertmanager", "/run/t-alertmanager/ca.pem"
FIRST, SECOND, BALANCED, MOVED, LOCKED = (f"127.0.0.1:{port}" for port in (9193, 9195, 9197, 9198, 9199))
PROXY = f"""
upstream t_peers {{
    server {FIRST};
    server {SECOND};
}}
server {{
    listen {BALANCED};
    location / {{
        proxy_pass http://t_peers;
    }}
}}
server {{
    listen {MOVED};
    return 301 http://{FIRST}$request_uri;
}}
"""
MATCHERS = [{"name": "service", "value": SERVICE}]


@pytest.fixture(scope="module")
def host(lab_host: Any) -> Iterator[InHost]:
    host = InHost(prepare(lab_host).host)
    yield host
    host.end()
    lab_host.run("systemctl", "stop", "--no-block", "prometheus-alertmanager")


def unit(more: str = "", service: str = "") -> str:
    return f"[Unit]\n{more}\n{SLEEP}{service}"


@pytest.mark.parametrize(
    ("texts", "words"),
    [
        ({"t_app__service": unit("RefuseManualStop=yes")}, "t-app.service refuses to be stopped by hand"),
        ({"t_app__service": unit("RefuseManualStart=yes"), "t_by__service": unit("Wants=t-app.service")},
         "t-app.service refuses to be started by hand"),
        ({"t_app__service": SLEEP, "t_by__service": unit("Wants=t-other.service"),
          "t_other__service": unit("RefuseManualStart=yes\nPartOf=t-app.service")},
         "t-other.service refuses to be started by hand"),
    ],
)  # fmt: skip
def test_units_that_take_no_orders_are_refused_before_anything_stops(
    host: InHost, texts: dict[str, str], words: str
) -> None:
    with host.units(**texts):
        start = "t-by t-app" if "t_other__service" in texts else "t-by" if "t_by__service" in texts else "t-app"
        host.sh(f"systemctl start {start}")
        done = host.mode(**UNITS_ONLY, units=["t-app"])
        assert done["failed"] and words in done["msg"], done
        assert host.state_of("t-app") == ["active"] and not host.drop_ins()
        assert host.sh("day2ctl maintenance status").startswith("nothing is in maintenance")


def test_one_that_takes_no_orders_stops_and_comes_back_with_others(host: InHost) -> None:
    other = unit("RefuseManualStop=yes\nRefuseManualStart=yes\nPartOf=t-app.service")
    with host.units(t_app__service=unit("Wants=t-other.service"), t_other__service=other):
        host.sh("systemctl start t-app")
        assert host.state_of("t-app", "t-other") == ["active", "active"]
        done = host.mode(**UNITS_ONLY, units=["t-app"])
        assert not done.get("failed") and host.state_of("t-app", "t-other") == ["inactive", "inactive"], done
        done = host.mode(state="disabled")
        assert not done.get("failed") and host.state_of("t-app", "t-other") == ["active", "active"], done


def test_a_unit_of_systemd_run_is_refused(host: InHost) -> None:
    """Once it stops nothing knows it any more, and the service would be said to be back."""
    with host.units(t_app__service=SLEEP):
        host.sh("systemctl start t-app; systemd-run --quiet --unit=t-made sleep infinity")
        host.sh("systemd-run --quiet --unit=t-bound --property=BindsTo=t-app.service sleep infinity")
        try:
            for named, gone in ((["t-made"], "t-made"), (["t-app"], "t-bound")):
                done = host.mode(**UNITS_ONLY, units=named)
                assert done["failed"] and f"{gone}.service was made by systemd-run" in done["msg"], done
            assert host.state_of("t-app", "t-made", "t-bound") == ["active"] * 3
        finally:
            host.sh("systemctl stop t-made t-bound")


@pytest.mark.parametrize("text", ["[Unit]\nConditionPathExists=\n", "[Unit]\nConditionHost=\nAssertPathExists=\n"])
@pytest.mark.parametrize("place", [UNITS, "/run/systemd/system"])
def test_an_override_that_empties_the_conditions_starts_nothing(host: InHost, place: str, text: str) -> None:
    """`systemctl edit` writes override.conf, which is read after names with digits: an empty condition empties all."""
    with host.units(t_app__service=unit("ConditionPathExists=/nosuch")):
        host.sh(f"mkdir -p {place}/t-app.service.d; cat > {place}/t-app.service.d/override.conf", text=text)
        try:
            host.sh("systemctl daemon-reload; systemctl start t-app")
            assert host.state_of("t-app") == ["active"]
            assert not host.mode(**UNITS_ONLY, units=["t-app"]).get("failed")
            host.sh("systemctl start t-app")
            assert host.state_of("t-app") == ["inactive"]
            done = host.mode(state="disabled")
            assert not done.get("failed") and host.state_of("t-app") == ["active"], done
        finally:
            host.sh(f"rm -r {place}/t-app.service.d; systemctl daemon-reload")


def test_a_limit_of_starts_keeps_nothing_down(host: InHost) -> None:
    """It counts starts of all kinds until systemd reads its units again, as it does at the end of the mode."""
    limit = "StartLimitBurst=1\nStartLimitIntervalSec=1h"
    with host.units(t_app__service=unit(limit), t_other__service=unit(f"{limit}\nRequires=t-app.service")):
        host.sh("systemctl start t-app t-other")
        for _turn in range(2):
            assert not host.mode(**UNITS_ONLY, units=["t-app"]).get("failed")
            assert host.state_of("t-app", "t-other") == ["inactive", "inactive"]
            done = host.mode(state="disabled")
            assert not done.get("failed") and not done["faults"], done
            assert host.state_of("t-app", "t-other") == ["active", "active"]


def test_units_by_other_names(host: InHost) -> None:
    """Instances of a template, one of them with a dot; an alias; a unit that failed before, and stays so."""
    failed = "[Service]\nExecStart=false\n"
    with host.units(**{"t_inst@__service": SLEEP, "t_app__service": f"{SLEEP}[Install]\nAlias=t-alias.service\n",
                       "t_bad__service": failed}):  # fmt: skip
        host.sh("systemctl enable -q t-app; systemctl start t-inst@1 t-inst@a.b t-inst@2 t-alias")
        host.sh("systemctl start t-bad", check=False)
        host.soon(lambda: host.state_of("t-bad"), lambda states: states == ["failed"])
        names = ["t-inst@1", "t-inst@a.b.service", "t-inst@2", "t-app", "t-bad"]
        before = host.state_of(*names)
        assert before == ["active", "active", "active", "active", "failed"]
        try:
            named = ["t-inst@1", "t-inst@a.b.service", "t-alias", "t-bad"]
            done = host.mode(**UNITS_ONLY, units=named)
            assert not done.get("failed"), done
            assert host.state_of(*names) == ["inactive", "inactive", "active", "inactive", "failed"]
            host.sh("systemctl start t-inst@1 t-inst@a.b t-app t-alias t-bad")
            assert host.state_of(*names[:4]) == ["inactive", "inactive", "active", "inactive"]
            # The same by its other name.
            assert not host.mode(**UNITS_ONLY, owner="second", units=["t-app"]).get("failed")
            host.mode(state="disabled", owner="second")
            done = host.mode(state="disabled")
            assert not done.get("failed") and host.state_of(*names) == before, done
        finally:
            host.sh(f"systemctl stop t-inst@1 t-inst@a.b t-inst@2; systemctl disable -q t-app; rm -f {UNITS}/t-alias*",
                    check=False)  # fmt: skip


@pytest.mark.parametrize(
    ("named", "words"),
    [
        (["t-nosuch"], "t-nosuch.service is not-found"), (["t-masked"], "t-masked.service is masked"),
        (["t-inst@"], "t-inst@.service"), (["t-app", "t-app.service"], "named twice"),
        (["t-app.servce"], "t-app.servce"),
        (["t app"], "'t app' is no name of a unit"), (["t-*"], "'t-*' is no name of a unit"), ([7], "'units' has 7"),
        (["../t-app"], "is no name of a unit"), (["--all"], "is no name of a unit"), ([], "no unit is named"),
        ([{"name": "t-app", "pause": "kill -STOP 1", "resume": ["true"]}], "'pause' is a list of words"),
        ([{"name": "t-app", "pause": ["true"]}], "'pause' and 'resume' go together"),
        ([{"name": "t-app", "stop": ["true"]}], "'stop' is no option"),
    ],
)  # fmt: skip
def test_what_is_no_unit_to_stop_is_refused_by_name(host: InHost, named: list[Any], words: str) -> None:
    with host.units(**{"t_app__service": SLEEP, "t_inst@__service": SLEEP}):
        host.sh(f"systemctl start t-app; ln -sf /dev/null {UNITS}/t-masked.service; systemctl daemon-reload")
        try:
            done = host.mode(**UNITS_ONLY, units=named)
            assert done["failed"] and words in done["msg"], done
            assert host.state_of("t-app") == ["active"] and not host.drop_ins()
        finally:
            host.sh(f"rm {UNITS}/t-masked.service")


@pytest.mark.parametrize("named", [["nginx"], ["t-app"]])
def test_an_nginx_that_would_stop_shows_no_page(host: InHost, named: list[str]) -> None:
    """Named by itself, or bound to what is named: users would be refused, and the status said 503."""
    with host.units(t_app__service=SLEEP):
        host.sh("systemctl start t-app; mkdir -p /run/systemd/system/nginx.service.d")
        host.sh("cat > /run/systemd/system/nginx.service.d/t.conf", text="[Unit]\nBindsTo=t-app.service\n")
        host.sh("systemctl daemon-reload")
        try:
            done = host.mode(targets=["web", "units"], units=named)
            assert done["failed"] and "nginx.service would stop" in done["msg"], done
            assert "everything is as it was before" in done["msg"] or not host.mode(state="status")["targets"]
            assert host.get()[0] == 200 and host.state_of("t-app") == ["active"]
        finally:
            host.sh("rm -r /run/systemd/system/nginx.service.d; systemctl daemon-reload")


@pytest.fixture(scope="module")
def alertmanagers(host: InHost) -> Iterator[None]:
    """Two of a cluster, below a prefix; one more with TLS and a password; proxies in front of them."""
    key = "openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=t -addext subjectAltName=IP:127.0.0.1"
    host.sh(f"mkdir -p {FOLDER}; cd {FOLDER}; {key} -keyout key.pem -out ca.pem 2>/dev/null; chmod 755 .")
    crypt = "import crypt, sys; print(crypt.crypt(sys.argv[1], crypt.mksalt(crypt.METHOD_BLOWFISH, rounds=16)))"
    hashed = host.host.run("python3", "-W", "ignore", "-c", crypt, SECRET)
    web = {"tls_server_config": {"cert_file": f"{FOLDER}/ca.pem", "key_file": f"{FOLDER}/key.pem"},
           "basic_auth_users": {"ops": hashed}}  # fmt: skip
    host.sh(f"cat > {FOLDER}/web.yml", text=json.dumps(web))
    program = "prometheus-alertmanager --config.file=/etc/prometheus/alertmanager.yml"
    own = [(FIRST, "9194", "--web.route-prefix=/am"),
           (SECOND, "9196", "--web.route-prefix=/am --cluster.peer=127.0.0.1:9194"),
           (LOCKED, "", f"--web.config.file={FOLDER}/web.yml")]  # fmt: skip
    for number, (address, port, more) in enumerate(own):
        cluster = f"--cluster.listen-address=127.0.0.1:{port}" if port else "--cluster.listen-address="
        advertise = f" --cluster.advertise-address=127.0.0.1:{port}" if port else ""
        host.sh(f"systemd-run --quiet --unit=t-am{number} {program} --storage.path={FOLDER}/{number}"
                f" --web.listen-address={address} {cluster}{advertise} {more}")  # fmt: skip
    host.sh("cat > /etc/nginx/conf.d/t-peers.conf; nginx -t -q && nginx -s reload", text=PROXY)
    places = [f"http://{FIRST}/am", f"http://{SECOND}/am", f"https://{LOCKED}"]
    host.soon(
        lambda: [said(host, f"{place}/-/ready", check=False) for place in places], lambda found: found == ["OK"] * 3
    )
    host.soon(lambda: len(asked(host, f"http://{FIRST}/am", "status")["cluster"]["peers"]), lambda peers: peers == 2)
    yield
    host.sh(
        "systemctl stop t-am0 t-am1 t-am2; rm -rf /etc/nginx/conf.d/t-peers.conf /run/t-alertmanager; nginx -s reload"
    )


# By a Python of the host: an address, a method and what is sent.
_ASK = """
import base64, ssl, sys, urllib.request
url, method, data, secret = sys.argv[1:]
headers = {"Content-Type": "application/json", "Authorization": "Basic " + base64.b64encode(secret.encode()).decode()}
request = urllib.request.Request(url, data.encode() or None, headers, method=method)
print(urllib.request.urlopen(request, context=ssl._create_unverified_context()).read().decode())
"""


def said(host: InHost, url: str, method: str = "GET", data: str = "", check: bool = True) -> str:
    return str(host.host.run("python3", "-c", _ASK, url, method, data, f"ops:{SECRET}", check=check))


def asked(host: InHost, base: str, what: str) -> Any:
    return json.loads(said(host, f"{base}/api/v2/{what}"))


def active(host: InHost, base: str) -> list[Any]:
    return [one for one in asked(host, base, "silences") if one["status"]["state"] == "active"]


def silenced(host: InHost, url: str, **more: Any) -> Any:
    return host.mode(targets=["alerts"], alerts={"alertmanager": url, "matchers": MATCHERS, **more})


@pytest.mark.usefixtures("alertmanagers")
@pytest.mark.parametrize(
    ("url", "words"),
    [
        (f"http://{FIRST}", "web.route-prefix"), (f"http://{FIRST}/am/#/silences", "without a page"),
        (f"http://{FIRST}/am/api/v2", "without a page"), (f"http://{MOVED}/am", f"it is at http://{FIRST}/am/api/v2/silences"),
        (f"http://{LOCKED}", "HTTP 400"), (f"https://{FIRST}/am", "alerts: GET"),
    ],
)  # fmt: skip
def test_an_address_that_is_not_quite_it_is_refused_with_what_to_do(host: InHost, url: str, words: str) -> None:
    done = silenced(host, url)
    assert done["failed"] and words in done["msg"] and not active(host, f"http://{FIRST}/am"), done
    assert not host.mode(state="status")["enabled"]


@pytest.mark.usefixtures("alertmanagers")
def test_several_behind_one_address_have_one_silence_and_none(host: InHost) -> None:
    """Each request meets another of them, which learns a moment later what the first one was told."""
    peers = [f"http://{FIRST}/am", f"http://{SECOND}/am"]
    done = silenced(host, f"http://{BALANCED}/am/")
    assert not done.get("failed") and not done["faults"], done
    host.soon(lambda: [len(active(host, peer)) for peer in peers], lambda found: found == [1, 1])
    longer = host.mode(state="extended", duration="30m")
    assert not longer.get("failed"), longer
    host.soon(lambda: [len(active(host, peer)) for peer in peers], lambda found: found == [1, 1])
    done = host.mode(state="disabled")
    assert not done.get("failed"), done
    host.soon(lambda: [len(active(host, peer)) for peer in peers], lambda found: found == [0, 0])


@pytest.mark.usefixtures("alertmanagers")
@pytest.mark.parametrize(
    ("url", "about", "words"),
    [
        (f"https://ops:{SECRET}@{LOCKED}", {}, "certificate"),
        (f"https://ops:{SECRET}@{LOCKED}", {"ca_path": "/nosuch.pem"}, "/nosuch.pem"),
        (f"https://ops:{SECRET}@{LOCKED}", {"ca_path": "/etc/hostname"}, "/etc/hostname"),
        (f"https://ops:{SECRET}@{LOCKED}", {"ca_path": "/etc/ssl/certs/options-engine.pem"}, "certificate"),
        (f"https://ops:not{SECRET}@{LOCKED}", {"ca_path": CA}, "HTTP 401"),
        (f"https://{LOCKED}", {"ca_path": CA}, "HTTP 401"),
    ],
)  # fmt: skip
def test_who_is_not_whom_is_expected_gets_no_password(
    host: InHost, url: str, about: dict[str, str], words: str
) -> None:
    done = silenced(host, url, **about)
    assert done["failed"] and words in done["msg"] and SECRET not in json.dumps(done), done
    assert not active(host, f"https://{LOCKED}") and not host.mode(state="status")["enabled"]


@pytest.mark.usefixtures("alertmanagers")
def test_an_authority_of_the_sites_own(host: InHost) -> None:
    """Also for the host's timer and who ends it, who were not told the file."""
    done = silenced(host, f"https://ops:{SECRET}@{LOCKED}", ca_path=CA)
    assert not done.get("failed") and not done["faults"] and SECRET not in json.dumps(done), done
    (before,) = active(host, f"https://{LOCKED}")
    said(host, f"https://{LOCKED}/api/v2/silence/{before['id']}", "DELETE")
    host.soon(lambda: len(active(host, f"https://{LOCKED}")), lambda found: found == 1)
    host.sh(f"day2ctl maintenance disable {SERVICE} --force")
    assert not active(host, f"https://{LOCKED}") and not host.trace(SECRET)


LABELS = {"alertname": "T", "service": 'shop "x" a.b', "path": "C:\\dir\\n", "place": "Zürich"}


@pytest.mark.usefixtures("alertmanagers")
@pytest.mark.parametrize(
    ("matchers", "fits"),
    [
        ([("service", 'shop "x" a.b'), ("place", "Zürich"), ("path", "C:\\dir\\n")], True),
        ([("service", "shop")], False),
        # A regular expression is for all of the value, and a backslash in it escapes.
        ([("service", ".*x.*", True), ("place", "Z.rich", True), ("alertname", "S|T", True)], True),
        ([("service", "hop.*", True)], False), ([("path", "C:\\dir\\n", True)], False),
        ([("path", "C:\\\\dir\\\\n", True), ("service", 'shop "x" a\\.b', True)], True),
        ([("alertname", "T"), ("service", "other", False, False)], True),
        ([("alertname", "T"), ("service", "shop.*", True, False)], False),
        # An alert without a label has it empty.
        ([("alertname", "T"), ("team", ""), ("owner", "a|", True)], True),
    ],
)  # fmt: skip
def test_what_matchers_silence(host: InHost, matchers: list[Any], fits: bool) -> None:
    said(host, f"http://{FIRST}/am/api/v2/alerts", "POST", json.dumps([{"labels": LABELS}]))
    named = [dict(zip(("name", "value", "regex", "equal"), matcher)) for matcher in matchers]
    done = silenced(host, f"http://{FIRST}/am", matchers=named)
    try:
        assert not done.get("failed"), done
        wanted = "suppressed" if fits else "active"
        host.soon(lambda: [alert["status"]["state"] for alert in asked(host, f"http://{FIRST}/am", "alerts")],
                  lambda states: states == [wanted])  # fmt: skip
    finally:
        host.mode(state="disabled")


@pytest.mark.usefixtures("alertmanagers")
@pytest.mark.parametrize(
    "matchers", [[("service", "(", True)], [("service", ".*", True)], [("a-b", "x")], [("service", "")],
                 [("alertname", "A"), ("alertname", "B")], [("service", '"shop"')]],
)  # fmt: skip
def test_matchers_that_silence_nothing_or_everything_are_refused(host: InHost, matchers: list[Any]) -> None:
    named = [dict(zip(("name", "value", "regex"), matcher)) for matcher in matchers]
    done = silenced(host, f"http://{FIRST}/am", matchers=named)
    assert done["failed"] and "alerts: " in done["msg"], done
    assert not host.mode(state="status")["enabled"] and not active(host, f"http://{FIRST}/am")
