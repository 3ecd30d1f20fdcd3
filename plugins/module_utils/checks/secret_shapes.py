# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What secrets look like: names of fields, headers, statements, and tokens that tell by themselves what they are."""

from __future__ import annotations

import base64
import functools
import re
from typing import Callable, Union

MASK = "********"
Replacement = Union[str, Callable[["re.Match[str]"], str]]

# Names

_OF_SECRETS = (
    r"(?:pass(?:word|wd|phrase)|pwd|secret|token|credentials?|(?:api|access|private|secret|signing|encryption|account"
    r"|routing|auth|license|shared|storage)[_-]?key|apikey|sess(?:ion)?[_-]?id|jsessionid|phpsessid|passcode)"
)
# What tells about a secret and is none: `token_type`, `password_file`, `max_tokens`, `password_changed_at`.
_ABOUT = re.compile(
    r"(?:[_.-]?(?:type|file|path|dir|name|url|uri|count|length|len|size|age|days|hours|minutes|seconds|ttl|timeout|limit"
    r"|policy|hint|required|enabled|changed|expir\w*|valid\w*|last\w*|updated|created|rotat\w*|at|version|format|encryption"
    r"|algorithm|method|manager|store|provider|scope|issuer|auth|endpoint|ref|references?)|i[sz]er\w*|s|less)+$",
    re.IGNORECASE,
)
_STATES = frozenset(
    b"true false yes no on off none null nil empty unset missing required optional expired expires invalid incorrect"
    b" wrong failed changed set ok valid unknown disabled enabled accepted rejected not notfound found forbidden denied"
    b" unauthorized cannot could does is was has must already exists created deleted configured unchanged mismatch"
    b" permission access authentication error refused hidden redacted".decode().split()
)
_VALUE = (
    r"(?P<value>\\+\"(?:(?!\\+\").)*(?:\\+\"|$)|\"(?:[^\"\\]|\\.)*\"?|'(?:[^'\\]|\\.|'')*'?"
    # A comma, semicolon, ampersand or quote ends a value only where something else begins.
    r"|(?:[^\s,;&\"']|[,&;](?!\s|$|\w[\w.-]*[\"']?\s*[=:])|[\"'](?![,:;}\])\s]|$))+)"
)
# Names have an end, so that no text takes long.
_NAMED = (
    # Not the last part of a path: `/etc/passwd: no such line` gives nothing away. Nor does a rule of sudo.
    r"(?P<head>(?<![\w/.-])(?!NOPASSWD\b)(?P<name>[\w.-]{0,60}"
    + _OF_SECRETS
    + r"(?P<rest>[\w.-]{0,60})|\w{1,60}_pass|pass|(?:[\w.-]{0,60}[_.-])?(?:pw|pswd|psw|passw|authtok)|(?:root|bind)pw)"
    r"(?:\\*[\"'])?\]?\s*(?:=>|:=|=|:)\s*)" + _VALUE
)


def _mask_named(match: re.Match[str]) -> str:
    name, value, rest = match["name"].lower(), match["value"], match["rest"] or ""
    bare = value.strip("\\\"'")
    harmless = (
        bare.lower().strip(".!") in _STATES
        or (name in ("pwd", "oldpwd") and bare.startswith(("/", "~")))
        or (name in ("passwd", "pass", "shadow") and _is_plain(bare))
        or (rest and _ABOUT.fullmatch(rest) and not re.search(r"https?://[^/\s]*:[^/\s]*@", bare))
        or bare in ("", "*", "x", "!", "{")
    )
    return match.group() if harmless else match["head"] + MASK


def _mask_login(match: re.Match[str]) -> str:
    """Name and password in base64, as docker, podman and npm keep them."""
    try:
        plain = base64.b64decode(match["secret"] + "=" * (-len(match["secret"]) % 4), validate=True)
    except ValueError:
        return match.group()
    return match["head"] + MASK if b":" in plain and plain.isascii() else match.group()


# What a variable such as SMTP_AUTH says instead of a secret.
_METHODS = (
    r"(?!(?:login|plain|basic|digest|ntlm|md5|cram\S*|scram\S*|trust|peer|none|no|yes|on|off|true|false|\d)\b[\s\"']*)"
)
_WORDS_BESIDE = (
    r"(?!(?:is|was|and|or|in|not|to|for|has|must|should|option|directive|config\w*|parameter|setting|password|with|on|off"
    r"|are|the|of|value)\b)"
)


def _settings() -> tuple[tuple[re.Pattern[str], Replacement], ...]:
    """What settings and variables of an environment say without `=` or under names of their own."""
    return (
        (re.compile(r"(?P<head>[\"']?\b_?auth[\"']?\s*[:=]\s*[\"']?)(?P<secret>[A-Za-z0-9+/]{6,}={0,2})"), _mask_login),
        _after(r"\b[A-Z][A-Z0-9]{0,30}(?:_[A-Z0-9]{1,30}){0,6}_AUTH=", _METHODS + r"[^\s;&|]+", ignore_case=False),
        _after(
            r"\b(?:requirepass|masterauth|primaryauth|sentinel\s+auth-pass\s+\S{1,99}|bindpw|rootpw)[\s\"',]+",
            _WORDS_BESIDE + r"[^\s\"',]+",
        ),
        _after(r"\b(?:setuser\s+\S{1,99}|user\s+\S{1,99}\s+(?:on|off))(?=\s)[^\r\n]{0,300}?[\s\"']>", r"[^\s\"']+"),
    )


