# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""An application: numbers through the pooler, one every 20 ms, each written down here once the database has
acknowledged it. A connection that breaks is made anew, and whether its last number arrived is not known to it.

`client.py FILE [CONNINFO]`.
"""

from __future__ import annotations

import json
import sys
import time
from typing import Any, TextIO

import psycopg2

PAUSE = 0.02
CONNINFO = "host=127.0.0.1 port=6432 dbname=analytics user=client password=fictional connect_timeout=2"


def connection(conninfo: str) -> Any:
    made = psycopg2.connect(conninfo)
    made.autocommit = True
    return made


def main(out: TextIO, conninfo: str = CONNINFO) -> None:
    number, opened = 0, None
    while True:
        number += 1
        asked = time.time()
        try:
            opened = opened or connection(conninfo)
            with opened.cursor() as cursor:
                cursor.execute("INSERT INTO acknowledged (n) VALUES (%s) RETURNING host(inet_server_addr())", (number,))
                said: dict[str, Any] = {"n": number, "server": cursor.fetchone()[0]}
        except psycopg2.Error as error:
            said, opened = {"n": number, "error": str(error).strip().partition("\n")[0]}, None
        out.write(json.dumps({"at": time.time(), "asked": asked, **said}) + "\n")
        out.flush()
        time.sleep(PAUSE)


if __name__ == "__main__":
    with open(sys.argv[1], "a", encoding="utf-8") as stream:
        main(stream, *sys.argv[2:])
