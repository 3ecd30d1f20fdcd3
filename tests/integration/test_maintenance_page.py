# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What users of a site see in maintenance, by real nginx: whatever became of the page, whatever they ask or send."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from in_host import InHost
from page_site import ALLOWED, APP_UNIT, ASK, OWN, PAGE, PASSED, SERVICE, SITE, SITE_TEXT, SNIPPET, Question, write_page

MODE = {"service": SERVICE, "targets": ["web"], "units": ["t-app"]}
PLAIN = "In maintenance. Please try again later."


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("page") / "page.html"


@pytest.fixture(scope="module")
def host(lab_host: Any, page: Path) -> Iterator[InHost]:
    host = InHost(lab_host)
    host.sh(f"cat > {ASK}", text=(Path(__file__).parents[1] / "support" / "page_ask.py").read_text())
    host.host.run("tee", SITE, text=SITE_TEXT)
    host.host.run("tee", f"/etc/systemd/system/{APP_UNIT}", text=f"[Service]\nExecStart=python3 {ASK} serve\n")
    host.sh(f"systemctl daemon-reload; systemctl start {APP_UNIT}; rm -f /run/t-begun /run/t-go")
    write_page(page)
    done = install(host, page)
    assert done.returncode == 0, done.stdout + done.stderr
    host.soon(lambda: asked(host, {"path": "/x"})[0]["status"], lambda status: status == 200)
    yield host
    host.sh(f"day2ctl maintenance disable {SERVICE} --force; rm -f {SITE} /etc/nginx/conf.d/day2-maintenance-"
            f"{SERVICE}.conf; nginx -s reload; systemctl stop {APP_UNIT}; rm -rf {PAGE}"
            f" /etc/systemd/system/{APP_UNIT} {SNIPPET}; systemctl daemon-reload")  # fmt: skip


def install(host: InHost, page: Path) -> Any:
    variables = {
        "maintenance_page_service": SERVICE, "maintenance_page_sites": [SITE], "maintenance_page_retry_after": 120,
        "maintenance_page_file": str(page), "maintenance_page_pass": PASSED, "maintenance_page_allow": ALLOWED,
    }  # fmt: skip
    path = host.host.workdir / "page.json"
    roles = [{"role": "day2.ops.runtime"}, {"role": "day2.ops.maintenance_page", "vars": variables}]
    path.write_text(json.dumps([{"hosts": host.host.name, "gather_facts": False, "become": True, "roles": roles}]))
    return host.host.playbook(str(path))


def asked(host: InHost, *questions: Question) -> list[dict[str, Any]]:
    said: list[dict[str, Any]] = json.loads(host.host.run("python3", ASK, "ask", json.dumps(questions)))
    return said


@contextmanager
def in_maintenance(host: InHost, **arguments: Any) -> Iterator[dict[str, Any]]:
    done = host.mode(**{**MODE, **arguments})
    try:
        assert done.get("changed"), done
        yield done
    finally:
        host.sh(
            f"touch /run/t-go; day2ctl maintenance disable {SERVICE} --force; rm -f /run/t-begun /run/t-go", check=False
        )


def test_the_page_is_installed_as_it_is(host: InHost, page: Path) -> None:
    """A template in it is a part of the page: nothing of it is carried out on the controller, or read by Jinja."""
    marks = write_page(page)
    installed = host.host.run("sh", "-c", f"base64 -w0 {PAGE}")
    sent = subprocess.run(["base64", "-w0", str(page)], capture_output=True, text=True, check=True).stdout
    assert installed == sent
    assert not [mark for mark in marks if mark.exists()], "the page was carried out"
    again = install(host, page)
    assert again.returncode == 0 and "changed=0" in again.stdout, again.stdout
    with in_maintenance(host):
        (seen,) = asked(host, {"path": "/"})
        assert seen["status"] == 503 and "{{ lookup(" in seen["body"] and "{#" in seen["body"]


