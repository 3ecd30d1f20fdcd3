# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is masked in all that people read, and what is not. None of the secrets was ever one."""

from __future__ import annotations

import pytest
from ansible_collections.day2.ops.plugins.module_utils.checks.masking import (
    has_secret,
    mask,
    mask_lines,
    secret_values,
    secret_words,
    secrets_of_commands,
)
from ansible_collections.day2.ops.plugins.module_utils.checks.secret_shapes import MASK

# The secret of each text, or its parts.
SECRET = [
    ("postgres://app:a/b@db", "a/b"),
    ("postgres://app:p@ss@w0rd@db/shop", "p@ss", "w0rd@db"),
    ("postgres://app:p@s/s?w#rd@db/shop", "p@s", "s?w#rd"),
    ("postgresql+psycopg://app:12/34@db:5432/x", "12/34"),
    ("https://me:hunter22@example.com:8443/a", "hunter22"),
    ("redis://:hunter22@cache:6379/0", "hunter22"),
    ("amqp://app:hun:ter@mq/", "hun:ter"),
    ("mongodb+srv://app:hunter22@c.example.net/x?y=z", "hunter22"),
    ("see 'https://me:hunt,er@h/x', please", "hunt,er"),
    ("https://0a1b2c3d4e5f60718293@sentry.example.com/1", "0a1b2c3d4e5f"),
    ('{"password": "va\\"lue9"}', "va", "lue9"),
    ('{"password":"hunter22","user":"me"}', "hunter22"),
    ('{"body":"{\\"password\\":\\"hunter22\\",\\"x\\":1}"}', "hunter22"),
    ('{"a":"{\\\\\\"token\\\\\\":\\\\\\"hunter22\\\\\\"}"}', "hunter22"),
    ('{"password": "cut off here', "cut off here"),
    ("password='it''s hunter22'", "hunter22"),
    ("host=db user=app password=hunter,22", "hunter,22"),
    ("host=db password='two words' dbname=x", "two words"),
    ("Server=db;User Id=app;Password=hun;ter;Database=x", "hun;ter"),
    ("Server=db;Pwd=hunter22;Encrypt=yes", "hunter22"),
    ("AccountName=x;AccountKey=aGVsbG8gd29ybGQ=;EndpointSuffix=y", "aGVsbG8gd29ybGQ"),
    ("DB_PASSWORD=hunter22 ./run", "hunter22"),
    ("db_pass=hunter22", "hunter22"),
    ("PGPASSWORD: hunter22", "hunter22"),
    ("MYSQL_PWD=hunter22", "hunter22"),
    ("password => 'hunter22'", "hunter22"),
    ("password[:=] hunter22".replace("[:=]", ":="), "hunter22"),
    ("aws_secret_access_key = wJalrXUtnFEMIK7MDENGbPxRfiCYzz", "wJalrXUtnFEMI"),
    ("client_secret=abc~def.ghi", "abc~def"),
    ("ALTER USER app PASSWORD 'hunter22'", "hunter22"),
    ("STATEMENT:  ALTER ROLE app WITH LOGIN ENCRYPTED PASSWORD 'it''s22';", "it''s22"),
    ("CREATE USER app WITH PASSWORD E'hunter\\\\22'", "hunter"),
    ("ALTER ROLE app PASSWORD $$hunter22$$", "hunter22"),
    ("ALTER ROLE app PASSWORD $x$hunter22$x$", "hunter22"),
    ("CREATE USER 'app'@'%' IDENTIFIED BY 'hunter22'", "hunter22"),
    ("ALTER USER app IDENTIFIED WITH caching_sha2_password BY 'hunter22'", "hunter22"),
    ("SET PASSWORD FOR 'app'@'%' = PASSWORD('hunter22')", "hunter22"),
    ("SET PASSWORD = 'hunter22'", "hunter22"),
    ("curl -u me:hunter22 https://example.com", "hunter22"),
    ("/usr/bin/curl -fsS --user 'me:hunter22' https://example.com", "hunter22"),
    ("curl -sume https://x -ume:hunter22", "hunter22"),
    ('["curl", "-u", "me:hunter22", "https://example.com"]', "hunter22"),
    ("curl -H 'Authorization: Bearer abcdef' https://x", "abcdef"),
    ("curl --proxy-user me:hunter22 https://x", "hunter22"),
    ("mysql -u root -phunter22 shop", "hunter22"),
    ("mysqldump --single-transaction -phunter22 shop", "hunter22"),
    ("['mariadb', '-phunter22']", "hunter22"),
    ("sshpass -p hunter22 ssh db1", "hunter22"),
    ("redis-cli -h cache -a hunter22 ping", "hunter22"),
    ('["redis-cli", "-a", "hunter22"]', "hunter22"),
    ("mongosh -u app -p hunter22 shop", "hunter22"),
    ("docker login -u me -p hunter22 registry", "hunter22"),
    ("ldapsearch -D cn=x -w hunter22 -b dc=y", "hunter22"),
    ("smbclient //nas/share -U me%hunter22", "hunter22"),
    ("openssl enc -pass pass:hunter22", "hunter22"),
    ("7z x -phunter22 a.7z", "hunter22"),
    ("snmpget -v2c -c hunter22 switch sysUpTime.0", "hunter22"),
    ("backup --password hunter22 --verbose", "hunter22"),
    ("backup --api-key=hunter22", "hunter22"),
    ('["tool", "--token", "hunter22"]', "hunter22"),
    ("key sk-proj-Ab12Cd34Ef56Gh78Ij90 used", "Ab12Cd34"),
    ("key sk-ant-api03-Ab12Cd34Ef56Gh78 used", "Ab12Cd34"),
    ("https://x.blob.core.windows.net/c?sv=2020&sig=Ab%2Fcd%3D&se=1", "Ab%2Fcd"),
    ("GET /a?X-Amz-Signature=0a1b2c3d4e&X-Amz-Date=1", "0a1b2c3d4e"),
    ("GET /a?access_token=abc.def&x=1", "abc.def"),
    ("GET /maps?key=Ab12Cd34Ef56Gh78Ij90&x=1", "Ab12Cd34"),
    ('Authorization: Digest username="me", realm="x", nc=1, response="6629fae49393a05397450978507c4ef1"', "6629fae4"),
    ('Digest username="me", uri="/", response="6629fae49393a05397450978507c4ef1", opaque="5"', "6629fae4"),
    ("Authorization: Basic bWU6aHVudGVyMjI=", "bWU6aHVu"),
    ('{"Authorization": "Bearer abc.def", "x": 1}', "abc.def"),
    ('-H "Proxy-Authorization: Basic bWU6aHVudGVyMjI="', "bWU6aHVu"),
    ("authorization=AWS4-HMAC-SHA256 Credential=AKIAX/2026, Signature=0a1b2c", "0a1b2c"),
    ("sent bearer abc123.def456", "abc123"),
    ("Cookie: sid=abc123; theme=dark", "abc123"),
    ('{"Set-Cookie": "sid=abc123; Path=/"}', "abc123"),
    ("JSESSIONID=0A1B2C3D", "0A1B2C3D"),
    ("X-Api-Key: abc123", "abc123"),
    ("X-Auth-Token: abc123", "abc123"),
    ("X-Vault-Token: hvs.CAESIAb12Cd34Ef56", "CAESIAb12"),
    ("db.example.com:5432:shop:app:hunter22", "hunter22"),
    ("*:*:*:app:hunt:er", "hunt:er"),
    ("machine example.com login me password hunter22", "hunter22"),
    ("app:$6$saltsalt$abcdefghijklmno:19000:0:99999:7:::", "abcdefghijklmno"),
    ("me:$2y$05$abcdefghijklmnopqrstuv", "abcdefghijklmno"),
    ("SCRAM-SHA-256$4096:c2FsdA==$c3RvcmVk:c2VydmVy", "c3RvcmVk"),
    ("https://api.telegram.org/bot123456:Ab12Cd34Ef56Gh78/sendMessage returned 401", "Ab12Cd34"),
    ("GET /query?q=CREATE+USER+reader+WITH+PASSWORD+%27hunter22%27&db=x", "hunter22"),
    ("connect postgres://db.example.com/shop?user=app&password=hunter22&sslmode=require", "hunter22"),
    ("GET /api?Passwd=hunter22&Email=x", "hunter22"),
    ("rspconfig f6u13k06 *_passwd=hunter22", "hunter22"),
    ("AKIAABCDEFGHIJKLMNOP", "AKIAABCDEFGHIJKLMNOP"),
    ("ghp_abcdefghijklmnopqrstuvwxyz0123", "abcdefghij"),
    ("github_pat_11ABCDEFG0abcdefghijkl", "11ABCDEFG"),
    ("glpat-abcdefghij0123456789", "abcdefghij"),
    ("xoxb-123456789012-abcdef", "123456789012"),
    ("https://hooks.slack.com/services/T0/B0/xyz", "T0/B0/xyz"),
    ("https://discord.com/api/webhooks/123/abc-def", "abc-def"),
    ("eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2ln", "eyJzdWIi"),
    ("AGE-SECRET-KEY-1QQPQYQSZGQ", "1QQPQYQSZ"),
    ("123456789:AAabcdefghijklmnopqrstuvwxyz0123456", "abcdefghij"),
    ("npm_abcdefghijklmnopqrstuvwxyz0123456789", "abcdefghij"),
    ("-----BEGIN RSA PRIVATE KEY-----\\nMIIEow\\n-----END RSA PRIVATE KEY-----", "MIIEow"),
    ("-----BEGIN OPENSSH PRIVATE KEY----- b3BlbnNzaC1r", "b3BlbnNz"),
    ("curl -sSu me:hunter22 https://x", "hunter22"),
    ("curl -fsSLu 'me:hunter22' https://x", "hunter22"),
    ("curl -sSfume:hunter22 https://x", "hunter22"),
    ("curl -kU me:hunter22 https://x", "hunter22"),
    ("ldapsearch -xw hunter22 -b dc=y", "hunter22"),
    ("sudo -u redis redis-cli -a hunter22 ping", "hunter22"),
    ("REDISCLI_AUTH=hunter22 redis-cli ping", "hunter22"),
    ("podman login -u me -p hunter22 registry.example.com", "hunter22"),
    ("helm registry login -u me -p hunter22 registry.example.com", "hunter22"),
    ("DB_PW=hunter2", "hunter2"),
    ("db-pw: hunter2", "hunter2"),
    ("PW=hunter2 ./run", "hunter2"),
    ('{"db_pw": "hunter2"}', "hunter2"),
    ("ldap_default_authtok = hunter2", "hunter2"),
    ("requirepass hunter2", "hunter2"),
    ('requirepass "hunter2"', "hunter2"),
    ("masterauth hunter2", "hunter2"),
    ("redis-cli config set requirepass hunter2", "hunter2"),
    ("sentinel auth-pass mymaster hunter2", "hunter2"),
    ("ACL SETUSER app on >hunter2 ~* +@all", "hunter2"),
    ("user app on >hunter2 ~* +@all", "hunter2"),
    ("bindpw hunter2", "hunter2"),
    ('{"auths":{"registry.example.com":{"auth":"dXNlcjpodW50ZXIy"}}}', "dXNlcjpodW50ZXIy"),
    ("_auth=dXNlcjpodW50ZXIy", "dXNlcjpodW50ZXIy"),
    ("SMTP_AUTH=hunter2", "hunter2"),
]  # fmt: skip


