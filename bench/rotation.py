# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Rotated logs: packing and sealing beside zstd, age and gzip; verifying beside sha256sum; who writes meanwhile."""

from __future__ import annotations

import os
import random
import shlex
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path

from bench.measure import ROOT, Figure, alternate, processor

# Bytes of the piece.
_SIZE = 2_000_000_000
_RUNS = 3
_SCRIPT = """
import resource, sys
sys.path.insert(0, {collections!r})
from ansible_collections.day2.ops.plugins.module_utils.rotation import chain, packing, pieces
from ansible_collections.day2.ops.plugins.module_utils.rotation.policy import Policy
path, recipient = sys.argv[2], sys.argv[3]
if sys.argv[1] == "verify":
    packing.digest_of(path)
else:
    policy = Policy("shop", "audit", ("/nosuch/*.log",), 1.0, 1, encrypt_to=(recipient,))
    piece = pieces.Piece(path, path.rsplit("-", 2)[0], 0.0, "", 0)
    packing.publish(piece, packing.pack(piece, policy, 2))
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


def run() -> list[Figure]:
    with tempfile.TemporaryDirectory(prefix="day2-rotation-", dir=ROOT / ".build") as name:
        return _figures(Path(name))


def _log(path: Path) -> None:
    """Lines as a service writes them, in blocks that do not repeat within zstd's window."""
    chance = random.Random(7)
    with path.open("w") as stream:
        while stream.tell() < _SIZE:
            stream.write("".join(
                f"2026-11-30T18:{number % 60:02d}:{chance.randrange(60):02d}.{chance.randrange(1000):03d}Z INFO order "
                f"{chance.randrange(10**9)} of customer {chance.randrange(10**6)} took {chance.randrange(500)} ms "
                f"path=/api/v1/orders/{chance.randrange(10**7)} status=200\n" for number in range(20000)))  # fmt: skip


def _figures(folder: Path) -> list[Figure]:
    piece, key = folder / "app.log-20261130-1764527000", folder / "key"
    _log(piece)
    subprocess.run(["age-keygen", "-o", key], check=True, capture_output=True)
    recipient = subprocess.run(["age-keygen", "-y", key], check=True, capture_output=True, text=True).stdout.strip()
    script = _SCRIPT.format(collections=str(ROOT / ".collections"))

    def ours(what: str, path: Path) -> list[str]:
        return [sys.executable, "-c", script, what, str(path), recipient]

    def shell(command: str) -> list[str]:
        return ["sh", "-c", command]

    quoted = shlex.quote(str(piece))
    bare = shell(f"zstd -q -c -T2 {quoted} | age -e -r {recipient} > {quoted}.bare; sync {quoted}.bare")
    gzip = shell(f"gzip -c {quoted} > {quoted}.gz; sync {quoted}.gz")
    walls: dict[str, list[float]] = {}

    def both(name: str, argv: list[str]) -> float:
        begun = time.monotonic()
        used = processor(argv)
        walls.setdefault(name, []).append(time.monotonic() - begun)
        return used

    sealed, plain, zipped = alternate(
        _RUNS, lambda: both("ours", ours("seal", piece)), lambda: both("bare", bare), lambda: both("gzip", gzip)
    )
    wall = {name: sorted(taken)[len(taken) // 2] for name, taken in walls.items()}
    packed = Path(f"{piece}.zst.age")
    verified, summed = alternate(
        5, lambda: processor(ours("verify", packed)), lambda: processor(["sha256sum", str(packed)])
    )
    memory = int(subprocess.run(ours("seal", piece), check=True, capture_output=True, text=True).stdout) / 1024
    ctl = _ctl(folder)
    _settle(ctl)
    tick, start = alternate(
        9, lambda: processor([sys.executable, str(ctl), "logs", "tend"]), lambda: processor([sys.executable, "-c", ""])
    )
    quiet, busy = _latencies(folder, ours("seal", piece))
    what = f"sealing {_SIZE / 1e6:g} MB, read back"
    return [
        Figure("seal, processor time", sealed / plain, 1.5, f"{what} / zstd -T2 | age"),
        Figure("seal, wall time", wall["ours"] / wall["bare"], 1.5, f"{what} / zstd -T2 | age, on the disk"),
        Figure("seal against gzip, wall time", wall["gzip"] / wall["ours"], 3, f"gzip / {what}", at_least=True),
        Figure("seal against gzip, processor", zipped / sealed, 1, f"gzip / {what}", at_least=True),
        Figure("verify, processor time", verified / summed, 1.3, f"{verified:.2f} s / sha256sum"),
        Figure("memory", memory, 64, "without its children", "MB"),
        Figure("idle tick", tick / start, 2, f"{tick * 1000:.0f} ms of processor time / an empty Python"),
        Figure("write() during a seal, p99.9", busy / quiet, 2, f"{busy * 1e6:.0f} us / {quiet * 1e6:.0f} us"),
    ]


def _ctl(folder: Path) -> Path:
    from ansible_collections.day2.ops.plugins.plugin_utils.runtime import zipapp

    return Path(zipapp.write(str(folder), "0.0.0"))


def _settle(ctl: Path) -> None:
    """The program is new to the host, and what is so new is looked at as a whole."""
    from ansible_collections.day2.ops.plugins.module_utils.rotation import quiet

    for _try in range(20):
        subprocess.run([sys.executable, str(ctl), "logs", "tend"], check=True)
        if os.path.exists(quiet.MARK):
            return
        time.sleep(0.5)
    raise RuntimeError("this host is never quiet: it has logs of a kind that each run looks at")


def _latencies(folder: Path, argv: list[str]) -> tuple[float, float]:
    """The 99.9th percentile of write() of 10,000 lines a second: alone, and beside a seal with the timer's niceness."""
    quiet = _percentile(folder / "quiet.log", lambda: time.sleep(4))
    busy = _percentile(folder / "busy.log", lambda: subprocess.run(["nice", *argv], check=True, capture_output=True))
    return quiet, busy


def _percentile(path: Path, work: Callable[[], object]) -> float:
    taken: list[float] = []
    over = threading.Event()

    def until_over() -> None:
        work()
        over.set()

    worker = threading.Thread(target=until_over)
    worker.start()
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    line, begun = b"x" * 120 + b"\n", time.monotonic()
    while not over.is_set():
        for _number in range(100):
            before = time.perf_counter()
            os.write(descriptor, line)
            taken.append(time.perf_counter() - before)
        # A hundred lines each hundredth of a second.
        begun += 0.01
        time.sleep(max(0.0, begun - time.monotonic()))
    worker.join()
    os.close(descriptor)
    return sorted(taken)[int(len(taken) * 0.999)]
