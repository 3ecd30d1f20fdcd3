# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Services and timers of every kind under a real systemd."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

SLEEP = "ExecStart=/bin/sleep infinity"
SERVICES = {
    "app1": f"[Service]\n{SLEEP}\n[Install]\nAlias=alias1.service\n",
    "app2": f"[Service]\n{SLEEP}\n",
    # One fails at once and for good, the other once.
    "flap": "[Unit]\nStartLimitIntervalSec=0\n[Service]\nExecStart=/bin/false\nRestart=always\nRestartSec=1\n",
    "flick": '[Unit]\nStartLimitIntervalSec=0\n[Service]\nExecStart=/bin/sh -c "test -e /run/flicked && exec sleep 600;'
    ' touch /run/flicked; exit 1"\nRestart=always\nRestartSec=100ms\n',
    "inst@": f"[Service]\n{SLEEP}\n",
    "remain": "[Service]\nType=oneshot\nRemainAfterExit=yes\nExecStart=/bin/true\n",
    "sock": f"[Service]\n{SLEEP}\n",
    "told": f"[Service]\n{SLEEP}\n[Install]\nWantedBy=multi-user.target\n",
    "cond": f"[Unit]\nConditionPathExists=/nope\n[Service]\n{SLEEP}\n[Install]\nWantedBy=multi-user.target\n",
    "bad": "[Service]\nExecStart=\n",
    r"my\x20app": f"[Service]\n{SLEEP}\n",
}
SOCKETS = {"sock": "[Socket]\nListenStream=/run/sock.sock\n", "told": "[Socket]\nListenStream=/run/told.sock\n"}
# A timer's job by name: what the unit has beside its type, and when the timer elapses.
SOON = "OnActiveSec=10ms\nOnCalendar=yearly"
JOBS = {
    "tlong": ("", SLEEP, "OnCalendar=*:*:*"),
    "tfail": ("", "ExecStart=/bin/false", SOON),
    "tok": ("", "ExecStart=/bin/true", SOON),
    "tnever": ("", "ExecStart=/bin/true", "OnCalendar=yearly"),
    "tcond": ("ConditionPathExists=/nope", "ExecStart=/bin/true", SOON),
    "tassert": ("AssertPathExists=/nope", "ExecStart=/bin/true", SOON),
    "tneeds": ("Requires=tfail.service\nAfter=tfail.service", "ExecStart=/bin/true", SOON),
    "tremain": ("", "ExecStart=/bin/true\nRemainAfterExit=yes", SOON),
    "tpast": ("", "ExecStart=/bin/true", "OnCalendar=2020-01-01"),
    "tonce": ("", "ExecStart=/bin/true", "OnActiveSec=10ms"),
}
ELAPSED = [name for name, (_head, _body, when) in JOBS.items() if "OnActiveSec" in when or name == "tlong"]


def unit_files() -> dict[str, str]:
    files = {f"{name}.service": text for name, text in SERVICES.items()}
    files |= {f"{name}.socket": text for name, text in SOCKETS.items()}
    for name, (head, body, when) in JOBS.items():
        files[f"{name}.service"] = f"[Unit]\nDescription={name}\n{head}\n[Service]\nType=oneshot\n{body}\n"
        files[f"{name}.timer"] = f"[Timer]\nAccuracySec=1ms\n{when}\n"
    return files


@pytest.fixture(scope="module")
def units(lab_host: Any) -> Iterator[Any]:
    folder = "/etc/systemd/system"
    for name, text in unit_files().items():
        lab_host.run("tee", f"{folder}/{name}", text=text)
    timers = " ".join(f"{name}.timer" for name in JOBS)
    elapsed = " ".join(f"{name}.timer" for name in ELAPSED)
    lab_host.run(
        "bash",
        "-c",
        "set -e; systemctl daemon-reload; systemctl enable -q app1 told cond;"
        f" systemctl start app1 app2 flap flick inst@a remain sock.socket told.socket cond 'my\\x20app' {timers};"
        # Each has elapsed, and its job is over, or runs for good.
        f' for t in {elapsed}; do until [ -n "$(systemctl show -P LastTriggerUSec $t)" ]; do sleep 0.1; done; done;'
        " for s in tfail tok tneeds tremain tonce; do"
        ' while [ "$(systemctl show -P ActiveState $s)" = activating ]; do sleep 0.1; done; done;'
        ' until [ "$(systemctl show -P NRestarts flap)" -gt 1 ]; do sleep 0.1; done;'
        ' until [ "$(systemctl show -P SubState flap)" = auto-restart ]; do sleep 0.01; done',
    )
    yield lab_host
    names = " ".join(f"'{name}'" for name in unit_files())
    lab_host.run(
        "bash",
        "-c",
        f"cd {folder}; systemctl disable -q app1 told cond; systemctl stop 'inst@a' {names} 2>/dev/null;"
        f" systemctl reset-failed; rm -f /run/flicked {names}; systemctl daemon-reload",
        check=False,
    )


