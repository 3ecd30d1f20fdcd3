# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Physical backups that something is wrong with: lost WAL, damage, no repository, no room, secrets, S3."""

from __future__ import annotations

import json
from collections.abc import Iterator

import boto3
import pytest
from lab.waiting import wait_for
from pitr_cluster import CONFIG, DATA, PLACE, REPOSITORY, SCRATCH, SECRET, UNIT, Pitr


def test_the_reach_ends_with_the_last_commit(pitr: Pitr) -> None:
    nothing = pitr.info()
    assert nothing["backups"] == [] and nothing["reach"]["earliest"] is None and nothing["reach"]["ranges"] == []
    refused = pitr.restore("latest", check_mode=True, scratch_cluster=SCRATCH)
    assert refused["failed"] and "nothing can be restored" in refused["msg"]
    before = pitr.mark("before the first backup")
    # pgBackRest's times are whole seconds.
    later = f"SELECT date_trunc('second', clock_timestamp()) > '{before}'"
    wait_for(lambda: pitr.sql(later), lambda said: said == "t", 30, "the next second")
    pitr.backup(verify="none")
    good = pitr.mark("good")
    last = pitr.sql("INSERT INTO moments VALUES ('last', clock_timestamp()) RETURNING at")
    after = pitr.sql("SELECT clock_timestamp()")
    # Idle: segments without a commit do not move the end.
    for _time in range(2):
        pitr.shell(f"pgbackrest --config={CONFIG} --stanza=pitr check")
    reach = pitr.info()["reach"]
    latest, expected = reach["latest"], last.replace(" ", "T")[:21]
    assert latest.startswith(expected) and reach["gaps"] == [], reach
    for target, words in (
        ({"time": before}, "before the end of the first backup"), ({"time": after}, "after the last commit"),
        ({"lsn": "F/0"}, "after the last record"), ({"xid": 4_000_000_000}, "is nowhere in the WAL"),
    ):  # fmt: skip
        outcome = pitr.restore(target, scratch_cluster=SCRATCH)
        assert outcome["failed"] and words in outcome["msg"] and "reachable is" in outcome["msg"], outcome
        assert reach["earliest"] in outcome["msg"] and latest in outcome["msg"]
    assert pitr.shell(f"ls {PLACE} | grep -c scratch || echo none").split()[-1] == "none"
    assert pitr.restore({"time": good}, check_mode=True, scratch_cluster=SCRATCH)["plan"]["reachable"]


def test_a_lost_segment_is_named_and_nothing_gets_over_it(pitr: Pitr) -> None:
    pitr.backup(verify="none")
    good = pitr.mark("good")
    pitr.archive()
    there = pitr.segments()
    inside = pitr.mark("inside")
    pitr.archive()
    lost = sorted(set(pitr.segments()) - set(there))
    pitr.shell(f"cd {REPOSITORY}/archive/pitr/15-1/*/; rm {' '.join(lost)}")
    names = [segment[:24] for segment in lost]
    pitr.mark("behind")
    pitr.archive()
    (gap,) = pitr.info()["reach"]["gaps"]
    assert gap["segments"] == names and (gap["from"], gap["to"]) == (names[0], names[-1]) and gap["timeline"] == 1
    for target in ("latest", {"time": inside}):
        outcome = pitr.restore(target, scratch_cluster=SCRATCH)
        assert outcome["failed"] and names[0] in outcome["msg"] and "reachable is" in outcome["msg"], outcome
    assert pitr.scratch({"time": good})["changed"] and pitr.in_scratch() == ["good"]
    again = pitr.backup()
    assert again["made"] and names[0] in str(again["warnings"]), again
    beyond = pitr.mark("beyond")
    pitr.archive()
    reach = pitr.info()["reach"]
    assert len(reach["ranges"]) == 2 and reach["gaps"][0]["segments"] == names
    assert pitr.scratch({"time": beyond})["changed"] and pitr.in_scratch()[-1] == "beyond"


