# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Keep secrets and floods out of what people read."""

from __future__ import annotations

import base64
import re
from typing import Iterable, Mapping, Sequence

from ansible_collections.day2.ops.plugins.module_utils.checks.secret_programs import mask_programs, program_secrets
from ansible_collections.day2.ops.plugins.module_utils.checks.secret_shapes import HINT, MASK, mask_key_lines, shapes

MAX_LINES = 20
MAX_BYTES = 4096
# Shorter ones would hide half of every message ("ok", "1"); they are still kept out of the invocation.
MIN_SECRET = 4
# From this length on a secret is masked within other words too.
_LONG = 8
# Of a line in evidence, of which less is shown.
_LOOKED_AT = 4 * MAX_BYTES


def mask(text: str, secrets: Sequence[str] = ()) -> str:
    """Replace secrets: the given values, and whatever has the shape of one."""
    for secret in secrets:
        if len(secret) >= _LONG:
            text = text.replace(secret, MASK)
        elif len(secret) >= MIN_SECRET and secret in text:
            text = re.sub(rf"(?<!\w){re.escape(secret)}(?!\w)", MASK, text)
    if HINT.search(text) is None:
        return text
    text = mask_programs(text)
    for shape, replacement in shapes():
        text = shape.sub(replacement, text)
    return text


def mask_lines(lines: Iterable[str], secrets: Sequence[str] = ()) -> list[str]:
    """The same for lines that belong together: a private key is masked to its end."""
    return [mask(line[:_LOOKED_AT], secrets) for line in mask_key_lines(list(lines))]


def has_secret(text: str) -> bool:
    """Whether a text holds something of the shape of a secret."""
    return mask(text) != text


_OPTION = re.compile(r"--?[\w-]*(?:password|passwd|pass|passphrase|token|secret|key|bearer|masterauth)", re.IGNORECASE)
# The names of headers and of variables of an environment that hold a secret.
_IS_NAMED = re.compile(
    r"pass|pwd|pswd|(?:^|[_-])pw(?:$|[_-])|secret|token|key|auth|cookie|cred|sess|signature|\bsig|private|bearer|dsn"
    r"|(?:^|_)pin(?:$|_)",
    re.IGNORECASE,
)
_IS_NO_SECRET = re.compile(r"(?:_|-)(?:file|path|dir|name|type|id)$|^(?:old)?pwd$|^ssh_auth_sock$", re.IGNORECASE)
_PLAIN = re.compile(
    r"[A-Za-z]{0,7}|[\d.,:]{0,7}|[\d.:]+|(?:19|20)\d{6}|[~./].*|[a-z][a-z0-9+.-]*://.*|[\w-]+(?:\.[\w-]+){2,}(?::\d+)?"
    r"|[\w-]+\.(?:com|org|net|io|eu|de|local|lan|internal|home|corp|svc|example|test)(?::\d+)?|localhost(?::\d+)?"
    r"|[a-z]{2}_[A-Z]{2}(?:\.[\w-]+)?"
    r"|production|development|staging|disabled|enabled|required|info(?:rmation)?|verify-(?:ca|full)|noninteractive",
    re.DOTALL,
)
# Variables whose values everybody may read; what is short or plain is shown under any name.
_IS_HARMLESS = re.compile(
    r"(?:^|_|PG)(?:HOST|HOSTNAME|HOSTADDR|SERVER|USER|USERNAME|DATABASE|DBNAME|PORT|REGION|ZONE|ENV|ENVIRONMENT|STAGE|MODE"
    r"|LEVEL|FORMAT|SSLMODE|APPNAME|NAME|LOCALE|CLUSTER|NAMESPACE|BUCKET|PROFILE|VERSION|TYPE|PATH|DIR|FILE|HOME)$"
    r"|^(?:LC_\w+|LANG|LANGUAGE|TZ|TERM|SHELL|LOGNAME|EDITOR|PAGER|DEBIAN_FRONTEND|NO_PROXY|\w+_(?:OPTS|FLAGS))$",
    re.IGNORECASE,
)
_RANDOM = re.compile(r"(?=\S*\d)(?=\S*[A-Za-z])(?!/)[\w+/=.~-]{20,}")
_VARIABLE = re.compile(r"([A-Z_][A-Z0-9_]*)=(.+)", re.DOTALL)
_WITH_SCHEME = re.compile(r"(?:bearer|basic|token|digest|apikey) +\S", re.IGNORECASE)


