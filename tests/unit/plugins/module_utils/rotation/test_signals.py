# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which signal has a writer reopen its log: one that exists, and that its process catches."""

from __future__ import annotations

import subprocess
import sys
from signal import Signals

import pytest
from ansible_collections.day2.ops.plugins.module_utils.rotation.arguments import signal_of
from ansible_collections.day2.ops.plugins.module_utils.rotation.policy import LogPolicyError
from ansible_collections.day2.ops.plugins.module_utils.rotation.present import _refuse_uncaught

WRITER = "import signal, sys; signal.signal(signal.SIGUSR1, {handler}); print(flush=True); sys.stdin.read()"


@pytest.mark.parametrize(
    ("given", "signal"),
    [("HUP", Signals.SIGHUP), ("SIGUSR1", Signals.SIGUSR1), ("usr2", Signals.SIGUSR2), (1, Signals.SIGHUP),
     ("12", Signals.SIGUSR2), ("RTMIN", Signals.SIGRTMIN)],
)  # fmt: skip
def test_signals_have_names_and_numbers(given: object, signal: Signals) -> None:
    assert signal_of(given) is signal


@pytest.mark.parametrize(("given", "said"), [("HUPP", "did you mean 'HUP'?"), ("USR", "did you mean 'USR"),
                                             ("0", "is no signal"), ("-1", "is no signal"), ("99", "is no signal"),
                                             ("", "is empty")])  # fmt: skip
def test_what_is_no_signal_is_refused(given: object, said: str) -> None:
    with pytest.raises(LogPolicyError, match=r"'reopen\.signal'") as refused:
        signal_of(given)
    assert said in str(refused.value)


@pytest.mark.parametrize(
    ("handler", "said"),
    [("lambda *_: None", None), ("signal.SIG_DFL", "would be ended by it"), ("signal.SIG_IGN", "ignores it")],
)
def test_a_process_that_does_not_catch_it_is_named(handler: str, said: str | None) -> None:
    argv = [sys.executable, "-c", WRITER.format(handler=handler)]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout and process.stdin
        process.stdout.readline()
        if said is None:
            _refuse_uncaught("shop.service", str(process.pid), Signals.SIGUSR1)
        else:
            with pytest.raises(
                LogPolicyError, match=rf"shop.service \({process.pid}\) does not catch SIGUSR1, and {said}"
            ):
                _refuse_uncaught("shop.service", str(process.pid), Signals.SIGUSR1)
        process.stdin.close()


@pytest.mark.parametrize("pid", ["0", "", "no number", "99999999"])
def test_of_one_that_does_not_run_nothing_is_known(pid: str) -> None:
    _refuse_uncaught("shop.service", pid, Signals.SIGHUP)