@pytest.mark.parametrize("text", SECRET, ids=lambda entry: entry[0][:50])
def test_secrets_are_masked(text: tuple[str, ...]) -> None:
    shown = mask(text[0])
    assert MASK in shown and has_secret(text[0])
    assert not [part for part in text[1:] if part in shown], shown


HARMLESS = [
    "91.3 % of / used",
    "key not found",
    "token bucket is full",
    "https://example.com/a?b=c",
    "https://example.com:8443/users/me@example.com",
    "http://web:8080/a?mail=me@example.com",
    "http://[::1]:8080/a@b",
    "peer https://peer.example.com:9077 refused write from agent ai:worker@host1",
    "https://peer:9077/api/v1/sync/push -> 403: not enrolled: ai:worker@host1",
    "http://me@example.com/a",
    "git@github.com:org/repo.git",
    "mailto:me@example.com",
    'password authentication failed for user "app"',
    "Failed password for root from 10.0.0.1 port 22 ssh2",
    "pam_unix(sshd:auth): authentication failure; user=root",
    "/etc/passwd: no such line",
    "passwd: files systemd",
    "root ALL=(ALL) NOPASSWD: ALL",
    "max_tokens: 4096",
    "tokens=512",
    "token_type: bearer",
    "password_encryption = scram-sha-256",
    "password_file=/etc/day2/password",
    "secret_name: db-credentials",
    "password_changed_at: 2026-11-30",
    "password: required",
    "token: expired",
    "password=",
    "PWD=/root",
    "pwd: /var/lib/app",
    "pass: 12 fail: 3",
    "tests pass=12",
    "keyboard: us",
    "monkey=1",
    "author: me",
    "the bearer of documents",
    "basic authentication is off",
    "cookies are disabled",
    "curl: (7) Failed to connect to example.com port 443",
    "curl -fsS https://example.com:8443/health",
    "curl -u me https://example.com",
    "mysql -P 3306 -u root shop",
    "mysql: command not found",
    "psql -p 5432 -U app",
    "ssh -p 2222 db1",
    "docker run -p 8080:80 --name web nginx",
    "docker run -d -p 127.0.0.1:8080:80 nginx",
    "podman ps -p x",
    "docker compose -p shop up",
    "az vm list -p x",
    "curl -o out:file https://example.com",
    "curl -sSL https://example.com:8443/health",
    "curl -H 'Accept: text/plain' https://example.com",
    "kubectl get secret my-secret: not found",
    'secrets "my-secret" not found',
    "secret my-secret: forbidden",
    "token my-token: does not exist",
    "SMTP_AUTH=login",
    "client_auth: required",
    '{"auth": "required"}',
    '{"auth": "scram-sha-256"}',
    "requirepass is not set",
    "requirepass and masterauth are not the same",
    "new user bob logged in",
    "user bob on host a: load > 3",
    "the pwm driver: loaded",
    "redis-cli -h cache -p 6379 ping",
    "tar -pxf a.tar",
    "sk-learn-is-a-library-with-a-long-name",
    "sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
    "commit 12e4567 by me",
    "10:20:30:40:50",
    "fe80:1:2:3:4",
    "00:16:3e:aa:bb",
    "www-data:x:33:33:www-data:/var/www:/usr/sbin/nologin",
    "signature verified",
    "response=200",
    "status code=404&x=1",
    "GET /search?q=token&sort=asc HTTP/1.1",
    "identified as a robot",
    "SELECT * FROM users WHERE id = 'x'",
    "-----BEGIN CERTIFICATE-----",
    "5 lines",
    "$5 a month",
    "Accepted publickey for me from 10.0.0.1 port 22 ssh2: ED25519 SHA256:abc",
]


