# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What faults_site.py runs in its hosts."""

MAIN, KEPT = "/var/lib/postgresql/15/main", "/var/lib/postgresql/kept"
PASSFILE = "/var/lib/postgresql/stream.pgpass"
UNIT = "postgresql@15-main"
# Nothing but what the case needs.
QUIET = "systemctl disable -q --now redis-server nginx cron; pg_dropcluster --stop 15 main"
# Small and soon; passwords are made up.
CONFIGURE = """
cat > /etc/postgresql/15/main/conf.d/faults.conf <<X
listen_addresses = '*'
fsync = off
wal_keep_size = 64MB
wal_retrieve_retry_interval = 200ms
wal_receiver_timeout = 5s
wal_sender_timeout = 5s
shared_buffers = 16MB
X
cat >> /etc/postgresql/15/main/pg_hba.conf <<X
host all client samenet scram-sha-256
host all,replication replicator samenet scram-sha-256
X
"""
PASSWORDS = f"""
printf '*:*:*:replicator:streams\\n' > {PASSFILE}; chown postgres: {PASSFILE}; chmod 600 {PASSFILE}
"""
PRIMARY = f"""
pg_createcluster 15 main -p 5432 -- --wal-segsize=1 --data-checksums > /dev/null
{CONFIGURE} {PASSWORDS}
systemctl start {UNIT}
until pg_isready -q; do sleep 0.1; done
runuser -u postgres -- psql -Xq -v ON_ERROR_STOP=1 <<X
CREATE ROLE client LOGIN PASSWORD 'fictional';
CREATE ROLE replicator LOGIN REPLICATION PASSWORD 'streams';
CREATE TABLE acknowledged (n bigint PRIMARY KEY, at timestamptz DEFAULT clock_timestamp());
GRANT ALL ON acknowledged TO client;
X
"""
STANDBY = f"""
pg_createcluster 15 main -p 5432 > /dev/null
{CONFIGURE} {PASSWORDS}
rm -rf {MAIN}
runuser -u postgres -- pg_basebackup -D {MAIN} -X stream -c fast -R \\
  -d "host=$2 user=replicator passfile={PASSFILE} application_name=$1"
systemctl start {UNIT}
"""
APPLICATION = """
cat > /etc/pgbouncer/pgbouncer.ini <<X
[databases]
postgres = host=$1 port=5432 pool_size=5
[pgbouncer]
listen_addr = localhost
listen_port = 6432
unix_socket_dir = /var/run/postgresql
pidfile = /var/run/postgresql/pgbouncer.pid
logfile = /var/log/postgresql/pgbouncer.log
auth_type = scram-sha-256
auth_file = /etc/pgbouncer/userlist.txt
admin_users = postgres
server_login_retry = 1
X
echo '"client" "fictional"' > /etc/pgbouncer/userlist.txt
chown postgres: /etc/pgbouncer/*
cat > /etc/haproxy/haproxy.cfg <<X
global
    stats socket /run/haproxy/admin.sock mode 660 level admin
    user haproxy
    group haproxy
defaults
    mode tcp
    timeout connect 2s
    timeout client 1h
    timeout server 1h
listen postgres
    bind 127.0.0.1:5000
    server primary $1:5432 init-addr last,libc,none
X
mkdir -p /etc/systemd/system/haproxy.service.d
printf '[Service]\\nBindReadOnlyPaths=\\n' > /etc/systemd/system/haproxy.service.d/container.conf
systemctl daemon-reload
systemctl enable -q pgbouncer haproxy
systemctl restart pgbouncer haproxy
"""
KEEP = f"""
mkdir {KEPT}
if [ -e {MAIN} ]; then cp -a {MAIN} /etc/postgresql/15/main/conf.d {PASSFILE} {KEPT}; fi
if [ -e /usr/local/lib/client.py ]; then cp -a /etc/haproxy/haproxy.cfg /etc/pgbouncer/pgbouncer.ini {KEPT}; fi
"""
# On members, whatever there is.
END = f"""
systemctl kill --signal=KILL {UNIT}; pkill -KILL -u postgres
systemctl unmask -q {UNIT}; systemctl stop {UNIT}; systemctl reset-failed {UNIT}
"""
RESET = f"""
rm -rf /var/lib/day2/dr /var/lib/postgresql/dr-calls /root/ledger0 /root/ledger1
if [ -e {KEPT}/main ]; then
  rm -rf {MAIN} /etc/postgresql/15/main/conf.d
  cp -a {KEPT}/main {MAIN}; cp -a {KEPT}/conf.d /etc/postgresql/15/main; cp -a {KEPT}/stream.pgpass {PASSFILE}
  systemctl start {UNIT}
fi
if [ -e {KEPT}/haproxy.cfg ]; then
  cp -a {KEPT}/haproxy.cfg /etc/haproxy; cp -a {KEPT}/pgbouncer.ini /etc/pgbouncer
  systemctl restart pgbouncer haproxy
fi
"""
CUT = 'iptables -I INPUT -s "$1" -j DROP; iptables -I OUTPUT -d "$1" -j DROP'
HEAL = "iptables -F INPUT; iptables -F OUTPUT"
LOST = f"""
systemctl kill --signal=KILL {UNIT}
iptables -I INPUT ! -i lo -j DROP; iptables -I OUTPUT ! -o lo -j DROP
"""
# A file system of its own for the journal, without room.
FULL = """
mkdir -p /var/lib/day2/dr
mount -t tmpfs -o size=4k,mode=755 tmpfs /var/lib/day2/dr
if cat /dev/zero > /var/lib/day2/dr/filler; then exit 1; fi
"""
ROOM = "umount /var/lib/day2/dr"
