# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The times that real programs write: each is read, or it is said that it cannot be; none is silently passed over."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from datetime import datetime, timezone

import pytest
from ansible_collections.day2.ops.plugins.module_utils.logs.timestamps import line_time, why_unreadable

NOW = datetime(2026, 11, 30, 12, 0, 0, tzinfo=timezone.utc).timestamp()
# 04:06:54 in Berlin, in winter.
EPOCH = int(datetime(2026, 11, 30, 3, 6, 54, tzinfo=timezone.utc).timestamp())


@pytest.fixture(autouse=True)
def _berlin(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("TZ", "Europe/Berlin")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


# Each shows 2026-11-30 04:06:54 of Berlin, with or without a fraction.
PROGRAMS = {
    "rsyslog, traditional": "Nov 30 04:06:54 db1 sshd[71]: Failed",
    "rsyslog, ISO": "2026-11-30T04:06:54.123456+01:00 db1 sshd[71]: Failed",
    "RFC 3164 with a priority": "<34>Nov 30 04:06:54 db1 su: x",
    "RFC 5424": "<165>1 2026-11-30T03:06:54.003Z db1 app 71 ID47 - x",
    "RFC 3339 in small letters": "2026-11-30t03:06:54z x",
    "MySQL 5.1 and 5.5": "261130  4:06:54 [ERROR] page corrupt",
    "mysqld_safe": "261130 04:06:54 mysqld_safe Starting mysqld daemon",
    "MySQL 5.6": "2026-11-30 04:06:54 4711 [Note] x",
    "MySQL 5.7 and 8": "2026-11-30T03:06:54.123456Z 0 [ERROR] [MY-013183] [InnoDB] x",
    "MariaDB": "2026-11-30  4:06:54 0 [ERROR] page corrupt",
    "MySQL's slow log, 5.5": "# Time: 261130  4:06:54",
    "MySQL's slow log": "# Time: 2026-11-30T03:06:54.123456Z",
    "Apache access": '10.0.0.1 - frank [30/Nov/2026:04:06:54 +0100] "GET / HTTP/1.1" 500 12',
    "Apache access with a host": 'www.example.com:443 10.0.0.1 - - [30/Nov/2026:04:06:54 +0100] "GET /"',
    "Apache access, user of two words": '10.0.0.1 - frank smith [30/Nov/2026:04:06:54 +0100] "GET /"',
    "Apache error 2.2": "[Mon Nov 30 04:06:54 2026] [error] [client 10.0.0.1] x",
    "Apache error 2.4": "[Mon Nov 30 04:06:54.123456 2026] [core:error] [pid 71:tid 7] x",
    "nginx error": "2026/11/30 04:06:54 [error] 71#71: *3 open() failed",
    "PostgreSQL %m [%p]": "2026-11-30 04:06:54.123 CET [71] LOG:  x",
    "PostgreSQL %t, UTC": "2026-11-30 03:06:54 UTC [71] ERROR:  x",
    "PostgreSQL <%m>": "<2026-11-30 04:06:54.123 CET>LOG:  x",
    "PostgreSQL %u@%d %m": "app@shop 2026-11-30 04:06:54.123 CET [71] ERROR:  x",
    "PostgreSQL user=,db= %m": "user=app,db=shop 2026-11-30 04:06:54.123 CET LOG:  x",
    "PostgreSQL [%p] %m": "[71] 2026-11-30 04:06:54.123 CET LOG:  x",
    "PostgreSQL, zone without letters": "2026-11-30 06:06:54.123 +03 [71] LOG:  x",
    "PostgreSQL %n": f"{EPOCH}.123 [71] LOG:  x",
    "PostgreSQL csvlog": '2026-11-30 04:06:54.123 CET,"app","shop",71,"10.0.0.1:5",x',
    "PostgreSQL jsonlog": '{"timestamp":"2026-11-30 04:06:54.123 CET","user":"app","error_severity":"ERROR"}',
    "pgBackRest": "2026-11-30 04:06:54.123 P00   INFO: backup command begin",
    "PgBouncer": "2026-11-30 03:06:54.123 UTC [71] LOG stats",
    "Redis 7": "12345:M 30 Nov 2026 04:06:54.123 * Ready",
    "Redis 4, no year": "12345:M 30 Nov 04:06:54.123 * Ready",
    "Redis 2, no year": "[12345] 30 Nov 04:06:54.123 * Ready",
    "log4j ISO8601": "2026-11-30 04:06:54,123 ERROR [main] org.example.Main - x",
    "log4j DATE": "30 Nov 2026 04:06:54,123 ERROR x",
    "logback, level first": "ERROR 2026-11-30 04:06:54,123 [main] x",
    "Cassandra": "ERROR [main] 2026-11-30 04:06:54,123 CassandraDaemon.java:1 - x",
    "java.util.logging": "Nov 30, 2026 4:06:54 AM org.example.Main run",
    "WebLogic": "####<Nov 30, 2026 4:06:54 AM CET> <Error> <x>",
    "Tomcat": "30-Nov-2026 04:06:54.123 SEVERE [main] org.apache.catalina x",
    "Java's collector": "[2026-11-30T04:06:54.123+0100][12.3s][info][gc] x",
    "Java 8's collector": "2026-11-30T04:06:54.123+0100: 12.345: [GC x",
    "Python logging": "2026-11-30 04:06:54,123 - app - ERROR - x",
    "Python logging, level first": "ERROR:2026-11-30 04:06:54,123:x",
    "loguru": "2026-11-30 04:06:54.123 | ERROR    | app:run:1 - x",
    "Django's server": '[30/Nov/2026 04:06:54] "GET / HTTP/1.1" 500 12',
    "Gunicorn": "[2026-11-30 04:06:54 +0100] [71] [ERROR] x",
    "Celery": "[2026-11-30 04:06:54,123: ERROR/MainProcess] x",
    "uWSGI": "[Mon Nov 30 04:06:54 2026] x",
    "uWSGI's requests": "[pid: 7|app: 0|req: 1/2] 10.0.0.1 () {40 vars in 600 bytes} [Mon Nov 30 04:06:54 2026] GET /",
    "Go log": "2026/11/30 04:06:54 x",
    "Go log with a prefix": "worker: 2026/11/30 04:06:54.123456 x",
    "logrus": 'time="2026-11-30T04:06:54+01:00" level=error msg="x"',
    "Go slog": "time=2026-11-30T04:06:54.123+01:00 level=ERROR msg=x",
    "go-kit": "level=error ts=2026-11-30T03:06:54.123Z caller=main.go:1 msg=x",
    "klog": "E1130 04:06:54.123456       1 server.go:12] x",
    "CockroachDB": "E261130 04:06:54.123456 1 server/x.go:1  x",
    "zap, JSON": f'{{"level":"error","ts":{EPOCH}.123456,"msg":"x"}}',
    "zap, console": f"{EPOCH / 1e9:.15f}e+09\terror\tx",
    "zerolog": f'{{"level":"error","time":{EPOCH},"message":"x"}}',
    "pino": f'{{"level":50,"time":{EPOCH}123,"pid":7,"msg":"x"}}',
    "journalctl short-iso": "2026-11-30T04:06:54+0100 db1 sshd[71]: x",
    "journalctl export": f"__REALTIME_TIMESTAMP={EPOCH}123456",
    "journalctl json": f'{{"MESSAGE":"since 2019-01-01 00:00:00","__REALTIME_TIMESTAMP":"{EPOCH}123456"}}',
    "HAProxy": "10.0.0.1:4711 [30/Nov/2026:04:06:54.123] http-in web/s1 0/0/1/2/3 503",
    "HAProxy by syslog": "Nov 30 04:06:54 lb haproxy[71]: 10.0.0.1:4711 [29/Nov/2026:04:06:50.123] http-in x",
    "Postfix": "Nov 30 04:06:54 mail postfix/smtpd[71]: NOQUEUE: reject: x",
    "audit": f"type=USER_LOGIN msg=audit({EPOCH}.123:456): pid=1",
    "seconds since 1970": f"{EPOCH} x",
    "milliseconds since 1970": f"{EPOCH}123 x",
    "Squid": f"{EPOCH}.123     45 10.0.0.1 TCP_MISS/200 12 GET http://x/",
    "Nagios": f"[{EPOCH}] SERVICE ALERT: db1;x",
    "MongoDB 4.2": "2026-11-30T04:06:54.123+0100 E STORAGE  [x] x",
    "MongoDB": '{"t":{"$date":"2026-11-30T04:06:54.123+01:00"},"s":"E","c":"STORAGE","msg":"x"}',
    "Elasticsearch": "[2026-11-30T04:06:54,123][ERROR][o.e.n.Node] [n1] x",
    "Elasticsearch, JSON": '{"@timestamp":"2026-11-30T03:06:54.123Z", "log.level":"ERROR", "message":"x"}',
    "Kafka": "[2026-11-30 04:06:54,123] ERROR x (kafka.server.KafkaServer)",
    "ZooKeeper": "2026-11-30 04:06:54,123 [myid:1] - ERROR x",
    "RabbitMQ": "2026-11-30 04:06:54.123456+01:00 [error] <0.222.0> x",
    "RabbitMQ 3.6": "=ERROR REPORT==== 30-Nov-2026::04:06:54 ===",
    "Oracle's alert log": "Mon Nov 30 04:06:54 2026",
    "Oracle's alert log, 12.2": "2026-11-30T04:06:54.123456+01:00",
    "SQL Server": "2026-11-30 04:06:54.12 spid7s      Error: 17053, Severity: 16",
    "Sidekiq": "2026-11-30T03:06:54.123Z pid=71 tid=abc ERROR: x",
    "Sidekiq 4": "2026-11-30T03:06:54.123Z 71 TID-abc ERROR: x",
    "Rails, Ruby's logger": "E, [2026-11-30T04:06:54.123456 #71] ERROR -- : x",
    "Rails' requests": 'Started GET "/a?b=1" for 10.0.0.1 at 2026-11-30 04:06:54 +0100',
    "Docker json-file": '{"log":"2019-01-01 00:00:00 x\\n","stream":"stderr","time":"2026-11-30T03:06:54.123456789Z"}',
    "docker compose": "web_1  | 2026-11-30T04:06:54+01:00 x",
    "CRI-O and containerd": "2026-11-30T04:06:54.123456789+01:00 stderr F x",
    "kubectl logs --prefix": "[pod/web-1/app] 2026-11-30T03:06:54.123Z x",
    "containerd itself": 'time="2026-11-30T03:06:54.123456789Z" level=error msg="x"',
    "etcd 3.3": "2026-11-30 04:06:54.123456 E | etcdserver: x",
    "etcd": '{"level":"error","ts":"2026-11-30T04:06:54.123456+0100","caller":"x.go:1","msg":"x"}',
    "Grafana": "logger=x t=2026-11-30T04:06:54.123456789+01:00 level=error msg=x",
    "Prometheus": 'ts=2026-11-30T03:06:54.123Z caller=main.go:1 level=error msg="x"',
    "Loki's JSON, field last": '{"msg":"at 2019-01-01T00:00:00Z","level":"error","ts":"2026-11-30T03:06:54Z"}',
    "Envoy": "[2026-11-30 04:06:54.123][71][error][main] x",
    "Envoy access": '[2026-11-30T03:06:54.123Z] "GET / HTTP/1.1" 503',
    "Caddy": f'{{"level":"error","ts":{EPOCH}.123,"logger":"http.log","msg":"x"}}',
    "Traefik": 'time="2026-11-30T04:06:54+01:00" level=error msg=x',
    "Vault and Consul": "2026-11-30T04:06:54.123+0100 [ERROR] agent: x",
    "Terraform": "2026-11-30T04:06:54.123+0100 [ERROR] x",
    "Samba": "[2026/11/30 04:06:54.123456,  0] ../../source3/smbd/server.c:1(main)",
    "CUPS": "E [30/Nov/2026:04:06:54 +0100] x",
    "vsftpd": 'Mon Nov 30 04:06:54 2026 [pid 2] CONNECT: Client "10.0.0.1"',
    "OpenVPN": "2026-11-30 04:06:54 us=123456 TLS Error",
    "Exim": "2026-11-30 04:06:54 1kjABC-000001-AB <= a@example.com",
    "Dovecot": "Nov 30 04:06:54 imap-login: Info: x",
    "BIND": "30-Nov-2026 04:06:54.123 queries: info: x",
    "lighttpd": "2026-11-30 04:06:54: (server.c.1464) x",
    "Asterisk": "[Nov 30 04:06:54] ERROR[71]: x",
    "Cisco": "*Nov 30 04:06:54.123: %SYS-5-CONFIG_I: x",
    "Cisco with a zone": "Nov 30 04:06:54.123 CET: %SYS-5-CONFIG_I: x",
    "Cisco ASA": "Nov 30 2026 04:06:54: %ASA-6-302013: x",
    "PHP": "[30-Nov-2026 04:06:54 Europe/Berlin] PHP Warning:  x",
    "PHP in UTC": "[30-Nov-2026 03:06:54 UTC] PHP Warning:  x",
    "PHP's JSON": '{"level":"error","datetime":"30\\/Nov\\/2026:04:06:54 +0100"}',
    "PHP-FPM": "[30-Nov-2026 04:06:54] ERROR: x",
    "Monolog": "[2026-11-30T04:06:54.123456+01:00] app.ERROR: x [] []",
    "fail2ban": "2026-11-30 04:06:54,123 fail2ban.filter         [71]: INFO    [sshd] Found 10.0.0.1",
    "dpkg": "2026-11-30 04:06:54 status installed x",
    "apt's history": "Start-Date: 2026-11-30  04:06:54",
    "update-alternatives": "update-alternatives 2026-11-30 04:06:54: run with x",
    "ClamAV": "Mon Nov 30 04:06:54 2026 -> x",
    "Zabbix": "  1234:20261130:040654.123 x",
    "Zabbix, long process id": "123456:20261130:040654.123 x",
    "ClickHouse": "2026.11.30 04:06:54.123456 [ 71 ] {} <Error> x",
    "TiDB": "[2026/11/30 04:06:54.123 +01:00] [ERROR] x",
    "Jenkins": "2026-11-30 04:06:54.123+0100\t[id=1]\tSEVERE\tx",
    "Suricata": '{"timestamp":"2026-11-30T04:06:54.123456+0100","flow":{"start":"2019-01-01T00:00:00Z"}}',
    "log4j 2's JSON": f'{{"instant":{{"epochSecond":{EPOCH},"nanoOfSecond":123}},"level":"ERROR"}}',
    "loguru's JSON": f'{{"text":"x","record":{{"elapsed":{{"s":1}},"time":{{"repr":"x","timestamp":{EPOCH}.5}}}}}}',
    "Serilog": '{"@t":"2026-11-30T03:06:54.123Z","@mt":"x","@l":"Error"}',
    "date and time in two fields": '{"date":"2026-11-30","time":"04:06:54","level":"ERROR"}',
    "daemontools": f"@{(1 << 62) + EPOCH + 10:016x}07270e00 x",
    "svlogd": "2026-11-30_03:06:54.12345Z x",
    "ISO basic": "20261130T030654Z x",
    "fourteen digits": "20261130040654 x",
    "GNU date": "Mon 30 Nov 2026 04:06:54 AM CET x",
    "with AM": "2026-11-30 4:06:54 AM ERROR x",
    "long names": "Monday, November 30, 2026 at 4:06:54 AM CET x",
    "German": "30.11.2026 04:06:54 FEHLER x",
    "German, two digits": "30.11.26 04:06:54 FEHLER x",
    "without seconds": "2026-11-30 04:06:54 x",
    "GMT with an offset": "2026-11-30 04:06:54 GMT+1 x",
    "CSV with a number first": '71,"2026-11-30 04:06:54","ERROR","x"',
}


@pytest.mark.parametrize("program", PROGRAMS)
def test_the_time_of_a_program(program: str) -> None:
    line = PROGRAMS[program].encode()
    assert why_unreadable(line, NOW) is None
    moment = line_time(line, NOW)
    assert moment is not None and EPOCH <= moment < EPOCH + 1, moment


def test_a_time_without_seconds() -> None:
    assert line_time(b"2026-11-30 04:06 ERROR x", NOW) == EPOCH - 54


def test_the_second_half_of_the_day() -> None:
    for line in (b"Nov 29, 2026 4:06:54 PM x", b"2026-11-29 04:06:54 pm x", b"29 Nov 2026 4:06:54 p.m. x"):
        assert line_time(line, NOW) == EPOCH - 12 * 3600, line


UNREADABLE = {
    "Windows": "11/30/2026 4:06:54 AM ERROR x",
    "Windows, unambiguous today": "11/30/2026 04:06:54 ERROR x",
    "day or month": "05/11/2026 10:00:00 x",
    "day or month, with a readable time behind": "05/11/2026 10:00:00 since 2019-01-01 00:00:00",
    "WebSphere": "[11/30/26 4:06:54:123 CET] 0000001 x",
    "Spark": "26/11/30 04:06:54 ERROR SparkContext: x",
    "Snort": "11/30-04:06:54.123456  [**] x",
    "only the time of day": "04:06:54.123 [main] ERROR x",
    "only the time of day, bracketed": "[04:06:54] [Server thread/ERROR]: x",
    "only the time of day, level first": "ERROR 04:06:54,123 x",
    "zerolog's console": "4:06AM ERR x",
    "only the day": "2026-11-30 ERROR x",
    "since the host was started": "[   12.345678] eth0: link down",
    "X's header": '[    12.345] (==) Log file: "/var/log/Xorg.0.log", Time: Mon Nov 30 04:06:54 2026',
    "DB2": "2026-11-30-04.06.54.123456+060 I1234 x",
    "Oracle": "30-NOV-26 04.06.54.123456 AM ERROR x",
    "French": "30 d\u00e9c. 2026 04:06:54 ERREUR x",
    "German syslog": "Dez  3 04:06:54 db1 app: x",
    "Japanese": "2026\u5e7411\u670830\u65e5 04:06:54 ERROR x",
    "Japanese signs for the clock": "2026\u5e7411\u670830\u65e504\u664206\u520654\u79d2 ERROR x",
    "h for the hour": "2026-11-30 04h06 ERREUR x",
    "dots in the clock": "2026-11-30 04.06.54 ERROR x",
    "week and day": "2026-W49-1T04:06:54Z x",
    "day of the year": "2026-334T04:06:54Z x",
    "no such hour": "2026-11-30 25:06:54 ERROR x",
    "no such day": "2026-02-30 04:06:54 ERROR x",
    "readable only in the message": "30. XI. 2026 04:06:54: since 2019-01-01 00:00:00",
    "indented": "    2026/11/30 04:06:54 [INFO] consul: x",
    "unknown zone": "2026-11-30 04:06:54.123 XYT [71] LOG:  x",
    "unknown zone in brackets": "[30-Nov-2026 04:06:54 QQQ] PHP Warning:  x",
    "unknown zone before a process": "2026-11-30 04:06:54 ABX [71] LOG:  x",
    "zone no more in use": "2026-11-30 04:06:54 BRT [71] LOG:  x",
    "unknown place": "[30-Nov-2026 04:06:54 Europe/Atlantis] PHP Warning:  x",
    "ambiguous IST": "2026-11-30 04:06:54 IST [71] LOG:  x",
    "ambiguous CST": "2026-11-30 04:06:54 CST [71] LOG:  x",
    "ambiguous BST": "2026-11-30 04:06:54 BST [71] LOG:  x",
    "ambiguous AST": "2026-11-30 04:06:54 AST [71] LOG:  x",
    "ambiguous SST": "Mon Nov 30 04:06:54 SST 2026",
    "JSON in an unknown zone": '{"ts":"2026-11-30 04:06:54 XYT","msg":"x"}',
    "JSON in another order": '{"timestamp":"11/30/2026 04:06:54","event":{"date":"2019-01-01T00:00:00Z"}}',
    "JSON, unknown field": '{"when":"2026-11-30T04:06:54Z","level":"ERROR"}',
    "JSON, only an event's date": '{"event":{"date":"2019-01-01T00:00:00Z"},"level":"ERROR"}',
    "logfmt in another order": 'ts="11/30/2026 04:06:54" level=error',
}


@pytest.mark.parametrize("form", UNREADABLE)
def test_a_time_that_cannot_be_read_is_said(form: str) -> None:
    line = UNREADABLE[form].encode()
    assert line_time(line, NOW) is None
    assert why_unreadable(line, NOW)


UNDATED = {
    "traceback": "Traceback (most recent call last):",
    "exception": "ValueError: no 2026-13-01",
    "exception about a time": "ValueError: time data '2019-01-01 00:00:00' does not match",
    "cause": "Caused by: java.sql.SQLException: 2019-01-01 00:00:00 x",
    "indented value": "    VALUES ('2019-01-01 00:00:00')",
    "value": "VALUES ('2019-01-01 00:00:00', 1)",
    "message": "ERROR imported 2019-01-01 00:00:00",
    "longer message": "the order of 2019-01-01 00:00:00 is too old",
    "frame": "\tat Frame.java 2019-01-01 00:00:00",
    "hardware address": "00:16:35:12:ab:cd joined",
    "IPv6": "10:00::1 joined",
    "version": "nginx 1.22.1 10 20",
    "number": "1234567 x",
    "large number": "2999999999 bytes were read",
    "ratio": "16:9",
    "header": "Date: Mon, 30 Nov 2026 10:00:00 GMT",
    "header of long ago": "Expires: Thu, 01 Jan 1970 00:00:00 GMT",
    "header of a file": "Last-Modified: Thu, 01 Jan 2026 00:00:00 GMT",
    "certificate": "notAfter=Jan  1 00:00:00 2027 GMT",
    "duration": "took 00:01:02 to finish",
    "duration with a name": "Elapsed: 00:01:02",
    "range": "rows 10-20 of 30: 10:30",
    "JSON without a time": '{"level":"info","msg":"since 2019-01-01 00:00:00"}',
    "JSON with a duration": '{"level":"info","time":0.25,"msg":"x"}',
    "JSON with words": '{"ts":"yesterday, I think"}',
    "logfmt with a message": 'level=error msg="since 2019-01-01 00:00:00"',
    "empty": "",
}


@pytest.mark.parametrize("form", UNDATED)
def test_a_line_without_a_time_of_its_own_goes_on_where_the_one_before_ended(form: str) -> None:
    line = UNDATED[form].encode()
    assert line_time(line, NOW) is None
    assert why_unreadable(line, NOW) is None


@pytest.mark.parametrize(
    ("zone", "line", "hours"),
    [
        ("Asia/Kolkata", "IST", 5.5),
        ("Europe/Dublin", "IST", 1),
        ("Asia/Jerusalem", "IST", 2),
        ("Asia/Shanghai", "CST", 8),
        ("America/Chicago", "CST", -6),
        ("Europe/London", "BST", 1),
        ("Asia/Manila", "PST", 8),
        ("America/Los_Angeles", "PST", -8),
        ("UTC", "PST", -8),
        ("UTC", "JST", 9),
        ("UTC", "AEDT", 11),
        ("UTC", "NZDT", 13),
    ],
)
def test_an_abbreviation_is_the_hosts_own_first(
    monkeypatch: pytest.MonkeyPatch, zone: str, line: str, hours: float
) -> None:
    monkeypatch.setenv("TZ", zone)
    time.tzset()
    month, day = ("07", "01") if zone in ("Europe/Dublin", "Europe/London") else ("11", "29")
    expected = datetime(2026, int(month), int(day), 12, tzinfo=timezone.utc).timestamp() - hours * 3600
    assert line_time(f"2026-{month}-{day} 12:00:00 {line} [71] LOG:  x".encode(), NOW) == expected


@pytest.mark.parametrize("word", ["INFO", "WARN", "LOG", "GET", "POST", "ALERT", "FATAL", "TEST", "ROOT", "EVENT"])
def test_capitals_that_are_no_zone(word: str) -> None:
    assert line_time(f"2026-11-30 04:06:54 {word} x".encode(), NOW) == EPOCH
    assert line_time(f"[2026-11-30 04:06:54 {word}] x".encode(), NOW) == EPOCH


JSON_LINES = [
    '{"event":{"date":"2019-01-01T00:00:00Z"},"level":"ERROR","@timestamp":"2026-11-30T03:06:54Z"}',
    '{"timestamp":"2019-01-01T00:00:00Z","@timestamp":"2026-11-30T03:06:54Z"}',
    '{"date":"2019-01-01","ts":"2026-11-30T03:06:54Z"}',
    '{"date":"2019-01-01T00:00:00Z","timestamp":"2026-11-30T03:06:54Z"}',
    '{"message":"{\\"time\\":\\"2019-01-01T00:00:00Z\\"}","time":"2026-11-30T03:06:54Z"}',
    '{"message":"\\"time\\": \\"2019-01-01T00:00:00Z\\"","time":"2026-11-30T03:06:54Z"}',
    '{"items":[{"time":"2019-01-01T00:00:00Z"}],"time":"2026-11-30T03:06:54Z"}',
    '{"request":{"time":"2019-01-01T00:00:00Z","headers":{"date":"2019-01-01"}},"ts":"2026-11-30T03:06:54Z"}',
    '{"time":0.25,"ts":"2026-11-30T03:06:54Z"}',
    '{"time":null,"timestamp":"","ts":"2026-11-30T03:06:54Z"}',
    '{"log":{"time":"2019-01-01T00:00:00Z"},"time":"2026-11-30T03:06:54Z"}',
    '{"log":{"time":"2026-11-30T03:06:54Z"},"event":{"date":"2019-01-01T00:00:00Z"}}',
    '{"event":{"date":"2019-01-01T00:00:00Z"},"m":"' + "x" * 5000 + '","@timestamp":"2026-11-30T03:06:54Z"}',
    ' {"event":1}'[1:-1] + ',"Time":"2026-11-30T03:06:54Z","cut":"' + "y" * 70000,
    '{"time":"1795835214000"}'.replace("1795835214", str(EPOCH)),
    f'{{"timestamp":{EPOCH}.25}}',
    f'{{"timestamp":{EPOCH}e0}}',
    f'{{"time":{EPOCH}000000000}}',
]


@pytest.mark.parametrize("line", JSON_LINES)
def test_the_time_of_a_json_line_is_its_own(line: str) -> None:
    moment = line_time(line.encode(), NOW)
    assert moment is not None and EPOCH <= moment < EPOCH + 1


def test_the_zone_of_the_reason_is_named() -> None:
    assert os.environ["TZ"] == "Europe/Berlin"
    assert "'IST'" in str(why_unreadable(b"2026-11-30 04:06:54 IST [71] LOG:  x", NOW))
    assert "05/11/2026" in str(why_unreadable(b"05/11/2026 10:00:00 x", NOW))