def test_damage_is_found_and_nothing_expires(pitr: Pitr) -> None:
    for _time in range(2):
        pitr.backup(type="full", verify="none")
    lost = pitr.shell(f"ls {REPOSITORY}/backup/pitr/*F/pg_data/base/1/1247.zst | head -n 1")
    pitr.shell(f"rm {lost}")
    outcome = pitr.backup(type="full", keep={"full": 1})
    assert outcome["failed"] and "pg_data/base/1/1247.zst is missing" in outcome["msg"], outcome
    assert "nothing was expired" in outcome["msg"] and len(pitr.listed()) == 3


def test_a_repository_that_cannot_be_reached(pitr: Pitr) -> None:
    pitr.backup(verify="none")
    pitr.shell(f"mv {REPOSITORY} {REPOSITORY}.away")
    try:
        for outcome in (pitr.backup(), pitr.info(), pitr.restore("latest", force=True)):
            assert outcome["failed"] and "cannot be used" in outcome["msg"], outcome
        assert pitr.words() == []
    finally:
        pitr.host.run("sh", "-c", f"rm -rf {REPOSITORY}; mv {REPOSITORY}.away {REPOSITORY}")


def test_a_server_that_does_not_archive(pitr: Pitr) -> None:
    pitr.backup(verify="none")
    pitr.shell(f"sed -i 's/^start-fast=y/start-fast=y\\narchive-timeout=2/' {CONFIG}")
    try:
        with pitr.archiving_broken():
            outcome = pitr.backup(keep={"full": 1})
        assert outcome["failed"] and "no backup was made" in outcome["msg"] and "archive" in outcome["msg"], outcome
        assert len(pitr.listed()) == 1
    finally:
        pitr.shell(f"sed -i '/^archive-timeout/d' {CONFIG}")


def test_what_may_not_be_restored_over(pitr: Pitr) -> None:
    pitr.backup(verify="none")
    moment = pitr.mark("good")
    pitr.archive()
    target = {"time": moment}
    other = pitr.restore(target, force=True, data_dir="/var/lib/postgresql/15/main")
    assert other["failed"] and "is another cluster" in other["msg"]
    nothing = pitr.restore(target, force=True, data_dir=PLACE)
    assert nothing["failed"] and "no cluster of PostgreSQL" in nothing["msg"]
    inside = pitr.restore(target, scratch_cluster=f"{DATA}/scratch")
    assert inside["failed"] and "in or over the cluster's own directory" in inside["msg"]
    pitr.shell(f"touch {DATA}/standby.signal")
    try:
        standby = pitr.restore(target, force=True)
        assert standby["failed"] and "is a standby" in standby["msg"]
    finally:
        pitr.shell(f"rm {DATA}/standby.signal")
    assert pitr.words() == ["good", "end"] and pitr.host.run("systemctl", "is-active", UNIT) == "active"


def test_too_little_room_is_known_before(pitr: Pitr) -> None:
    pitr.backup(verify="none")
    free = int(pitr.shell("df --output=avail -B1 /dev/shm | tail -n 1"))
    need = 20 << 20
    pitr.host.run("sh", "-c", f"head -c {max(1, free - need)} /dev/zero > /dev/shm/filler; chmod 1777 /dev/shm")
    try:
        outcome = pitr.restore("immediate", user="postgres", scratch_cluster="/dev/shm/scratch")
        assert outcome["failed"] and "free" in outcome["msg"] and "needs" in outcome["msg"], outcome
        assert pitr.host.run("ls", "/dev/shm").split().count("scratch") == 0
    finally:
        pitr.host.run("rm", "-f", "/dev/shm/filler")


