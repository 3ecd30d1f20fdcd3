# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which servers a check trusts: the same on every host, whatever its Python."""

from __future__ import annotations

from typing import Any


def client_context(ca_path: str | None, validate: bool = True) -> Any:
    """An `ssl.SSLContext` that trusts the certificates in a file, or the system's. OSError where they cannot be read.

    Since Python 3.13 its default refuses certificates that lack fields of RFC 5280 which no browser, curl or OpenSSL
    by itself asks for, such as those of many in-house authorities. What a check says must not change with that.
    """
    import ssl

    context = ssl.create_default_context(cafile=ca_path)
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    if not validate:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context
