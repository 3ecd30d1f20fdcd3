# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which units stop with others, start them, or are started along."""

from __future__ import annotations

import pytest
from ansible_collections.day2.ops.plugins.module_utils.maintenance.targets.graph import (
    Unit,
    affected,
    mentions,
    near,
    parse,
    pulled_in,
    refusal,
    triggers,
)


def host(**units: str) -> dict[str, Unit]:
    """Each unit as lines `Key=value`, separated by `;`; a name's last `__` is its dot, none is a service's."""
    found = {}
    for name, text in units.items():
        full = name.replace("__", ".") if "__" in name else f"{name}.service"
        fields = dict(part.partition("=")[::2] for part in text.split(";") if part)
        found[full] = Unit({"Id": full, "LoadState": "loaded", "ActiveState": "active", **fields})
    return found


@pytest.mark.parametrize("key", ["Requires", "Requisite", "BindsTo", "PartOf", "StopPropagatedFrom"])
def test_a_stop_goes_to_what_needs_the_unit(key: str) -> None:
    units = host(app="", other=f"{key}=db.service app.service", third=f"{key}=other.service", alone="")
    assert affected(units, ["app.service"]) == {
        "other.service": f"{key}=app.service",
        "third.service": f"{key}=other.service",
    }


@pytest.mark.parametrize("key", ["Wants", "Upholds", "After", "Before", "Conflicts", "OnFailure"])
def test_a_stop_goes_nowhere_else(key: str) -> None:
    assert affected(host(app="", other=f"{key}=app.service"), ["app.service"]) == {}


@pytest.mark.parametrize("kind", ["socket", "path", "timer", "automount"])
def test_what_starts_a_unit_is_affected(kind: str) -> None:
    units = host(app="", **{f"ask__{kind}": "Triggers=app.service"})
    assert affected(units, ["app.service"]) == {f"ask.{kind}": "it starts app.service"}
    assert triggers(units, ["app.service"]) == {f"ask.{kind}": "it starts app.service"}


def test_a_circle_ends_and_what_is_named_is_not_its_own_dependent() -> None:
    units = host(a="BindsTo=b.service", b="BindsTo=a.service", c="Requires=a.service;LoadState=not-found")
    assert affected(units, ["a.service"]) == {"b.service": "BindsTo=a.service"}
    assert affected(units, ["a.service", "b.service"]) == {}


def test_slices_scopes_and_devices_are_left_alone() -> None:
    units = host(
        app="", x__slice="Requires=app.service", y__scope="Requires=app.service", z__device="PartOf=app.service"
    )
    assert affected(units, ["app.service"]) == {}


def test_what_a_start_pulls_in_besides() -> None:
    down = "ActiveState=inactive"
    units = host(
        app="Wants=helper.service idle.service;Requires=db.service sysinit.target;Upholds=kept.service",
        helper=down, idle="", db=f"{down};Wants=cache.service", cache=down, kept=down,
        sysinit__target="Wants=early.service", early=down,
    )  # fmt: skip
    # What is needed has to run, what is upheld starts again, and a target's wishes are not the unit's.
    assert pulled_in(units, ["app.service"]) == ["cache.service", "helper.service"]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("[Unit]\nRequires=x.service app.service\n", True), ("PartOf = app.service", True),
        ("  BindsTo=app.service", True), ("StopPropagatedFrom=app.service", True),
        ("Requires  =  app.service", True), ("Requires\t=\tx.service\tapp.service", True),
        ("\tPartOf =app.service\t", True), ("Requires= app.service", True), ('Requires="app.service"', True),
        ("Requires=x.service \\\n  app.service", True), ("BindsTo = \\\n\\\napp.service", True),
        ("Requires=x.service \\\n# why\n; and\n app.service\n", True), ("Requires=app.service \\", True),
        ("Requires=x.service\\\napp.service\n", True), ("PartOf=%p-main.service", True),
        ("Description=Requires \\\nRequires=app.service", False), ("After=x.service \\\n app.service", False),
        ("; Requires=app.service", False), ("# x \\\nRequires=app.service", True), ("XRequires=app.service", False),
        ("RequiresMountsFor=app.service", False), ("Requires=x.service\n app.service", False),
        ("[Unit]\nDescription=a = b\n[Install]\nRequiredBy=app.service", False),
        ("After=app.service\nWants=app.service", False), ("#Requires=app.service", False),
        ("Requires=my-app.service", False), ("Requires=app.service.d", False), ("", False),
    ],
)  # fmt: skip
def test_files_that_name_a_unit(text: str, found: bool) -> None:
    assert mentions(text, {"app.service"}) is found