def test_a_passphrase_is_nowhere(pitr: Pitr) -> None:
    """In no argument of a program, no log, no result; the program is watched from within."""
    pitr.shim(f'echo "$*" >> {PLACE}/argv')
    outcomes = [pitr.task("pg_backup", "postgres")]
    said = pitr.host.said
    moment = pitr.mark("good")
    pitr.archive()
    outcomes.append(pitr.task("pg_backup_info", "postgres"))
    said += pitr.host.said
    outcomes.append(pitr.task("pg_restore", "postgres", recover_to={"time": moment}, scratch_cluster=SCRATCH))
    said += pitr.host.said
    argv = pitr.shell(f"cat {PLACE}/argv")
    assert outcomes[2]["changed"] and all(command in argv for command in ("backup", "repo-get", "restore"))
    logs = pitr.shell(f"cat {PLACE}/*.log {SCRATCH}/server.log; cat {SCRATCH}/data/postgresql.auto.conf")
    for text in (argv, logs, said, json.dumps(outcomes), pitr.host.run("journalctl", "--no-pager", "-n", "800")):
        assert SECRET not in text
    assert outcomes[1]["encrypted"]
    pitr.shell(f"sed -i s/{SECRET}/another/ {CONFIG}")
    try:
        wrong = pitr.info()
        assert wrong["failed"] and "cannot be used" in wrong["msg"] and wrong["msg"].isprintable()
    finally:
        pitr.shell(f"sed -i s/=another/={SECRET}/ {CONFIG}")


NGINX = """
pid {place}/nginx.pid;
error_log {place}/nginx.log;
events {{}}
http {{
  access_log off;
  client_max_body_size 0;
  server {{
    listen 127.0.0.1:9443 ssl;
    ssl_certificate {place}/s3.pem;
    ssl_certificate_key {place}/s3.key;
    location / {{
      proxy_pass {endpoint};
      proxy_set_header Host $http_host;
    }}
  }}
}}
"""


@pytest.fixture
def bucket(pitr: Pitr) -> Iterator[str]:
    """A bucket of the lab's S3 behind TLS, without which pgBackRest takes none; the certificate's path on the host."""
    endpoint = pitr.host.lab.s3()
    keys = {"aws_access_key_id": "testing", "aws_secret_access_key": "testing", "region_name": "us-east-1"}
    boto3.client("s3", endpoint_url=endpoint, **keys).create_bucket(Bucket="physical")
    names = "-subj /CN=localhost -addext subjectAltName=DNS:localhost"
    make = f"openssl req -x509 -newkey rsa:2048 -nodes -days 2 -keyout {PLACE}/s3.key -out {PLACE}/s3.pem {names}"
    pitr.host.run("sh", "-euc", f"{make} 2> /dev/null; chmod 644 {PLACE}/s3.pem")
    pitr.host.run("sh", "-c", f"cat > {PLACE}/nginx.conf", text=NGINX.format(place=PLACE, endpoint=endpoint))
    pitr.host.run("nginx", "-c", f"{PLACE}/nginx.conf")
    yield f"{PLACE}/s3.pem"
    pitr.host.run("nginx", "-c", f"{PLACE}/nginx.conf", "-s", "stop")


def test_a_repository_in_a_bucket(pitr: Pitr, bucket: str) -> None:
    original = pitr.shell(f"cat {CONFIG}")
    place = (
        "repo1-type=s3\\nrepo1-path=/cluster\\nrepo1-s3-bucket=physical\\nrepo1-s3-endpoint=localhost\\n"
        "repo1-storage-port=9443\\nrepo1-s3-region=us-east-1\\nrepo1-s3-uri-style=path\\nrepo1-s3-key=testing\\n"
        f"repo1-s3-key-secret=f1ctional-key\\nrepo1-storage-ca-file={bucket}"
    )
    pitr.shell(f"sed -i 's#^repo1-path=.*#{place}#' {CONFIG}")
    try:
        pitr.shell(f"pgbackrest --config={CONFIG} --stanza=pitr stanza-create")
        outcome = pitr.task("pg_backup", "postgres")
        assert outcome["made"] and outcome["verified"]["faults"] == [], outcome
        moment = pitr.mark("good")
        pitr.archive()
        assert pitr.info()["reach"]["gaps"] == []
        assert pitr.scratch({"time": moment})["changed"] and pitr.in_scratch() == ["good"]
        assert "f1ctional-key" not in json.dumps(outcome) + pitr.host.said
        assert pitr.shell(f"find {REPOSITORY} -name '*F' | wc -l") == "0", "it is in the directory too"
    finally:
        pitr.host.run("sh", "-c", f"cat > {CONFIG}", text=original + "\n")