SERVICE_ANSWERS = {
    "app1": ("ok", "active", "app1.service is active"),
    "app2": ("ok", "active", "app2.service is active"),
    "alias1": ("ok", "active", "alias1.service (alias of app1.service) is active"),
    "flap": ("critical", "activating", "auto-restart"),
    "flick": ("warning", "active", "restarted 1 time by systemd, the last time"),
    "nosuch": ("critical", "not-found", "not installed"),
    "app*": ("unknown", None, "is a pattern"),
    "inst@": ("unknown", None, "is a template"),
    "inst@a": ("ok", "active", "inst@a.service is active"),
    "remain": ("ok", "active", "active (exited)"),
    "sock": ("ok", "inactive", "sock.socket will start it"),
    "told": ("critical", "inactive", "it should be active"),
    "cond": ("critical", "inactive", "a condition of its start was not met"),
    "bad": ("critical", "bad-setting", "not usable"),
    r"my\x20app": ("ok", "active", "active"),
    "my app": ("ok", "active", r"my app.service (as a unit my\x20app.service) is active"),
    "no/such": ("critical", "not-found", "not installed"),
    "sock.socket": ("ok", "active", "listening"),
    "/": ("ok", "active", "-.mount"),
}


@pytest.fixture(scope="module")
def services(units: Any) -> dict[str, dict[str, Any]]:
    checks = [{"id": f"c{place}", "probe": "service", "name": name} for place, name in enumerate(SERVICE_ANSWERS)]
    return dict(zip(SERVICE_ANSWERS, units.checks(*checks).values()))


@pytest.mark.parametrize("name", SERVICE_ANSWERS)
def test_each_service_has_its_own_answer(services: dict[str, dict[str, Any]], name: str) -> None:
    status, value, words = SERVICE_ANSWERS[name]
    result = services[name]
    assert (result["status"], result["value"]) == (status, value) and words in result["message"], result


TIMER_ANSWERS = {
    "tlong": ("ok", "running", "tlong.service is running since"),
    "tfail": ("critical", "exit-code", "failed (exit-code 1)"),
    "tok": ("ok", "success", "tok.service succeeded"),
    "tnever": ("ok", "none", "has not elapsed yet"),
    "tcond": ("critical", "not-run", "a condition of the unit was not met"),
    "tassert": ("critical", "not-run", "an assertion of the unit was not met"),
    "tneeds": ("critical", "not-run", "did not start"),
    "tremain": ("critical", None, "RemainAfterExit"),
    "tpast": ("critical", None, "not armed"),
    "tonce": ("ok", "success", "tonce.service succeeded"),
    "nosuch": ("critical", None, "not installed"),
    "t*": ("unknown", None, "is a pattern"),
    "inst@": ("unknown", None, "is a template"),
}


def test_each_timer_has_its_own_answer(units: Any) -> None:
    checks = [{"id": f"c{place}", "probe": "timer", "name": name} for place, name in enumerate(TIMER_ANSWERS)]
    more = [
        {"id": "next", "probe": "timer", "name": "tlong", "metric": "next"},
        {"id": "age", "probe": "timer", "name": "tcond", "metric": "age", "critical": "> 1d"},
    ]
    results = units.checks(*checks, *more)
    found = dict(zip(TIMER_ANSWERS, results.values()))
    for name, (status, value, words) in TIMER_ANSWERS.items():
        result = found[name]
        assert (result["status"], result["value"]) == (status, value) and words in result["message"], (name, result)
    assert (results["next"]["status"], results["next"]["value"]) == ("ok", 0.0)
    assert results["age"]["status"] == "critical" and "did not start" in results["age"]["message"]
