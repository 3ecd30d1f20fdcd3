# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""An application: `ledger.py FILE PORT FIRST` writes numbers from FIRST on through a traffic layer, one every 20 ms.

Each is noted in the file once the database has acknowledged it. A connection that breaks is made anew, and whether its
last number arrived is not known to it.
"""

from __future__ import annotations

import json
import sys
import time
from typing import Any, TextIO

import psycopg2

PAUSE = 0.02


def connection(port: int) -> Any:
    made = psycopg2.connect(
        host="127.0.0.1", port=port, dbname="postgres", user="client", password="fictional", connect_timeout=2,
        keepalives_idle=2, keepalives_interval=1, keepalives_count=2, tcp_user_timeout=3000,
    )  # fmt: skip
    made.autocommit = True
    return made


def main(out: TextIO, port: int, number: int) -> None:
    opened = None
    while True:
        number += 1
        asked = time.time()
        said: dict[str, Any] = {"n": number, "asked": asked}
        try:
            opened = opened or connection(port)
            with opened.cursor() as cursor:
                cursor.execute("INSERT INTO acknowledged (n) VALUES (%s) RETURNING host(inet_server_addr())", (number,))
                said["server"] = cursor.fetchone()[0]
        except psycopg2.Error as error:
            said["error"], opened = str(error).strip().partition("\n")[0], None
        out.write(json.dumps({**said, "at": time.time()}) + "\n")
        out.flush()
        time.sleep(PAUSE)


if __name__ == "__main__":
    with open(sys.argv[1], "a", encoding="utf-8") as stream:
        main(stream, int(sys.argv[2]), int(sys.argv[3]))
