# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The task as a playbook sees it: what it reads of the hosts, what it returns, refuses, prints and writes."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import sample_run
from ansible import constants as C
from ansible.errors import AnsibleActionFail, AnsibleError
from ansible.parsing.dataloader import DataLoader
from ansible.playbook.task import Task
from ansible.template import Templar
from ansible_collections.day2.ops.plugins.action import report as action
from ansible_collections.day2.ops.plugins.plugin_utils.report import deliver

FINE = sample_run.checklist(["ok", "skipped"])
KINDS = {"json": "report.json", "html": "report.html", "junit": "report.xml", "prometheus": "report.prom"}


class HostVars(dict[str, Any]):
    """ansible's own has raw_get beside a subscript that templates, which must not be used."""

    def __getitem__(self, host: str) -> Any:
        raise AssertionError(f"the variables of {host} were templated")

    def raw_get(self, host: str) -> Any:
        return self.get(host, SimpleNamespace())


def run(values: dict[str, Any], check: bool = False, **arguments: Any) -> dict[str, Any]:
    """One task over hosts that registered these values; None registered nothing."""
    variable = arguments.get("variable", "day2_checklist")
    task = Task()
    task.args = {"title": "Daily checklist", **arguments}
    task.check_mode = check
    task.async_val = 0
    hostvars = HostVars({host: {} if value is None else {variable: value} for host, value in values.items()})
    loader = DataLoader()
    # Nothing but the shell's temporary directory is ever asked for: a use of the connection fails here.
    connection = SimpleNamespace(_shell=SimpleNamespace(tmpdir=None))
    module = action.ActionModule(task, connection, None, loader, Templar(loader=loader), None)
    outcome: dict[str, Any] = module.run(
        task_vars={"hostvars": hostvars, "ansible_play_hosts_all": list(values), "inventory_hostname": "a"}
    )
    return outcome


def entries(directory: Path) -> list[str]:
    return sorted(path.name for path in directory.iterdir()) if directory.exists() else []


def test_a_run_is_written_and_returned(tmp_path: Path) -> None:
    outcome = run({"a": FINE, "b": sample_run.checklist(["critical", "ok"])}, directory=str(tmp_path), run_id="night-1")
    paths = {kind: str(tmp_path / "night-1" / name) for kind, name in KINDS.items()}
    assert outcome["changed"] and outcome["run_id"] == "night-1" and outcome["paths"] == paths
    assert all(Path(path).stat().st_size > 0 for path in paths.values())
    assert entries(tmp_path) == ["latest", "night-1"]
    assert (outcome["status"], outcome["failing"], outcome["refused"]) == ("critical", True, {})
    assert outcome["summary"] == {"ok": 2, "warning": 0, "critical": 1, "unknown": 0, "skipped": 1}
    assert outcome["verdict"] == f"1 critical on 1 of 2 hosts; see {paths['html']}"
    document = json.loads(Path(paths["json"]).read_text(encoding="utf-8"))
    assert [host["host"] for host in document["hosts"]] == ["b", "a"]
    assert document["versions"].keys() == {"collection", "ansible"}


def test_hosts_that_gave_no_results(tmp_path: Path) -> None:
    values = {"far": dict(sample_run.UNREACHABLE), "bad": dict(sample_run.REFUSED), "lost": None, "a": FINE}
    outcome = run(values, directory=str(tmp_path), fail_on="never")
    document = json.loads(Path(outcome["paths"]["json"]).read_text(encoding="utf-8"))
    hosts = {host["host"]: host for host in document["hosts"]}
    assert list(hosts) == ["far", "bad", "lost", "a"]
    assert [(host["reachable"], host["status"]) for host in hosts.values()] == [
        (False, "critical"),
        (True, "unknown"),
        (True, "unknown"),
        (True, "ok"),
    ]
    assert hosts["far"]["message"] == "cannot be reached: connect to host 192.0.2.17 port 22: Connection timed out"
    assert outcome["refused"] == {"bad": sample_run.REFUSED["msg"]}
    assert outcome["failing"], "a refused checklist fails a run that nothing else can fail"


@pytest.mark.parametrize(
    ("fail_on", "status", "failing"),
    [
        ("never", "critical", False),
        ("critical", "critical", True),
        ("critical", "unknown", True),
        ("critical", "warning", False),
        ("warning", "warning", True),
        ("warning", "skipped", False),
    ],
)
def test_fail_on(tmp_path: Path, fail_on: str, status: str, failing: bool) -> None:
    outcome = run({"a": sample_run.checklist([status, "ok"])}, directory=str(tmp_path), fail_on=fail_on)
    assert outcome["failing"] is failing


