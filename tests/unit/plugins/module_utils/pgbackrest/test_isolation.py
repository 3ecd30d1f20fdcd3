# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a drill's cluster may preload."""

from __future__ import annotations

import pytest
from ansible_collections.day2.ops.plugins.module_utils.backup.arguments import ArgumentFault
from ansible_collections.day2.ops.plugins.module_utils.pgbackrest.isolation import check_preloaded


@pytest.mark.parametrize(
    "settings",
    [
        {"shared_preload_libraries": "pg_cron"}, {"shared_preload_libraries": "timescaledb, pg_cron"},
        {"shared_preload_libraries": "'$libdir/pg_cron.so'"}, {"session_preload_libraries": '"pg_partman_bgw"'},
    ],
)  # fmt: skip
def test_a_scheduler_of_jobs_is_refused_by_name(settings: dict[str, str]) -> None:
    with pytest.raises(ArgumentFault, match="would run the site's jobs"):
        check_preloaded(settings)


def test_what_tables_need_is_taken() -> None:
    check_preloaded({"shared_preload_libraries": "timescaledb,pg_stat_statements", "work_mem": "64MB"})
    check_preloaded({})
