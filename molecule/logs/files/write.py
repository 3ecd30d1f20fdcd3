# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Numbered lines, so many a second, to a file that is opened again only when SIGHUP says so."""

import signal
import sys
import time

path, rate, number = sys.argv[1], int(sys.argv[2]), 0
again = [True]
signal.signal(signal.SIGHUP, lambda *_: again.__setitem__(0, True))
stop = []
signal.signal(signal.SIGTERM, lambda *_: stop.append(True))
while not stop:
    again[0] = False
    with open(path, "a") as stream:
        while not (again[0] or stop):
            for _ in range(max(1, rate // 100)):
                number += 1
                stream.write(f"line {number}\n")
            stream.flush()
            time.sleep(0.01)
