# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""nginx: TLS in front of the application, and stand-ins for the upstream interfaces."""

from __future__ import annotations

from pathlib import Path

from ..common import certificates
from ..common.system import file, run, start

CERTIFICATE = certificates.Certificate(
    certificate="/etc/ssl/certs/options-engine.pem",
    key="/etc/ssl/private/options-engine.key",
    authority="/etc/ssl/certs/options-engine-ca.pem",
    names=("options-engine-1", "options-engine.example.com", "localhost"),
    days=60,
)
SITE = f"""\
server {{
    listen 80;
    return 301 https://$host$request_uri;
}}

server {{
    listen 443 ssl;
    server_name {" ".join(CERTIFICATE.names)};
    ssl_certificate {CERTIFICATE.certificate};
    ssl_certificate_key {CERTIFICATE.key};
    location / {{
        proxy_pass http://127.0.0.1:8080;
        proxy_set_header Host $host;
    }}
}}
"""
# The real ones (api.tradier.com, finance.yahoo.com) are other people's: a lab does not call them.
UPSTREAMS = """\
server {
    listen 127.0.0.1:8090;
    default_type application/json;
    location /tradier {
        return 200 '{"clock": {"state": "open", "description": "stand-in of the lab"}}';
    }
    location /yahoo {
        return 200 '{"chart": {"result": [{"meta": {"symbol": "SPY"}}], "error": null}}';
    }
}
"""


def provide() -> None:
    changed = certificates.ensure(CERTIFICATE)
    Path("/etc/nginx/sites-enabled/default").unlink(missing_ok=True)
    for name, text in (("options-engine", SITE), ("upstream-stand-ins", UPSTREAMS)):
        changed |= file(f"/etc/nginx/sites-enabled/{name}", text)
    if changed:
        run(["nginx", "-t", "-q"])
    start("nginx.service", restart=changed)
