# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A site of two servers, with rules of its own that are in the way of a maintenance page."""

from __future__ import annotations

from pathlib import Path
from typing import Any

Question = dict[str, Any]
SERVICE = "t-page"
SITE = f"/etc/nginx/sites-enabled/{SERVICE}"
SNIPPET = f"/etc/nginx/snippets/day2-maintenance-{SERVICE}.conf"
PAGE = f"/var/lib/day2/pages/{SERVICE}.html"
ASK, APP_UNIT = "/opt/day2-page-ask.py", "t-app.service"
OWN = "the site's own page"
# Who is served, by the address that a proxy in front of the site names.
ALLOWED = ["203.0.113.0/24", "2001:db8::/32"]
PASSED = ["/lb/", "/health", "/a.b", "/a b", "/ü", "/q{1}", "/$x", "/~me", "/x;y", "/a+b"]
_PASS = "proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection $t_connection; proxy_http_version 1.1;"
_RULES = f"""
    server_name {SERVICE}.example.com;
    error_page 403 405 =200 /own.html;
    error_page 404 /own.html;
    error_page 413 /own.html;
    if ($request_method = DELETE) {{
        return 405;
    }}
    rewrite ^/old/(.*)$ /$1 last;
    location = /own.html {{
        return 200 "{OWN}";
    }}
    location / {{
        {_PASS}
        proxy_pass http://127.0.0.1:7090;
    }}
    location /unix/ {{
        proxy_pass http://unix:/run/t-app/socket:/;
    }}
    location /kept/ {{
        proxy_http_version 1.1;
        proxy_set_header Connection "";
        proxy_pass http://t_kept/;
    }}
"""
SITE_TEXT = f"""\
map $http_upgrade $t_connection {{
    "" close;
    default upgrade;
}}
upstream t_kept {{
    server 127.0.0.1:7090;
    keepalive 4;
}}
server {{
    listen 7080;{_RULES}
}}
server {{
    listen 7443 ssl;
    set_real_ip_from 127.0.0.1;
    real_ip_header X-Forwarded-For;
    ssl_certificate /etc/ssl/certs/options-engine.pem;
    ssl_certificate_key /etc/ssl/private/options-engine.key;
    client_max_body_size 100m;{_RULES}
}}
"""


def write_page(path: Path) -> list[Path]:
    """A page with what Jinja would take for its own; files that would be there if somebody had carried it out."""
    marks = [path.with_name(f"mark{number}") for number in range(3)]
    path.write_bytes(
        b"<!doctype html><title>Page of the site</title><style>a{#b} .x{%y%} p{{color:red}}</style>\n"
        + f"<p>{{{{ lookup('pipe', 'touch {marks[0]}') }}}} {{{{ maintenance_page_file }}}} {{{{ nosuch }}}}\n".encode()
        + f"{{% set x = lookup('ansible.builtin.pipe', 'touch {marks[1]}') %}}{{% include 'x' %}}{{% raw %}}\n".encode()
        + f"#jinja2: trim_blocks: true\n{{# {{{{ query('pipe', 'touch {marks[2]}') }}}}\r\n".encode()
        + b"Umlaut \xfc in Latin-1, no newline at the end: \xc3\xbc"
    )
    return marks