def test_fail_on_is_critical_unless_said_otherwise(tmp_path: Path) -> None:
    outcome = run({"a": sample_run.checklist(["warning"])}, directory=str(tmp_path))
    assert outcome["failing"] is False
    assert json.loads(Path(outcome["paths"]["json"]).read_text(encoding="utf-8"))["fail_on"] == "critical"


def test_hosts_and_variable_choose_what_is_read(tmp_path: Path) -> None:
    values = {"a": FINE, "b": FINE, "c": sample_run.checklist(["critical"])}
    outcome = run(values, directory=str(tmp_path), variable="mine", hosts=["b", "a", "b", "gone"])
    document = json.loads(Path(outcome["paths"]["json"]).read_text(encoding="utf-8"))
    assert [(host["host"], host["status"]) for host in document["hosts"]] == [
        ("gone", "unknown"),
        ("a", "ok"),
        ("b", "ok"),
    ]


def test_no_template_of_a_host_is_evaluated(tmp_path: Path) -> None:
    value = sample_run.checklist(["critical"])
    value["results"][0]["message"] = "{{ lookup('pipe', 'id') }}"
    outcome = run({"a": value}, directory=str(tmp_path))
    assert "{{ lookup('pipe', 'id') }}" in Path(outcome["paths"]["json"]).read_text(encoding="utf-8")


def test_check_mode_shows_and_writes_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    directory = tmp_path / "reports"
    outcome = run({"a": sample_run.checklist(["warning"])}, check=True, directory=str(directory))
    assert not outcome["changed"] and not directory.exists()
    assert outcome["verdict"] == "1 warning on 1 of 1 host; not written in check mode"
    assert "WARNING" in capsys.readouterr().out


def test_the_checklist_is_printed_with_its_place_last(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    outcome = run({"a": FINE, "b": sample_run.checklist(["critical"])}, directory=str(tmp_path))
    lines = capsys.readouterr().out.splitlines()
    hosts = [line for line in lines if line.startswith(("CRITICAL", "OK"))]
    assert [line.split()[1] for line in hosts[:2]] == ["b", "a"]
    assert lines[-1].split() == ["report", outcome["paths"]["html"]]


def test_colours_are_ansibles(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(C, "COLOR_ERROR", "bright purple")
    monkeypatch.setattr("ansible.utils.color.ANSIBLE_COLOR", True)
    run({"b": sample_run.checklist(["critical"])}, directory=str(tmp_path))
    assert "\x1b[1;35mCRITICAL\x1b[0m  b" in capsys.readouterr().out


@pytest.mark.parametrize("run_id", ["../up", "a/b", ".hidden", "latest", "white space", "-rf", "ü", "x" * 129, "a\n"])
def test_a_malformed_run_id_is_refused(tmp_path: Path, run_id: str) -> None:
    with pytest.raises(AnsibleActionFail, match="cannot name a directory"):
        run({"a": FINE}, directory=str(tmp_path), run_id=run_id)
    assert not entries(tmp_path)


def test_a_run_id_is_made_where_none_is_given(tmp_path: Path) -> None:
    made = [run({"a": FINE}, directory=str(tmp_path))["run_id"] for _run in range(2)]
    assert len(set(made)) == 2
    for run_id in made:
        deliver.check_name("run_id", run_id)
    assert (tmp_path / "latest").readlink().name == made[1]


@pytest.mark.parametrize(
    "arguments", [{}, {"directory": "x", "fail_on": "always"}, {"directory": "x", "folder": "y"}], ids=str
)
def test_wrong_arguments_are_refused(
    arguments: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(AnsibleError, match=r"directory|fail_on|folder"):
        run({"a": FINE}, **arguments)
    assert not entries(tmp_path)


def test_what_cannot_be_written_is_named_and_shown(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").write_text("", encoding="utf-8")
    directory = tmp_path / "file" / "reports"
    with pytest.raises(AnsibleActionFail, match="day2_report_dir") as caught:
        run({"b": sample_run.checklist(["critical"])}, directory=str(directory))
    assert str(directory) in str(caught.value)
    printed = capsys.readouterr().out
    assert "CRITICAL" in printed and printed.splitlines()[-1].split() == ["report", "not", "written"]


def test_a_fault_while_writing_leaves_no_part_of_a_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = run({"a": FINE}, directory=str(tmp_path), run_id="first")

    def broken(_source: object, _target: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("os.rename", broken)
    with pytest.raises(AnsibleActionFail, match="Permission denied"):
        run({"a": FINE}, directory=str(tmp_path), run_id="second")
    assert entries(tmp_path) == ["first", "latest"]
    assert (tmp_path / "latest").resolve() == Path(first["paths"]["html"]).parent