@pytest.mark.parametrize(
    "broken",
    [
        "rm -f {0}", "chmod 000 {0}", "chown root:root {0}; chmod 600 {0}", "rm -f {0}; mkdir {0}",
        "rm -f {0}; ln -s /nowhere {0}", "rm -f {0}; ln -s {0} {0}", "chmod 700 $(dirname {0})",
        "rm -f {0}; ln -s /root/secret {0}", "rm -f {0}; mkdir -p {0}; touch {0}/index.html",
    ],
)  # fmt: skip
def test_a_page_that_cannot_be_shown_is_503_all_the_same(host: InHost, broken: str) -> None:
    pages = "/var/lib/day2/pages"
    host.sh(f"cp -a {PAGE} /root/page; {broken.format(PAGE)}")
    try:
        with in_maintenance(host):
            every = [
                {"path": path, "method": method, "tls": tls}
                for path in ("/", "/x.html") for method in ("GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS")
                for tls in (True, False)
            ]  # fmt: skip
            for question, seen in zip(every, asked(host, *every)):
                about = (question, seen)
                assert (seen["status"], seen["headers"]["retry-after"]) == (503, "120"), about
                assert seen["headers"]["cache-control"] == "no-store", about
                assert seen["headers"]["content-type"] == "text/html; charset=utf-8", about
                assert question["method"] == "HEAD" or PLAIN in seen["body"], about
    finally:
        host.sh(f"chmod 755 {pages}; rm -rf {PAGE}; mv /root/page {PAGE}")


def test_uploads_of_any_size_are_answered_503(host: InHost) -> None:
    """One server takes 100 MB, the other 1 MB; the site has a page of its own for 413."""
    uploads = [
        {"path": "/upload", "method": method, "tls": tls, "size": size, **more}
        for method in ("POST", "PUT") for tls in (True, False) for size in (0, 1, 5_000_000)
        for more in ({}, {"chunked": True}, {"expect": True})
    ]  # fmt: skip
    with in_maintenance(host):
        for upload, seen in zip(uploads, asked(host, *uploads)):
            assert seen["status"] == 503 and seen["headers"]["retry-after"] == "120", (upload, seen)
    before = [{"path": "/upload", "method": "POST", "tls": tls, "size": 5_000_000} for tls in (True, False)]
    assert [seen["status"] for seen in asked(host, *before)] == [200, 413], "the site's own limits, in service"


@pytest.mark.parametrize(
    ("passes", "paths"),
    [
        (True, ["/lb/", "/lb/live", "/lb/a/b?x=1", "/health", "/health/", "/health/live", "/health?x", "/a.b", "/a%20b",
                "/a%20b/c", "/%C3%BC", "/q%7B1%7D", "/$x", "/~me/x", "/x;y", "//lb/live", "/x/../lb/live", "/a+b"]),
        (False, ["/", "/lb", "/lbx", "/lb.html", "/healthy", "/health-x", "/health.json", "/x/lb/live", "/x/health",
                 "/LB/live", "/axb", "/a.bc", "/lb/../x", "/lb%2f..%2fx", "/q", "/q1", "/x", "/aab",
                 "/health%0A", "/day2-maintenance-t_dpage", "/day2-maintenance-t_dpage.html/x"]),
    ],
)  # fmt: skip
def test_paths_that_pass_are_those_and_what_is_below(host: InHost, passes: bool, paths: list[str]) -> None:
    with in_maintenance(host):
        for seen, path in zip(asked(host, *({"path": path} for path in paths)), paths):
            assert seen["status"] == (200 if passes else 503), (path, seen)
    for seen, path in zip(asked(host, *({"path": path} for path in paths)), paths):
        if path.startswith("/day2-maintenance"):
            assert seen["status"] == 404 and "Page of" not in seen["body"], ("in service", path, seen)
        else:
            assert seen["body"] == "ok", ("in service", path, seen)


@pytest.mark.parametrize(
    ("lines", "tls", "served"),
    [
        # The address that the proxy in front names, not the proxy's own (kubernetes/ingress-nginx 2257).
        (["X-Forwarded-For: 203.0.113.9"], True, True), (["X-Forwarded-For: 2001:db8::7"], True, True),
        (["X-Forwarded-For: 198.51.100.1, 203.0.113.9"], True, True),
        (["X-Forwarded-For: 203.0.113.9:4711"], True, True),
        (["X-Forwarded-For: 203.0.113.9, 198.51.100.1"], True, False), (["X-Forwarded-For: 198.51.100.1"], True, False),
        (["X-Forwarded-For: 2001:db9::7"], True, False), (["X-Forwarded-For: office"], True, False), ([], True, False),
        # Whom nobody trusts names nobody.
        (["X-Forwarded-For: 203.0.113.9"], False, False), (["X-Real-IP: 203.0.113.9"], True, False),
    ],
)  # fmt: skip
def test_who_is_served_by_the_address_that_a_proxy_names(
    host: InHost, lines: list[str], tls: bool, served: bool
) -> None:
    with in_maintenance(host):
        (seen,) = asked(host, {"path": "/", "tls": tls, "lines": lines})
        assert seen["status"] == (200 if served else 503), seen