def secrets_of_commands(params: Mapping[str, object], *names: str) -> list[str]:
    """The secret words of options that are commands, lists of words; what is none of these has none."""
    commands = (params.get(name) for name in names)
    return [secret for argv in commands if isinstance(argv, list) for secret in secret_words([str(w) for w in argv])]


def secret_words(argv: Sequence[str]) -> list[str]:
    """The secrets of a command line: what follows `--password`, or `=` in it, passwords in URLs, what its programs take
    for one, and what has the shape of one.
    """
    found = [word for option, word in zip(argv, argv[1:]) if _OPTION.fullmatch(option) and not word.startswith("-")]
    found += [word.partition("=")[2] for word in argv if _OPTION.fullmatch(word.partition("=")[0])]
    found += [match.group(1) for word in argv for match in _URL_PASSWORD.finditer(word)]
    found += program_secrets(argv)
    for match in filter(None, map(_VARIABLE.fullmatch, argv)):
        # `PGPASSWORD=x psql` is the command of a shell: its other words are no secrets.
        values = secret_values({match[1]: match[2]})
        found += values if " " not in match[2] else values[:1]
    for text in (*argv, " ".join(argv)):
        found += [part for part in _shaped(text) if not part.endswith(tuple(f":{known}" for known in found if known))]
    return list(dict.fromkeys(word for word in map(str.strip, found) if word))


def _shaped(text: str) -> list[str]:
    """The parts of a text that have the shape of a secret."""
    kept = mask(text).split(MASK)
    match = re.fullmatch("(.*?)".join(map(re.escape, kept)), text, re.DOTALL)
    parts = [part.strip("\\\"'") for part in match.groups()] if match is not None else []
    return [secret for part in parts for secret in (part, *(_parts(part) if _WITH_SCHEME.match(part) else ()))]


def secret_values(named: Mapping[str, str], are_secret: bool = False) -> list[str]:
    """The values of headers or variables that are secret by their name or shape. `X-Env: prod` is none.

    `are_secret`: they are all meant to be; then only short words, numbers, paths, hosts and what is evidently harmless
    are none, which would hide half of what everybody says.
    """
    found: list[str] = []
    for name, value in named.items():
        is_named = _IS_NAMED.search(name) and not _IS_NO_SECRET.search(name)
        is_meant = are_secret and not _IS_HARMLESS.search(name) and not _PLAIN.fullmatch(value)
        if is_named or _RANDOM.fullmatch(value) or is_meant:
            found += [value, *_parts(value)]
        elif has_secret(value):
            found += secret_words([value])
    return found


def _parts(value: str) -> list[str]:
    """What is secret within a value: the credentials of a header, and the password in those of basic authentication."""
    scheme, _blank, rest = value.partition(" ")
    if not rest:
        return secret_words([value])
    if scheme.lower() != "basic":
        return [rest]
    try:
        plain = base64.b64decode(rest, validate=True).decode("utf-8", "replace")
    except ValueError:
        return [rest]
    return [rest, plain.partition(":")[2]]


_URL_PASSWORD = re.compile(r"://[^\s:/@]*:(\S+)@")
# Besides control characters those by which a text is shown in another order than it has, or on several lines.
_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")


def printable(text: str) -> str:
    """Show control characters (a terminal would obey them) and lone surrogates as escapes."""
    if _CONTROL.search(text) is None:
        return text
    return _CONTROL.sub(lambda match: match.group().encode("unicode_escape").decode("ascii"), text)


def clip_evidence(lines: Iterable[str]) -> list[str]:
    """At most 20 lines and 4 KiB; the last says how many more there were, or ends with an ellipsis where it was cut."""
    kept: list[str] = []
    room = MAX_BYTES
    whole = list(lines)
    if len(whole) > MAX_LINES:
        whole[MAX_LINES - 1 :] = [f"… and {len(whole) - MAX_LINES + 1} more lines"]
    for line in whole:
        data = line.encode("utf-8", "replace")
        if len(data) > room:
            if room > 3:
                kept.append(data[: room - 3].decode("utf-8", "ignore") + "…")
            break
        kept.append(data.decode("utf-8"))
        room -= len(data)
    return kept
