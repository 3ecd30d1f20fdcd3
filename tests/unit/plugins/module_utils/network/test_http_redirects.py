# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Redirects: what is followed, where to, and which secrets go along."""

from __future__ import annotations

import ssl
from typing import Any

import pytest
from ansible_collections.day2.ops.plugins.module_utils.network import http as requests
from raw_http import Server, observe, page, redirect

SECRET = "Bearer s3cr3t-token"


def authorized(server: Server) -> list[bool]:
    """Of each request whether it carried any of the check's secrets."""
    return [
        SECRET in headers.values() or "authorization" in headers or "x-key" in headers
        for _line, headers in server.asked
    ]


CREDENTIALS = [
    {"headers": {"Authorization": SECRET}},
    {"headers": {"X-Key": "k3y"}},
    {"user": "ops", "password": "pw"},
]


@pytest.mark.parametrize("credentials", CREDENTIALS)
@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_secrets_stay_with_their_server(
    server: Server, other: Server, status: int, credentials: dict[str, Any]
) -> None:
    server.pages["/a"] = redirect(f"{other.url}/b", status)
    other.pages["/b"] = page(b"ok")
    seen = observe(f"{server.url}/a", metric="status", **credentials)
    assert seen.value == 200 and authorized(server) == [True] and authorized(other) == [False]
    assert "without the check's headers and credentials" in seen.evidence[0]


def test_a_client_certificate_is_shown_to_its_own_server_only(monkeypatch: pytest.MonkeyPatch) -> None:
    shown: list[str] = []
    monkeypatch.setattr(ssl.SSLContext, "load_cert_chain", lambda _context, path, _key: shown.append(path))
    for own in (True, False):
        requests._context(requests.HttpRequest("https://shop", client_cert=f"/{own}.pem"), own)
    assert shown == ["/True.pem"]


def test_a_user_in_the_address_stays_too(server: Server, other: Server) -> None:
    server.pages["/a"] = redirect(f"{other.url}/b")
    other.pages["/b"] = page(b"ok")
    seen = observe(f"http://ops:pw@127.0.0.1:{server.port}/a", metric="status")
    assert seen.value == 200 and authorized(server) == [True] and authorized(other) == [False]
    assert "pw" not in seen.text + "".join(seen.evidence)


def test_another_name_of_the_same_server_is_another_origin(server: Server) -> None:
    server.pages.update({"/a": redirect(f"http://localhost:{server.port}/b"), "/b": page(b"ok")})
    assert observe(f"{server.url}/a", metric="status", **CREDENTIALS[0]).value == 200
    assert authorized(server) == [True, False]


@pytest.mark.parametrize(
    "location",
    ["/b", "b", "?x", "//127.0.0.1:{port}/b", "http://127.0.0.1:{port}/b", "../b", "HTTP://127.0.0.1:{port}/b#end"],
)
def test_secrets_follow_within_the_origin(server: Server, location: str) -> None:
    server.pages.update(
        {
            "/d/a": redirect(location.format(port=server.port)),
            "/b": page(b"ok"),
            "/d/b": page(b"ok"),
            "/d/a?x": page(b"ok"),
        }
    )
    assert observe(f"{server.url}/d/a", metric="status", **CREDENTIALS[0]).value == 200
    assert authorized(server) == [True, True]


def test_back_at_its_own_server_they_are_sent_again(server: Server, other: Server) -> None:
    server.pages.update({"/a": redirect(f"{other.url}/b"), "/c": page(b"ok")})
    other.pages["/b"] = redirect(f"{server.url}/c")
    assert observe(f"{server.url}/a", metric="status", **CREDENTIALS[0]).value == 200
    assert (authorized(server), authorized(other)) == ([True, True], [False])


@pytest.mark.parametrize(
    ("method", "status", "then"),
    [
        ("POST", 301, "GET"), ("POST", 302, "GET"), ("POST", 303, "GET"), ("POST", 307, "POST"), ("POST", 308, "POST"),
        ("HEAD", 303, "HEAD"), ("HEAD", 302, "HEAD"), ("OPTIONS", 303, "GET"), ("OPTIONS", 308, "OPTIONS"),
    ],
)  # fmt: skip
def test_the_method_after_a_redirect(server: Server, method: str, status: int, then: str) -> None:
    server.pages.update({"/a": redirect("/b", status), "/b": page(b"")})
    assert observe(f"{server.url}/a", method=method, metric="status").value == 200
    assert [line for line, _headers in server.asked] == [f"{method} /a", f"{then} /b"]


@pytest.mark.parametrize("metric", ["latency", "status", "size"])
@pytest.mark.parametrize(
    ("location", "words"),
    [
        ("/a", "in a circle, back to"),
        ("", "no Location"),
        ("ftp://127.0.0.1/x", "the scheme ftp, which is not followed"),
        ("file:///etc/passwd", "the scheme file"),
        ("javascript:alert(1)", "the scheme javascript"),
        ("http://", "names no host"),
        ("http://127.0.0.1:99999/", "cannot be read"),
        ("http://[::1/", "cannot be read"),
    ],
)
def test_redirects_that_lead_nowhere_are_critical(server: Server, location: str, words: str, metric: str) -> None:
    server.pages["/a"] = redirect(location)
    seen = observe(f"{server.url}/a", metric=metric)
    assert seen.failure is not None and words in seen.failure, seen


def test_endless_redirects_are_critical(server: Server, other: Server) -> None:
    server.pages.update({f"/{number}": redirect(f"/{number + 1}") for number in range(40)})
    assert "more than 10 times" in (observe(f"{server.url}/0").failure or "")
    server.pages["/a"] = redirect(f"{other.url}/b")
    other.pages["/b"] = redirect(f"{server.url}/a")
    assert "circle" in (observe(f"{server.url}/a").failure or "")
    server.pages.update({f"/{number}": redirect(f"/{number + 1}") for number in range(10)} | {"/10": page(b"ok")})
    assert observe(f"{server.url}/0", metric="status").value == 200


def test_redirects_that_are_not_followed_are_an_answer(server: Server) -> None:
    server.pages["/a"] = redirect("ftp://x/")
    seen = observe(f"{server.url}/a", follow_redirects=False, status_code=302, metric="status")
    assert (seen.value, seen.unexpected, seen.failure) == (302, None, None)
    server.pages["/a"] = page(b"", "304 Not Modified")
    assert observe(f"{server.url}/a", metric="status").value == 304