def test_whatever_else_a_request_has_it_is_answered_503(host: InHost) -> None:
    """Neither a part of the page, nor `not modified`, nor another name's server."""
    headers = [
        ["Range: bytes=0-0"], ["Range: bytes=99999999-"], ["If-None-Match: *"], ["If-Match: nosuch"],
        ["If-Modified-Since: Thu, 01 Jan 2037 00:00:00 GMT"], ["If-Unmodified-Since: Thu, 01 Jan 1998 00:00:00 GMT"],
        ["Accept-Encoding: gzip, br"], ["Accept: application/json"], ["Content-Type: application/grpc", "TE: trailers"],
        ["Origin: https://other.example.com", "Access-Control-Request-Method: PUT"], ["Host: nosuch.example.com"],
        ["Host: 127.0.0.1"], ["Cookie: a=1", "Authorization: Basic eDp5"], ["X-Accel-Redirect: /x"],
        ["X-HTTP-Method-Override: GET"], ["X-Original-URI: /health"], ["X-Rewrite-URL: /health"],
    ]  # fmt: skip
    questions: list[Question] = [
        {"path": "/", "tls": tls, "lines": lines} for lines in headers for tls in (True, False)
    ]
    questions += [
        {"path": f"http://t-page.example.com{path}", "tls": tls} for path in ("/", "/x") for tls in (True, False)
    ]
    questions += [{"path": "/", "version": "1.0", "tls": False}, {"path": "/?/health", "tls": False}]
    questions += [{"path": "/", "method": method} for method in ("PATCH", "PROPFIND", "REPORT")]
    with in_maintenance(host):
        for question, seen in zip(questions, asked(host, *questions)):
            assert (seen["status"], seen["headers"]["retry-after"]) == (503, "120"), (question, seen)
            assert "Page of the site" in seen["body"], (question, seen)
            assert "content-encoding" not in seen["headers"], (question, seen)


def test_an_nginx_that_does_not_run_is_no_page(host: InHost) -> None:
    host.sh("systemctl stop nginx")
    try:
        done = host.mode(**{**MODE, "targets": ["web", "units"]})
        assert done["failed"] and "refused" in done["msg"] and "everything is as it was before" in done["msg"], done
        assert host.state_of("t-app") == ["active"] and not host.mode(**MODE, state="status")["enabled"]
    finally:
        host.sh("systemctl start nginx")
    host.soon(lambda: asked(host, {"path": "/x"})[0]["status"], lambda status: status == 200)


@contextmanager
def slow(host: InHost, path: str = "/slow", **more: Any) -> Iterator[Future[dict[str, Any]]]:
    """A request that the application has begun to answer; it ends when /run/t-go is there, or after a minute."""
    host.sh("rm -f /run/t-begun /run/t-go")
    with ThreadPoolExecutor(1) as pool:
        answer = pool.submit(lambda: asked(host, {"path": path, "method": "POST", "size": 10, **more})[0])
        try:
            host.soon(lambda: host.sh("ls /run/t-begun 2>&1", check=False), lambda said: said == "/run/t-begun")
            yield answer
        finally:
            host.sh("touch /run/t-go")


@pytest.mark.parametrize(("path", "drain"), [("/slow", "60s"), ("/unix/slow", "60s"), ("/kept/slow", "10s")])
def test_a_request_in_flight_gets_its_answer(host: InHost, path: str, drain: str) -> None:
    """New ones see the page meanwhile; the application is stopped once the last of the old ones has its answer.

    A connection that nginx keeps afterwards looks like a request: it is waited for to the limit.
    """
    with slow(host, path) as answer, ThreadPoolExecutor(1) as pool:
        arguments = {**MODE, "targets": ["web", "units"], "web": {"drain": drain}}
        entering = pool.submit(lambda: host.mode(**arguments))
        host.soon(lambda: asked(host, {"path": "/"})[0]["status"], lambda status: status == 503)
        # It proves that the page is seen, and then waits for the request.
        assert not wait([entering], 5).done and not answer.done() and host.state_of("t-app") == ["active"]
        host.sh("touch /run/t-go")
        done = entering.result()
        assert answer.result()["status"] == 200, (answer.result(), done)
        assert done.get("changed") and host.state_of("t-app") == ["inactive"], done
        waited = "1 of 1 connections" if path == "/kept/slow" else "1 requests that nginx was answering have ended"
        assert any(waited in step for step in done["steps"]), done
    back = host.mode(**{**MODE, "targets": ["web", "units"], "state": "disabled"})
    assert back["changed"] and host.state_of("t-app") == ["active"], back


