# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What people reported of logrotate and of roles for it, each rebuilt small: refused by name, or right."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from ansible_collections.day2.ops.plugins.module_utils.errors import Day2Error
from ansible_collections.day2.ops.plugins.module_utils.rotation import arguments, claims, logrotate
from ansible_collections.day2.ops.plugins.module_utils.rotation.logrotate import Owner, Stanza, Turn

ROOT, ADM, APP, WEB = 0, 4, 999, 33


def asked(**values: Any) -> dict[str, Any]:
    usual: dict[str, Any] = {"name": "shop", "paths": ["/var/log/shop/app.log"], "log_class": "application",
                             "max_age": None, "max_size": None, "holds": [], "encrypt_to": [], "level": 3, "size": None,
                             "frequency": "daily", "reopen": {"command": ["/bin/true"]}, "copytruncate": False,
                             "take_over": False, "renamed_by": "logrotate", "copy_to": None, "host": None}  # fmt: skip
    return {**usual, **values}


def files(folder: Path, main: str = "", **others: str) -> str:
    (folder / "d").mkdir()
    for name, text in others.items():
        (folder / "d" / name).write_text(text)
    (folder / "main").write_text(f"{main}\ninclude {folder}/d\n")
    return str(folder / "main")


NGINX = "/var/log/nginx/*.log {\n daily\n}\n"
# Where it was reported, what other files say, our paths, whether it is taken over, and what the refusal says.
CLAIMS: list[tuple[str, str, dict[str, str], str, bool, str | None]] = [
    ("nickhammond/logrotate 27", "", {"nginx": NGINX}, "/var/log/nginx/*.log", False, "d/nginx already (line 1"),
    ("ajgon/opsworks_ruby 117", "", {"nginx": NGINX}, "/var/log/nginx/shop.log", True, "is for other files too"),
    ("logrotate/logrotate 259", "", {"x": "/h/c*.log {\n}\n"}, "/h/*.log", False, "line 1: /h/c*.log"),
    ("logrotate/logrotate 109", "", {"s": "/l/cron\n#/l/messages\n/l/spooler\n{\n}\n"}, "/l/messages", False, None),
    ("konstruktoid/hardening 170", "/l/wtmp {\n}\n", {}, "/l/wtmp", True, "remove that entry from it"),
    ("logrotate/logrotate 81", "", {"bad": "/l/app.log\n", "s": "/l/b {\n}\n"}, "/l/app.log", False, None),
    ("fsalum/puppet-redis 4", "", {"redis": "/l/redis/redis-server*.log {\n}\n"}, "/l/redis/*.log", False, "d/redis"),
    ("microsoft/omi 627", "", {"day2-lad": "/l/urp.log {\n}\n"}, "/l/urp.log", True, "which is the policy lad"),
    ("phusion/baseimage-docker 584", "/l/btmp {\n}\n", {"btmp": "/l/x {\n}\n"}, "/l/btmp", False, "/main already"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("where", "main", "others", "path", "take_over", "said"), CLAIMS, ids=[row[0] for row in CLAIMS]
)
def test_an_entry_twice(
    tmp_path: Path, where: str, main: str, others: dict[str, str], path: str, take_over: bool, said: str | None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setattr(claims, "MAIN", str(tmp_path / "main"))
    found = claims.find([path], claims.read(files(tmp_path, main, **others)), "")
    if said is None:
        assert claims.judge(found, take_over) == []
        return
    with pytest.raises(claims.Claimed) as refused:
        claims.judge(found, take_over)
    assert said in str(refused.value)


# Where it was reported; owner and mode of the directory, owners of its logs, copytruncate; as whom it is rotated.
PARENTS: list[tuple[str, Owner, list[Owner], bool, Owner | str | None]] = [
    ("sous-chefs/logrotate 124", Owner(ROOT, 110, 0o775), [Owner(104, ADM)], False, Owner(ROOT, 110)),
    ("logrotate/logrotate 589", Owner(ROOT, 110, 0o775), [Owner(104, ADM)], True, Owner(ROOT, 110)),
    ("logrotate/logrotate 371", Owner(APP, ADM, 0o2770), [Owner(APP, ADM)], True, Owner(APP, ADM)),
    ("yeti-switch/yeti-web 903", Owner(APP, APP, 0o777), [], False, "chmod o-w /l"),
    ("NginxProxyManager 3219", Owner(ROOT, ROOT, 0o755), [Owner(WEB, ADM)], False, None),
    ("a directory of the writer's", Owner(APP, APP, 0o755), [Owner(APP, ADM)], False, Owner(APP, ADM)),
    ("no log yet", Owner(APP, ADM, 0o750), [], False, Owner(APP, ADM)),
    ("a log of somebody else's", Owner(APP, ADM, 0o750), [Owner(WEB, ADM)], False, Owner(ROOT, ADM)),
    ("which root would copy", Owner(APP, ADM, 0o750), [Owner(WEB, ADM)], True, "belongs to another user"),
]


@pytest.mark.parametrize(("where", "at", "logs", "copytruncate", "wanted"), PARENTS, ids=[row[0] for row in PARENTS])
def test_parent_directories(
    where: str, at: Owner, logs: list[Owner], copytruncate: bool, wanted: Owner | str | None
) -> None:
    if isinstance(wanted, str):
        with pytest.raises(logrotate.LogrotateError, match=wanted):
            logrotate.rotate_as("/l", at, logs, copytruncate)
    else:
        assert logrotate.rotate_as("/l", at, logs, copytruncate) == wanted


# What is asked for, and what the refusal names.
REFUSED: list[tuple[dict[str, Any], str]] = [
    # logrotate/logrotate 266, cdalvaro/docker-salt-master 376, couchbase-mobile-portal 494
    ({"paths": ["/var/log/shop/*"]}, "'paths': /var/log/shop/* would match its own pieces"),
    ({"paths": ["/var/log/shop/*.log*"]}, "would match its own pieces"),
    ({"paths": ["/var/log/a.log", "/var/log/*.log"]}, "can be the same file"),
    ({"paths": []}, "'paths' is missing"),
    ({"paths": ["shop.log"]}, "'paths': 'shop.log' is not an absolute path"),
    ({"paths": ["/var/log/../x.log"]}, "'paths'"),
    ({"paths": ["/var/log/{a}.log"]}, "which logrotate cannot read"),
    ({"paths": ["/var/log/a\nb.log"]}, "which logrotate cannot read"),
    ({"name": "Shop"}, "'name' is 'Shop'"),
    ({"name": "shop.bak"}, "'name' is 'shop.bak': logrotate does not read"),
    (
        {"log_class": "aplication"},
        "'log_class' is 'aplication', which is no class of logs; did you mean 'application'?",
    ),
    ({"max_size": "10"}, "'max_size': 10 has no unit; write 10GB"),
    ({"size": "100"}, "'size': 100 has no unit"),
    ({"max_size": "10G"}, "'max_size': 'G' is ambiguous"),
    ({"max_size": "-1GB"}, "'max_size': -1GB is less than a byte"),
    ({"max_age": "-1d"}, "'max_age': '-1d' is not longer than nothing"),
    ({"max_age": "30 moons"}, "'max_age'"),
    ({"log_class": "audit"}, "'encrypt_to' is missing: class audit is encrypted"),
    ({"encrypt_to": ["age1short"]}, "'encrypt_to' 1 is no recipient"),
    ({"reopen": {"service": "x", "restart": True}}, "'reopen': 'restart' is no field of it"),
    ({"reopen": {"service": "x"}}, "'reopen': one of {service, signal}"),
    ({"reopen": {"command": "systemctl reload x"}}, "'reopen.command': is not a list"),
    ({"reopen": {"command": ["systemctl", "reload"]}}, "'reopen.command': 'systemctl' is not the absolute path"),
    ({"reopen": {"command": ["/bin/sh", "-c", "x\nendscript"]}}, "'reopen.command': an argument has a line break"),
    ({"reopen": {"command": ["/usr/bin/curl", "--token", "s3cr3t"]}}, "'reopen.command' has a secret"),
    ({"copytruncate": True}, "'copytruncate' does not go with 'reopen'"),
    ({"copy_to": "ftp://x"}, "'copy_to'"),
    ({"host": "../x"}, "'host' is '../x'"),
    ({"level": 20}, "'level' is 20"),
    ({"holds": [{"pattern": "*", "until": "tomorrow", "reason": "x"}]}, "'holds' 1: 'until' is 'tomorrow'"),
    ({"holds": [{"pattern": "*", "until": "2026-12-31"}]}, "'holds' 1: 'reason' is missing"),
    ({"holds": [{"glob": "*"}]}, "'holds' 1: 'glob' is no field of it"),
]


@pytest.mark.parametrize(("values", "said"), REFUSED, ids=[row[1] for row in REFUSED])
def test_refused_by_name(values: dict[str, Any], said: str) -> None:
    with pytest.raises(Day2Error) as refused:
        arguments.parse(asked(**values))
    assert said in str(refused.value) and "s3cr3t" not in str(refused.value)


def test_people_s_quantities() -> None:
    wanted = arguments.parse(asked(max_age="2w", max_size="1.5GB", size="100MB", frequency="weekly"))
    assert (wanted.policy.max_age, wanted.policy.max_size) == (14 * 86400, 1_500_000_000)
    assert wanted.turn.size == 100_000_000 and arguments.parse(asked()).policy.max_age == 30 * 86400


def test_the_file_says_it_all_itself() -> None:
    """CrowdStrike/ansible_collection_falcon 648, open5gs 3082, YunoHost 2734: who does not run is not notified.

    openQA 1438, logrotate 551: the name has the second. omega8cc 1768: no shell takes a word apart.
    """
    wanted = arguments.parse(asked(reopen={"service": "my shop@1", "signal": "USR1"})).turn
    text = logrotate.render("shop", [Stanza(("/l/it's 100%.log",), ("redis", "adm")), Stanza(("/l/b",))], wanted)
    assert '"/l/it\'s 100%.log"\n{\n' in text and "    su redis adm\n" in text and text.count("su ") == 1
    assert "if systemctl is-active --quiet 'my shop@1.service'; then" in text
    assert "systemctl kill --signal=SIGUSR1 --kill-who=main 'my shop@1.service'" in text
    for option in (
        "nocompress",
        "dateext",
        "dateformat -%Y%m%d-%s",
        "rotate 1000000",
        "maxage 0",
        "missingok",
        "create",
    ):
        assert f"    {option}\n" in text
    cut = logrotate.render("shop", [Stanza(("/l/b",))], Turn(copytruncate=True))
    assert "    copytruncate\n" in cut and "create\n" not in cut and "postrotate" not in cut


@pytest.mark.parametrize(
    ("directory", "unit", "option"),
    [
        ("/srv/log", {"ProtectSystem": "strict", "ReadWritePaths": "/var/log"}, "ProtectSystem"),
        ("/var/log/shop", {"ProtectSystem": "strict", "ReadWritePaths": "/var/log"}, None),
        ("/etc/shop", {"ProtectSystem": "full"}, "ProtectSystem"),
        ("/srv/log", {"ProtectSystem": "full"}, None),
        ("/tmp/shop", {"PrivateTmp": "yes"}, "PrivateTmp"),
        ("/home/shop/log", {"ProtectHome": "read-only"}, "ProtectHome"),
        ("/home/shop/log", {"ProtectHome": "no"}, None),
        ("/srv/log", {"ReadOnlyPaths": "/srv"}, "ReadOnlyPaths"),
        ("/srvx/log", {"InaccessiblePaths": "-/srv"}, None),
        ("/srv/log", {}, None),
    ],
)
def test_the_sandbox_of_logrotates_service(directory: str, unit: dict[str, str], option: str | None) -> None:
    assert logrotate.out_of_reach(directory, unit) == option


def test_options_for_all_logs_that_would_rename_pieces(tmp_path: Path) -> None:
    with pytest.raises(claims.Claimed, match="'dateyesterday' for all logs"):
        claims.refuse_common(claims.read(files(tmp_path, "dateext\ndateyesterday")))