@pytest.mark.parametrize("text", HARMLESS)
def test_what_is_no_secret_is_shown(text: str) -> None:
    assert mask(text) == text


BODY = [
    "MIIEowIBAAKCAQEAx1yZ9Qm3v5J2k8w7r6t5y4u3i2o1p0a9s8d7f6g5h4j3k2l1",
    "q2W3e4R5t6Y7u8I9o0Pa1S2d3F4g5H6j7K8l9Z0x1C2v3B4n5M6q7W8e9R0t1Y2u",
]


def test_the_lines_of_a_private_key() -> None:
    begin, end = "-----BEGIN RSA PRIVATE KEY-----", "-----END RSA PRIVATE KEY-----"
    for lines in ([begin, *BODY, "abcd=", end], [begin, *BODY], [*BODY, "abcd=", end], BODY[1:], [f"x {begin}", *BODY]):
        shown = "\n".join(mask_lines([*lines, "after"]) if end in lines else mask_lines(lines))
        assert not [line for line in [*BODY, "abcd="] if line in shown], shown
    assert mask_lines(["before", begin, *BODY, end, "after"])[0::5] == ["before", "after"]
    public = ["-----BEGIN CERTIFICATE-----", *BODY, "-----END CERTIFICATE-----"]
    assert mask_lines(public) == public
    digests = ["9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08", "abcd"]
    assert mask_lines(digests) == digests