def _is_plain(value: str) -> bool:
    """The number of tests that passed, or where names are looked up (`passwd: files systemd`)."""
    return value in ("files", "compat", "systemd", "sss", "db", "ldap") or re.fullmatch(r"\d{1,4}", value) is not None


# Tokens

_TOKENS = (
    r"\beyJ[\w-]{8,}\.[\w-]{4,}(?:\.[\w-]*)*",
    r"\b(?:AKIA|ASIA|ABIA|ACCA)[A-Z0-9]{16}\b",
    r"\bgh[pousr]_[A-Za-z0-9]{20,}\b|\bgithub_pat_\w{20,}\b|\bgl(?:pat|dt|rt|cbt|ptt|ft|soat|oas)-[\w-]{16,}",
    r"\bxox[abeoprs]-[\w-]{8,}|\bxapp-[\w-]{16,}",
    r"\b[srp]k_(?:live|test)_\w{8,}|\bwhsec_\w{16,}",
    r"\bsk-(?=[\w-]*\d)(?:[a-z]+-)?[\w-]{16,}",
    r"AGE-(?:SECRET-KEY|PLUGIN-[A-Z0-9-]+)-1[A-Z0-9]+",
    r"\bAIza[\w-]{30,}|\bya29\.[\w-]{16,}|\bGOCSPX-[\w-]{16,}",
    r"\bSG\.[\w-]{16,}\.[\w-]{16,}|\bkey-[0-9a-f]{32}\b|\bSK[0-9a-f]{32}\b",
    r"\b(?:npm|hf|lin_api|dop_v1|doo_v1|shpat|shpss|glsa|nrak|figd|pul|tfp|rubygems|sntrys|sntryu|dckr_pat)_[\w-]{20,}"
    r"|\bNRAK-[A-Z0-9]{20,}|\bpypi-[\w-]{16,}|\bhv[sbr]\.[\w-]{16,}|\bdp\.pt\.\w{16,}|\batlasv1\.\S{16,}|\bdapi[0-9a-f]{32}\b",
    r"\b\d{8,10}:AA[\w-]{30,}",
    r"\$(?:1|2[aby]?|5|6|7|y|gy|apr1|argon2\w*|scrypt|pbkdf2[\w-]*)\$[^\s:\"']{8,}|\bSCRAM-SHA-256\$\d+:\S+",
)


def _after(head: str, secret: str, tail: str = "", ignore_case: bool = True) -> tuple[re.Pattern[str], Replacement]:
    """What follows `head` (and stands before `tail`) is masked."""
    pattern = re.compile(f"(?P<head>{head})(?:{secret})(?P<tail>{tail})", re.IGNORECASE if ignore_case else 0)
    return pattern, rf"\g<head>{MASK}\g<tail>"


_PRIVATE_KEY = r"-----BEGIN [A-Z0-9 ]*PRIVATE KEY.*?(?:-----END [A-Z0-9 ]*PRIVATE KEY[A-Z ]*-----|$)"
_SCHEME = r"\b[a-z][a-z0-9+.-]{0,20}://"
_DATABASE = r"\b(?:postgres(?:ql)?|mysql|rediss?|amqps?|mongodb)(?:\+\w+)?://"
_TO_AT = r"[^\s\"'<>]+"
_QUOTED = r"\\+\"(?:(?!\\+\").)*\\+\"|\"(?:[^\"\\]|\\.)*\"|'[^']*'"
_IS = r"(?:\\*[\"'])?\s*(?:=>|[:=])\s*"
_OPTIONS = (
    r"(?<!\w)--?(?:password|passwd|pass|passphrase|token|secret|api-?key|access-?key|secret-?key|auth-?token|client-secret)"
    r"(?:[\s\"',]+|=)"
)


@functools.cache
def shapes() -> tuple[tuple[re.Pattern[str], Replacement], ...]:
    """What to search for, and what to put in its place; made when a text first needs it."""
    return (
        (re.compile(_PRIVATE_KEY, re.DOTALL), MASK),
        # A password may hold / and @ (`postgres://app:p@ss/word@db`): up to the last @. A port is none.
        _after(_SCHEME + r"[^\s:/@\[]*:", r"(?!\d{1,5}(?:[/?#]|$))" + _TO_AT, "@"),
        _after(_DATABASE + r"[^\s:/@\[]*:", _TO_AT, "@"),
        _after(_SCHEME, r"(?=[^\s:/@]{0,99}\d)[^\s:/@]{16,}", "@"),
        *_headers(),
        *_statements(),
        *_settings(),
        # Addresses that let whoever knows them in, and signatures in them.
        _after(
            r"[?&;](?:sig|signature|auth|jwt|code_verifier|x-(?:amz|goog)-(?:signature|credential|security-token))=",
            r"[^&\s\"'#]+",
        ),
        _after(r"[?&]key=", r"(?=[^&\s]{0,99}\d)[^&\s\"'#]{16,}"),
        _after(r"/bot\d{5,}:", r"[\w-]{10,}"),
        _after(r"hooks\.slack\.com/(?:services|workflows|triggers)/", r"[\w/-]+"),
        _after(r"discord(?:app)?\.com/api/webhooks/|webhook\.office\.com/webhookb2/", r"[^\s\"']+"),
        _after(_OPTIONS, r"(?!-)[^\s\"']+"),
        (re.compile("|".join(_TOKENS)), MASK),
        (re.compile(_NAMED, re.IGNORECASE), _mask_named),
    )


