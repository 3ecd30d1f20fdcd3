# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What every lab host is made of."""

from __future__ import annotations

from .rootfs import Recipe

_PACKAGES = (
    "age",
    "ca-certificates",
    "cron",
    "dbus",
    "etcd-server",
    "haproxy",
    "iproute2",
    "iputils-ping",
    "logrotate",
    "nftables",
    "nginx-light",
    "openssh-server",
    "openssl",
    "patroni",
    "pgbackrest",
    "pgbouncer",
    "postgresql",
    "procps",
    "prometheus-alertmanager",
    "python3",
    "python3-apt",
    "python3-boto3",
    "python3-jmespath",
    "python3-psycopg2",
    "redis-server",
    "repmgr",
    "sudo",
    "systemd",
    "systemd-sysv",
    "ufw",
    "zstd",
)
_HOOKS = (
    # Keys baked into an image are shared by everyone who has it: a lab makes its own.
    'rm -f "$1"/etc/ssh/ssh_host_*',
    # A host type that wants these enables them (and says when a timer last ran).
    'chroot "$1" systemctl disable --quiet haproxy.service ssh.service logrotate.timer prometheus-alertmanager.service',
    'chroot "$1" systemctl disable --quiet etcd.service patroni.service pgbouncer.service repmgrd.service',
    # A host that is looked at must not begin to update itself.
    'chroot "$1" systemctl mask -q apt-daily.timer apt-daily-upgrade.timer fstrim.timer e2scrub_all.timer',
)
_CHANGES = ('CMD ["/sbin/init"]', "STOPSIGNAL SIGRTMIN+3")
RECIPE = Recipe("localhost/day2-lab", "bookworm", _PACKAGES, _HOOKS, _CHANGES)