@pytest.mark.parametrize(
    ("argv", "secrets"),
    [
        (["curl", "-u", "me:hunter22", "https://x"], ["hunter22"]),
        (["/usr/bin/curl", "-ume:hunter22"], ["hunter22"]),
        (["curl", "--user=me:hunter22"], ["hunter22"]),
        (["mysql", "-phunter22", "-P", "3306"], ["hunter22"]),
        (["redis-cli", "-a", "hunter22", "-p", "6379"], ["hunter22"]),
        (["sshpass", "-p", "hunter22", "ssh"], ["hunter22"]),
        (["openssl", "-passin", "pass:hunter22"], ["hunter22"]),
        (["tool", "--password", "hunter22"], ["hunter22"]),
        (["tool", "--api-key=hunter22"], ["hunter22"]),
        (["psql", "postgres://app:a/b@db/x"], ["a/b"]),
        (["sudo", "redis-cli", "-a", "hunter22"], ["hunter22"]),
        (["sudo", "-u", "redis", "/usr/bin/redis-cli", "-a", "hunter22", "ping"], ["hunter22"]),
        (["env", "REDISCLI_AUTH=hunter22", "redis-cli"], ["hunter22"]),
        (["env", "DB_PW=hunter22", "PGHOST=db", "./run"], ["hunter22"]),
        (["sh", "-c", "redis-cli -a hunter22"], ["hunter22"]),
        (["bash", "-ec", "echo x | curl -sSu me:hunter22 https://x"], ["hunter22"]),
        (["su", "-c", "mysql -phunter22 shop", "app"], ["hunter22"]),
        (["timeout", "5", "nice", "-n", "5", "mysql", "-phunter22"], ["hunter22"]),
        (["runuser", "-u", "app", "--", "sshpass", "-p", "hunter22", "ssh", "h"], ["hunter22"]),
        (["nohup", "setpriv", "--reuid", "app", "redis-cli", "-a", "hunter22"], ["hunter22"]),
        (["xargs", "-n", "1", "curl", "-u", "me:hunter22"], ["hunter22"]),
        (["kubectl", "exec", "web", "--", "redis-cli", "-a", "hunter22"], ["hunter22"]),
        (["psql", "host=h password=hunter22"], ["hunter22"]),
        (["psql", "host=h password='hunter22' user=x"], ["hunter22"]),
        (["curl", "-H", "Authorization: Bearer hunter22"], ["Bearer hunter22", "hunter22"]),
        (["curl", "-H", "X-Api-Key: hunter22"], ["hunter22"]),
        (["curl", "-sSu", "me:hunter22", "https://x"], ["hunter22"]),
        (["curl", "-fsSu", "me:hunter22"], ["hunter22"]),
        (["curl", "-fsSume:hunter22"], ["hunter22"]),
        (["curl", "--oauth2-bearer", "hunter22"], ["hunter22"]),
        (["redis-server", "--requirepass", "hunter22"], ["hunter22"]),
        (["redis-cli", "config", "set", "requirepass", "hunter22"], ["hunter22"]),
        (["wget", "--header", "X-Token: hunter22"], ["hunter22"]),
        (["su", "-", "app", "-c", "PGPASSWORD=hunter22 psql"], ["hunter22 psql", "hunter22"]),
        (["docker", "login", "-u", "me", "-p", "hunter22"], ["hunter22"]),
        (["docker", "run", "-p", "8080:80", "nginx"], []),
        (["podman", "ps", "-p", "x"], []),
        (["sudo", "-u", "postgres", "psql", "-p", "5432"], []),
        (["env", "LANG=C.UTF-8", "TZ=UTC", "date"], []),
        (["sh", "-c", "systemctl is-active web"], []),
        (["psql", "-p", "5432"], []),
        (["curl", "https://x"], []),
        (["true"], []),
    ],
)
def test_the_secrets_of_a_command_line(argv: list[str], secrets: list[str]) -> None:
    assert secret_words(argv) == secrets


