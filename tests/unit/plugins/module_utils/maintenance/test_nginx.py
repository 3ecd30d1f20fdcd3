# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which servers of nginx's take part, how each is asked, and what their answers mean."""

from __future__ import annotations

import pytest
from ansible_collections.day2.ops.plugins.module_utils.maintenance.targets.loopback import Seen, judged
from ansible_collections.day2.ops.plugins.module_utils.maintenance.targets.nginx import (
    Listen,
    Server,
    host_name,
    servers_with,
    unix_upstreams,
)

SNIPPET = "/etc/nginx/snippets/day2-maintenance-shop.conf"
MAIN = """# configuration file /etc/nginx/nginx.conf:
events { worker_connections 768; }
http {
    log_format main '$remote_addr "{" ; }';
    include /etc/nginx/sites-enabled/*;
}
stream { server { listen 5432; include snippets/day2-maintenance-shop.conf; } }

"""


def servers(site: str, **others: str) -> list[Server]:
    files = {"/etc/nginx/sites-enabled/shop": site, SNIPPET: "set $on 1;", **others}
    return servers_with(
        MAIN + "".join(f"# configuration file {path}:\n{text}\n\n" for path, text in files.items()), SNIPPET
    )


def listens(*lines: str) -> list[Listen]:
    text = "".join(f"listen {line};" for line in lines)
    (server,) = servers(f"server {{ {text} include {SNIPPET}; }}")
    return list(server.listens)


def test_servers_that_include_it() -> None:
    found = servers(
        f"server {{ listen 80; return 301 https://$host; }} # server {{ include {SNIPPET}; }}\n"
        f'server {{ server_name "a.example.com" b; listen 443 ssl; include {SNIPPET}; location / {{ }} }}\n'
        "server { listen 81; location /x { include snippets/day2-maintenance-shop.conf; } }\n"
    )
    assert found == [Server(("a.example.com", "b"), (Listen("127.0.0.1", 443, True, False, False),))]


@pytest.mark.parametrize("word", ["snippets/day2-maintenance-shop.conf", "snippets/day2-*.conf", "conf/all"])
def test_includes_by_other_ways(word: str) -> None:
    found = servers(f"server {{ include {word}; }}", **{"/etc/nginx/conf/all": f"listen 8080;\ninclude {SNIPPET};"})
    assert len(found) == 1 and found[0].listens[0].port == (8080 if word == "conf/all" else 80)


@pytest.mark.parametrize(
    ("line", "address", "port"),
    [
        ("80", "127.0.0.1", 80), ("*:8080", "127.0.0.1", 8080), ("0.0.0.0:81", "127.0.0.1", 81), ("[::]:82", "::1", 82),
        ("192.0.2.7:83", "192.0.2.7", 83), ("192.0.2.7", "192.0.2.7", 80), ("localhost:84", "localhost", 84),
        ("[::1]", "::1", 80), ("[2001:db8::1]:85", "2001:db8::1", 85),
    ],
)  # fmt: skip
def test_where_a_server_listens(line: str, address: str, port: int) -> None:
    assert listens(line) == [Listen(address, port, False, False, False)]


def test_how_a_server_listens() -> None:
    (tls, proxied) = listens("443 ssl http2 default_server", "90 proxy_protocol")
    assert tls.tls and tls.is_default and proxied.proxy_protocol
    assert listens("unix:/run/x.sock", "443 quic reuseport") == []


@pytest.mark.parametrize(
    ("names", "asked"),
    [
        (("a.example.com",), "a.example.com"), (("*.example.com",), "day2-maintenance.example.com"),
        ((".example.com",), "example.com"), (("shop.*",), "shop.invalid"), (("_",), None), (("",), None),
        (("~^www\\d+$",), None), (("_", "shop"), "shop"), ((), None),
    ],
)  # fmt: skip
def test_the_name_by_which_it_is_asked(names: tuple[str, ...], asked: str | None) -> None:
    assert host_name(Server(names, ())) == asked


@pytest.mark.parametrize(
    ("answers", "good"),
    [
        ([503], True), ([503, 301], True), ([503, 400], True), ([503, "refused"], True), ([], True),
        ([200], False), ([503, 200], False), ([301], False), (["refused"], False), ([502, 503], False), ([404], False),
    ],
)  # fmt: skip
def test_what_the_answers_mean(answers: list[int | str], good: bool) -> None:
    seen = [Seen("x", error=one) if isinstance(one, str) else Seen("x", one) for one in answers]
    assert (judged(seen) is None) is good


def test_sockets_to_which_requests_are_passed() -> None:
    text = (
        "upstream app { server unix:/run/app.sock weight=2; server 127.0.0.1:1; }\n"
        "proxy_pass http://unix:/run/web.sock:/path; uwsgi_pass unix:/run/u.sock; listen unix:/run/nginx.sock;"
    )
    assert unix_upstreams(text) == {"/run/app.sock", "/run/web.sock", "/run/u.sock"}