@pytest.mark.parametrize(("path", "drain"), [("/slow", "500ms"), ("/socket", "500ms"), ("/slow", "0")])
def test_a_request_longer_than_the_drain_keeps_nobody(host: InHost, path: str, drain: str) -> None:
    with slow(host, path) as answer:
        try:
            done = host.mode(**{**MODE, "targets": ["web", "units"], "web": {"drain": drain}})
            assert done.get("changed") and host.state_of("t-app") == ["inactive"], done
            said = [step for step in done["steps"] if "still open" in step]
            assert bool(said) is (drain != "0") and all("1 of 1 connections" in step for step in said), done
            assert answer.result()["status"] in (502, 101), "the application is stopped under it"
        finally:
            host.mode(**{**MODE, "targets": ["web", "units"], "state": "disabled"})


def test_a_websocket_goes_on_in_a_mode_of_web_alone(host: InHost) -> None:
    with slow(host, "/socket") as answer, in_maintenance(host, web={"drain": "300ms"}) as done:
        assert any("1 of 1 connections" in step and "websockets" in step for step in done["steps"]), done
        assert asked(host, {"path": "/socket"})[0]["status"] == 503
        host.sh("touch /run/t-go")
        assert answer.result() == {"status": 101, "headers": answer.result()["headers"], "body": "ended"}


def test_without_a_probe_each_server_is_asked(host: InHost) -> None:
    with in_maintenance(host) as done:
        said = next(step for step in done["steps"] if step.startswith("users see the page"))
        assert "http://t-page.example.com:7080/" in said and "https://t-page.example.com:7443/" in said, said
        assert said.count("says HTTP 503") == 2, said


def includes(host: InHost) -> bool:
    """Whether the nginx that runs has the role's files: the application answers that path otherwise."""
    return bool(asked(host, {"path": "/day2-maintenance-x"})[0]["body"] == OWN)


@pytest.mark.parametrize("web", [{}, {"probe": "http://127.0.0.1:7080/"}])
def test_a_configuration_that_nginx_has_not_read_is_refused(host: InHost, web: dict[str, str]) -> None:
    """The file has the includes, the nginx that runs does not: users would be served."""
    text = host.host.run("cat", SITE)
    bare = "\n".join(line for line in text.split("\n") if "day2-maintenance" not in line)
    host.sh(f"cat > {SITE}; nginx -s reload", text=bare)
    try:
        host.soon(lambda: includes(host), lambda does: not does)
        unknown = host.mode(**MODE, web=web)
        assert unknown["failed"] and "no server of nginx includes" in unknown["msg"], unknown
        host.sh(f"cat > {SITE}", text=f"{text}\n")
        done = host.mode(**MODE, web=web)
        assert done["failed"] and "503" in done["msg"] and "HTTP 200" in done["msg"], done
        assert "was nginx reloaded since" in done["msg"] and "everything is as it was before" in done["msg"], done
    finally:
        host.sh(f"cat > {SITE}; nginx -s reload", text=f"{text}\n")
    host.soon(lambda: includes(host), bool)


def test_a_configuration_of_an_earlier_release_is_named(host: InHost) -> None:
    """It has no answer for a page that is missing: the message says to set up the host again, and enters otherwise."""
    current = host.host.run("cat", SNIPPET)
    old = "\n".join(
        line for line in current.partition("location @day2_maintenance_")[0].split("\n")[1:]
        if not any(word in line for word in ("recursive_error_pages", "=503", "client_max_body_size"))
    )  # fmt: skip
    seal = "import hashlib,sys; t=sys.stdin.read(); print('# day2.ops maintenance, sha256 '" \
           " + hashlib.sha256(t.encode()).hexdigest()); print(t, end='')"  # fmt: skip
    host.sh(f'cat > /root/old; python3 -c "{seal}" < /root/old > {SNIPPET}; nginx -s reload', text=f"{old}\n")
    try:
        with in_maintenance(host) as done:
            assert any("maintenance_setup" in step for step in done["steps"]), done
        host.sh(f"mv {PAGE} /root/page")
        for web in ({}, {"probe": "http://127.0.0.1:7080/"}):
            done = host.mode(**MODE, web=web)
            assert done["failed"] and "HTTP 404" in done["msg"] and "maintenance_setup" in done["msg"], done
    finally:
        host.sh(f"test ! -e /root/page || mv /root/page {PAGE}; cat > {SNIPPET}; nginx -s reload", text=f"{current}\n")