def _headers() -> tuple[tuple[re.Pattern[str], Replacement], ...]:
    return (
        _after(
            r"(?:proxy-)?authorization" + _IS,
            _QUOTED + r"|[\"']?(?:Digest|AWS4|Hawk|OAuth|Signature)[^\r\n]*|[\"']?(?:[A-Za-z]+ +)?[^\s\"',]+",
        ),
        _after(r"\bDigest\s[^\r\n]{0,600}?\bresponse=", r"\"[^\"]*\"|[0-9a-f]{8,}"),
        _after(r"\bresponse=", r"\"[0-9a-f]{32,}\"|[0-9a-f]{32,}\b"),
        _after(r"\b(?:bearer|basic)\s+", r"(?=[A-Za-z]*[\d._~+/=-])[A-Za-z0-9._~+/-]{8,}=*"),
        _after(r"(?<![\w-])(?:set-)?cookie" + _IS, _QUOTED + r"|\S.*"),
        _after(r"(?<![\w-])x-[\w-]{0,40}(?:key|auth|token|secret)[\w-]{0,40}" + _IS, _QUOTED + r"|[^\s,\"']+"),
    )


def _statements() -> tuple[tuple[re.Pattern[str], Replacement], ...]:
    """SQL, .netrc and .pgpass."""
    return (
        _after(
            r"password\b(?:\s+for\s+\S{1,200}\s*=)?[\s=(]*(?:E|N)?", r"'(?:[^']|'')+'?|\$(?P<tag>\w*)\$.*?\$(?P=tag)\$"
        ),
        _after(
            r"\bidentified\s+(?:with\s+\S+\s+)?(?:by|as)\s+(?:password\s+)?",
            r"'(?:[^']|'')+'?|\"[^\"]+\"?|[^\s;'\"]{8,}",
        ),
        _after(r"password(?:\+|%20)+(?:=(?:\+|%20)*)?(?:%27|')", r"(?:(?!%27|')\S)+"),
        _after(r"\blogin\s+\S{1,200}\s+password\s+", r"\S+"),
        _after(r"^(?=.*[g-zG-Z_*])[^\s:]+:(?:\d{1,5}|\*):[^\s:]+:[^\s:]+:", r"[^\s/]\S*", "$", ignore_case=False),
    )


# A cheap first look: most text has none of these, and then none of the shapes is tried.
HINT = re.compile(
    r"://|pass|pwd|pw|psw|setuser|secret|token|key|bearer|basic|digest|response=|authorization|auth|cookie|credential|sess|identified|eyJ"
    r"|user\s+\S+\s+o|A[KSBC][ISC]A|gh[pousr]_|gl\w+-|xox|xapp|[srp]k[_-]|AIza|ya29|SG\.|SK\w|_\w{20}|hv[sbr]\.|dapi|pypi|dp\.pt|:AA|\$\w+\$"
    r"|sig=|signature|x-amz|x-goog|SCRAM|slack|webhook|-----BEGIN|curl|mysql|mariadb|sshpass|-cli|mongo|ldap|snmp|mosquitto|login|zip|7z|rar"
    r"|sqlcmd|ipmitool|bcp|influx|cqlsh|rabbitmq|openssl|http|smb|rpcclient|:\S*:\S*:\S*:",
    re.IGNORECASE,
)
# Whole lines of a private key whose head was not kept.
_KEY_LINE = re.compile(r"(?=[^a-z]*[a-z])(?=[^A-Z]*[A-Z])(?=\D*\d)[A-Za-z0-9+/]{40,80}={0,2}")
_KEY_TAIL = re.compile(r"[A-Za-z0-9+/]{4,80}={0,2}")
_BEGINS = re.compile(r"-----BEGIN ([A-Z0-9 ]+)-----")


def mask_key_lines(lines: list[str]) -> list[str]:
    """Lines with those of private keys masked, from the head on; lines of base64 without a head are taken for one."""
    masked: list[str] = []
    inside = ""
    after_key_line = False
    for line in lines:
        begins, text = _BEGINS.search(line), line.strip()
        inside = begins[1] if begins is not None else inside
        is_end = "-----END " in line
        secret = "PRIVATE KEY" in inside
        alone = not inside and (_KEY_LINE.fullmatch(text) or (after_key_line and _KEY_TAIL.fullmatch(text)))
        after_key_line = bool(alone)
        masked.append(MASK if alone or (secret and begins is None) else line)
        if is_end:
            inside = ""
    return masked