@pytest.mark.parametrize(
    ("named", "secrets"),
    [
        ({"X-Env": "prod"}, []),
        ({"X-Env": "prod", "Accept": "application/json", "User-Agent": "day2/1.0"}, []),
        ({"X-Api-Key": "hunter22"}, ["hunter22"]),
        ({"Authorization": "Bearer abc123"}, ["Bearer abc123", "abc123"]),
        ({"Authorization": "Basic bWU6aHVudGVyMjI="}, ["Basic bWU6aHVudGVyMjI=", "bWU6aHVudGVyMjI=", "hunter22"]),
        ({"X-Shop": "0a1b2c3d4e5f60718293"}, ["0a1b2c3d4e5f60718293"]),
        ({"PGPASSWORD": "hunter22", "PGHOST": "db"}, ["hunter22"]),
        ({"DATABASE_URL": "postgres://app:hunter22@db/x"}, ["hunter22"]),
        ({"PATH": "/usr/bin:/bin", "LANG": "C.UTF-8", "HOME": "/root", "PWD": "/root"}, []),
        ({"PGPASSFILE": "/root/.pgpass"}, ["/root/.pgpass"]),
        ({"PASSWORD_FILE": "/run/secrets/x", "AWS_ACCESS_KEY_ID": "x1"}, []),
    ],
)
def test_values_are_secret_by_their_name_or_shape(named: dict[str, str], secrets: list[str]) -> None:
    assert secret_values(named) == secrets


