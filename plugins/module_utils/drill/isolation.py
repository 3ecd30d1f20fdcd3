# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Settings of a server that only proves a backup. Pure."""

from __future__ import annotations

# It reaches nobody, archives nothing, and runs nobody's code.
ISOLATED = {
    "listen_addresses": "",
    "archive_mode": "off",
    "archive_command": "",
    "archive_cleanup_command": "",
    "recovery_end_command": "",
    "shared_preload_libraries": "",
    "session_preload_libraries": "",
    "max_logical_replication_workers": "0",
    "autovacuum": "off",
    "synchronous_standby_names": "",
    "primary_conninfo": "",
    "primary_slot_name": "",
    "ssl": "off",
    "logging_collector": "off",
    "log_destination": "stderr",
    "external_pid_file": "",
    "hot_standby": "on",
    "shared_buffers": "128MB",
    "huge_pages": "off",
    "cluster_name": "day2 scratch",
}