def test_only_services_lead_to_what_they_start() -> None:
    (service,) = parse("Id=a.service\nWants=b.service c.target\nRequiredBy=d.service e.slice\n\n")
    assert near(service) == {"b.service", "d.service"}
    (target,) = parse("Id=a.target\nWants=b.service\nRequiredBy=d.service\n")
    assert near(target) == {"d.service"}


@pytest.mark.parametrize(
    ("units", "words"),
    [
        # needrestart 75, SSSD 5521: units that take no orders by hand.
        ({"app": "CanStop=no"}, "app.service refuses to be stopped by hand"),
        ({"app": "CanStart=no"}, "app.service refuses to be started by hand"),
        ({"app": "Transient=yes"}, "app.service was made by systemd-run"),
        # A stop goes to what depends on it all the same; a start comes back only where something pulls it in.
        ({"app": "", "other": "CanStop=no;PartOf=app.service"}, None),
        ({"app": "", "other": "CanStart=no"}, "other.service refuses"),
        # Nothing stops where nothing runs: it would be waited for in vain.
        ({"app": "ActiveState=inactive", "other": "CanStop=no;PartOf=app.service"}, "nothing that runs takes it along"),
        ({"app": "ActiveState=inactive", "other": "CanStop=no;PartOf=others.service",
          "others": "PartOf=app.service"}, None),
        ({"app": "ActiveState=inactive", "other": "CanStop=no;PartOf=others.service",
          "others": "CanStop=no;PartOf=app.service"}, "nothing that runs takes it along"),
        ({"app": "Wants=other.service", "other": "CanStart=no"}, None),
        ({"app": "Wants=third.service", "third": "Requires=other.service",
          "other": "CanStart=no;CanStop=no;BindsTo=app.service"}, None),
        ({"app": "CanStart=no;Wants=other.service", "other": "CanStart=no"}, "app.service refuses"),
        ({"app": "", "other": "Transient=yes"}, "other.service was made by systemd-run"),
        ({"app": "", "other__socket": "CanStop=no"}, "other.socket refuses to be stopped by hand"),
        # What does not run is neither stopped nor started.
        ({"app": "CanStop=no;CanStart=no;ActiveState=inactive"}, None),
        ({"app": "CanStart=no;ActiveState=failed"}, None),
        ({"app": "", "other": "Transient=yes;ActiveState=inactive"}, None), ({"app": "", "other": ""}, None),
    ],
)  # fmt: skip
def test_units_that_would_not_come_back_are_refused(units: dict[str, str], words: str | None) -> None:
    known = host(**units)
    said = refusal(known, ["app.service"], [name for name in known if name.startswith("other")])
    assert (said is None) if words is None else words in str(said)


@pytest.mark.parametrize(
    ("shown", "job", "again"),
    [
        ("ActiveState=deactivating", "restart", True), ("ActiveState=deactivating", "start", True),
        ("ActiveState=deactivating", "stop", False), ("ActiveState=deactivating;Restart=always", "stop", False),
        # Its process has ended, and ExecStopPost= runs still.
        ("ActiveState=deactivating;Restart=always", "", True), ("ActiveState=deactivating;Restart=no", "", False),
        ("ActiveState=deactivating;Restart=on-failure;Result=exit-code", "", True),
        ("ActiveState=deactivating;Restart=on-failure;Result=success", "", False),
        ("ActiveState=deactivating;Restart=on-success;Result=success", "", True),
        ("ActiveState=failed;SubState=failed-before-auto-restart", "", True),
        ("ActiveState=inactive;Restart=always", "", False), ("ActiveState=failed", "start", False),
    ],
)  # fmt: skip
def test_one_that_ends_only_to_start_again(shown: str, job: str, again: bool) -> None:
    assert host(app=shown)["app.service"].starts_again(job) is again