def test_variables_are_meant_to_be_secret() -> None:
    named = {
        "X": "correct-horse",
        "Y": "p w",
        "STAGE": "prod",
        "N": "5",
        "HOME": "/root",
        "PGHOST": "db.prod.example.com",
    }
    assert secret_values(named, are_secret=True) == ["correct-horse", "p w", "w"]
    assert secret_values(named) == []


@pytest.mark.parametrize(
    ("name", "value", "is_secret"),
    [
        ("DB_PW", "correcthorse", True),
        ("DB_PW", "abcd", True),
        ("REDISCLI_AUTH", "hunter", True),
        ("X", "correcthorse", True),
        ("WHATEVER", "correct.horse", True),
        ("WHATEVER", "12345678,9", True),
        ("APP_CODE", "ABCDEFGH", True),
        ("X", "horse", False),
        ("RAILS_ENV", "production", False),
        ("X", "production", False),
        ("LANG", "en_US.UTF-8", False),
        ("PGUSER", "application", False),
        ("PGSSLMODE", "verify-full", False),
        ("LOG_LEVEL", "information", False),
        ("SERVER", "db.prod.example.com:5432", False),
        ("ADDRESS", "127.0.0.1:6379", False),
        ("X", "localhost:6379", False),
        ("DAY", "20261130", False),
        ("CONFIG", "/etc/app/config.yml", False),
        ("TARGET", "https://web.example.com/health", False),
    ],
)
def test_a_variable_is_secret_unless_it_is_evidently_harmless(name: str, value: str, is_secret: bool) -> None:
    assert (value in secret_values({name: value}, are_secret=True)) is is_secret


def test_a_short_secret_is_not_masked_within_other_words() -> None:
    assert mask("prod is no production", ["prod"]) == f"{MASK} is no production"
    assert mask("xhunter22y", ["hunter22"]) == f"x{MASK}y"


def test_secrets_of_options_that_are_commands() -> None:
    params = {
        "argv": ["ipmitool", "--password", "f1ctional"],
        "check": None,
        "old": "x",
        "other": ["--password", "not"],
    }
    assert secrets_of_commands(params, "argv", "check", "old") == ["f1ctional"]
