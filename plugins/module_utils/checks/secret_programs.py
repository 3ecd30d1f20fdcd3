# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The options in which programs take a secret, in command lines that are run and in text that quotes them."""

from __future__ import annotations

import functools
import re
from typing import Sequence

from ansible_collections.day2.ops.plugins.module_utils.checks.secret_shapes import MASK

# A program (or one with its subcommand), its options whose next word is a secret, and those that the secret follows at
# once (`mysql -pX`).
_PROGRAMS: tuple[tuple[str, str, str], ...] = (
    (r"(?:mysql|mariadb)[\w-]*", r"", r"-p"),
    (r"sshpass", r"-p", r"-p"),
    (r"redis-cli|valkey-cli", r"-a|--pass", r""),
    (r"mongo\w*|cqlsh|rabbitmqadmin|influx|smbpasswd", r"-p", r""),
    (r"(?:docker|podman|skopeo|buildah|helm|nerdctl|crane|oras|az|oc|cf) login", r"-p", r""),
    (r"ldap\w+", r"-[A-Za-z]*w", r""),
    (r"mosquitto_\w+|sqlcmd|ipmitool|zip|unzip|bcp", r"-[a-z]*P", r""),
    (r"7za?|rar|unrar", r"", r"-p"),
    (r"snmp\w+", r"-c|-A|-X", r""),
    (r"kinit|htpasswd", r"--password", r""),
    (r"openssl", r"-pass(?:in|out)?|-k|-K", r""),
    (r"cryptsetup|keytool|jarsigner|signtool", r"-storepass|-keypass|-srcstorepass|-deststorepass", r""),
)
_USER_AND_PASSWORD: tuple[tuple[str, str], ...] = (
    # One-letter options that take nothing may stand before it: `-fsSu`.
    (r"curl", r"-[0-9#aBfgGiIjJklLnNOpqRsSvVZ]*[uU]|--user|--proxy-user|--tlspassword"),
    (r"http|https|xh", r"-a|--auth"),
    (r"smbclient|rpcclient|net", r"-U|--user"),
    (r"wget", r"--header"),
)
# How far from its program an option may be.
_BETWEEN = r"(?=[\s\"',\]])[^|;&\n]{0,800}?[\s\"',\[]"
_NEAR = _BETWEEN.replace("800", "200")
_GAP = r"[\s\"',=]+"
_LOGIN = " login"
_NAMES = "|".join(program.replace(_LOGIN, "") for program, *_options in (*_PROGRAMS, *_USER_AND_PASSWORD))


@functools.cache
def _any_program() -> re.Pattern[str]:
    return re.compile(rf"(?<![\w.-])(?:{_NAMES})(?=[\s\"',\]])")


def _is(name: str, program: str) -> bool:
    return re.fullmatch(program.replace(_LOGIN, ""), name) is not None


@functools.cache
def _shapes_of(name: str) -> tuple[re.Pattern[str], ...]:
    """What to search for where a program of this name is mentioned."""
    called = rf"(?<![\w.-]){re.escape(name)}"
    shapes = []
    for program, apart, joined in _PROGRAMS:
        if _is(name, program):
            begin = rf"({called}{_NEAR if program.endswith(_LOGIN) else _BETWEEN}" + (
                rf"login{_NEAR}" if program.endswith(_LOGIN) else ""
            )
            shapes += [rf"{begin}(?:{apart}){_GAP})(?!-)[^\s\"']+"] if apart else []
            shapes += [rf"{begin}(?:{joined}))[^\s\"']+"] if joined else []
    for program, options in _USER_AND_PASSWORD:
        if _is(name, program):
            shapes.append(rf"({called}{_BETWEEN}(?:{options})(?:{_GAP})?[^\s:\"'%=-][^\s:\"'%]*[:%])[^\s\"']+")
    return tuple(map(re.compile, shapes))


def mask_programs(text: str) -> str:
    """A text with the secrets of the command lines in it masked."""
    for name in {match.group() for match in _any_program().finditer(text)}:
        for shape in _shapes_of(name):
            text = shape.sub(rf"\g<1>{MASK}", text)
    return text


def program_secrets(argv: Sequence[str]) -> list[str]:
    """The words of a command line that a program in it takes for a secret, be it run by another (`sudo`, `env`)."""
    return [secret for place in range(len(argv)) for secret in _secrets_of(argv[place:])]


def _secrets_of(argv: Sequence[str]) -> list[str]:
    """The same for the program that the first word names."""
    name = argv[0].rpartition("/")[2]
    found: list[str] = []
    for program, apart, joined in _PROGRAMS:
        if not _is(name, program) or (program.endswith(_LOGIN) and "login" not in argv):
            continue
        if apart:
            found += [word for option, word in zip(argv, argv[1:]) if re.fullmatch(apart, option)]
        if joined:
            found += [word[len(joined) :] for word in argv[1:] if re.match(joined + ".", word)]
    for program, options in _USER_AND_PASSWORD:
        if not _is(name, program):
            continue
        words = [word for option, word in zip(argv, argv[1:]) if re.fullmatch(options, option)]
        words += [re.sub(rf"^(?:{options})=?", "", word) for word in argv[1:] if re.match(rf"(?:{options})=?.", word)]
        found += [part for word in words for part in [re.split("[:%]", word, maxsplit=1)[-1]] if part != word]
    return [word.partition(":")[2] if word.startswith("pass:") else word for word in found]
