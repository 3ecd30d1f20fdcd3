# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Programs in a row: whole data, every exit status, nobody left over."""

from __future__ import annotations

import hashlib
import io
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from ansible_collections.day2.ops.plugins.module_utils.process.pipeline import (
    PipelineError,
    PipelineTimeout,
    Program,
    run_pipeline,
)
from lab.waiting import WaitTimeout, wait_for, wait_for_end


def shell(script: str) -> Program:
    return Program(["sh", "-c", script], name=script.split()[0])


def output(*programs: Program, **more: object) -> bytes:
    seen = io.BytesIO()
    run_pipeline(list(programs), lambda piece: seen.write(piece) and None, **more)  # type: ignore[arg-type]
    return seen.getvalue()


def children() -> set[str]:
    return set(Path(f"/proc/self/task/{os.getpid()}/children").read_text().split())


def test_data_comes_through_whole() -> None:
    pieces = [os.urandom(70_001) for _piece in range(50)]
    assert output(Program(["cat"]), Program(["cat"]), source=pieces) == b"".join(pieces)


def test_a_file_is_read_by_the_first_program_itself(tmp_path: Path) -> None:
    path = tmp_path / "in"
    path.write_bytes(b"x" * 300_000)
    with path.open("rb") as stream:
        assert output(Program(["gzip", "-c"]), Program(["gzip", "-dc"]), source=stream) == b"x" * 300_000


def test_memory_does_not_grow_with_the_data() -> None:
    script = (
        "import sys, hashlib, resource; sys.path.insert(0, sys.argv[1])\n"
        "from ansible_collections.day2.ops.plugins.module_utils.process.pipeline import Program, run_pipeline\n"
        "digest = hashlib.sha256()\n"
        "run_pipeline([Program(['head', '-c', sys.argv[2], '/dev/zero']), Program(['cat'])], digest.update)\n"
        "print(digest.hexdigest(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)"
    )
    peaks = []
    for size in (10_000_000, 400_000_000):
        command = [sys.executable, "-c", script, ".collections", str(size)]
        digest, peak = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
        peaks.append(int(peak))
        if size < 100_000_000:
            assert digest == hashlib.sha256(bytes(size)).hexdigest()
    assert peaks[1] < peaks[0] + 8 * 1024


@pytest.mark.parametrize(
    ("programs", "words"),
    [
        ([shell("echo out of order >&2; exit 3"), Program(["cat"])], r"echo failed \(exit status 3: out of order\)"),
        ([Program(["cat"]), shell("exit 4"), Program(["cat"])], r"exit failed \(exit status 4\)"),
        ([shell("yes"), shell("head -c 9; echo full >&2; exit 5")], r"head failed \(exit status 5: full\)"),
        ([shell("kill -9 $$"), Program(["cat"])], r"kill failed \(was killed by signal 9\)"),
        ([Program(["cat"]), Program(["/nowhere/at/all"])], "all is not installed on this host"),
        ([Program(["/etc/passwd"])], "passwd is not installed on this host"),
    ],
)
def test_the_one_that_failed_is_named(programs: list[Program], words: str) -> None:
    before = children()
    with pytest.raises(PipelineError, match=words):
        output(*programs)
    assert children() == before


def test_an_output_that_ends_early_is_a_failure_of_the_reader_only() -> None:
    with pytest.raises(PipelineError, match="yes failed"):
        output(shell("yes"), Program(["head", "-c", "9"]))


def test_only_the_last_words_are_kept() -> None:
    with pytest.raises(PipelineError) as caught:
        output(shell("i=0; while [ $i -lt 20000 ]; do echo word $i >&2; i=$((i+1)); done; exit 1"))
    assert str(caught.value).endswith("word 19997 / word 19998 / word 19999)")


def test_time_is_bounded_and_nobody_is_left() -> None:
    before = children()
    with pytest.raises(PipelineTimeout, match=r"sleep \| cat took longer than 0.3 s"):
        output(Program(["sleep", "60"]), Program(["cat"]), timeout=0.3)
    assert children() == before


def test_another_thread_may_stop_it() -> None:
    stop, before = threading.Event(), children()
    threading.Timer(0.2, stop.set).start()
    with pytest.raises(PipelineError, match="another stream failed"):
        run_pipeline([Program(["sleep", "60"]), Program(["cat"])], lambda _piece: None, stop=stop)
    assert children() == before


def test_whatever_the_sink_raises_ends_all_programs() -> None:
    def full(_piece: bytes) -> None:
        raise OSError(28, "No space left on device")

    before = children()
    with pytest.raises(OSError, match="No space"):
        run_pipeline([shell("trap '' TERM PIPE; yes"), Program(["cat"])], full)
    assert children() == before


def test_whatever_the_source_raises_ends_all_programs() -> None:
    def broken() -> Iterator[bytes]:
        yield b"some"
        raise ValueError("bytes are not what they were")

    before = children()
    with pytest.raises(ValueError, match="not what they were"):
        output(Program(["cat"]), source=broken())
    assert children() == before


def test_secrets_go_by_the_environment() -> None:
    assert output(Program(["sh", "-c", "echo $PGPASSWORD"], env={"PGPASSWORD": "s3cret"})) == b"s3cret\n"
    assert "PGPASSWORD" not in os.environ


def test_programs_die_with_the_module_that_started_them(tmp_path: Path) -> None:
    """Also with SIGKILL, while they wait for something that never comes."""
    script = (
        "import sys; sys.path.insert(0, '.collections')\n"
        "from ansible_collections.day2.ops.plugins.module_utils.process.pipeline import Program, run_pipeline\n"
        "run_pipeline([Program(['sh', '-c', 'echo $$ > ' + sys.argv[1] + '; sleep 300; :'])], lambda piece: None)"
    )
    mark = tmp_path / "pid"
    module = subprocess.Popen([sys.executable, "-c", script, str(mark)])
    pid = int(wait_for(lambda: mark.exists() and mark.read_text().strip(), bool, 10, "the program's number"))
    module.send_signal(signal.SIGKILL)
    module.wait()
    try:
        wait_for_end(pid, 10, "the program of a killed module")
    except WaitTimeout:
        os.kill(pid, signal.SIGKILL)
        raise
