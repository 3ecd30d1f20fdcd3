# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the playbooks of failovers read from registered results."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.day2.ops.plugins.plugin_utils.decisions import failover

ANSWER = {"host": "db1", "ok": True}


@pytest.mark.parametrize(
    ("done", "answers"),
    [
        ({"changed": False, "skipped": True, "results": []}, []),
        ({"skipped": True, "skip_reason": "Conditional result was False"}, []),
        ({"unreachable": True, "msg": "no route", "changed": False}, []),
        ({"results": [{"answer": ANSWER, "changed": True}]}, [ANSWER]),
        (
            {"failed": True, "results": [{"answer": ANSWER}, {"failed": True, "msg": "Timed out", "timedout": {}}]},
            [ANSWER],
        ),
        ({"unreachable": True, "results": [{"unreachable": True, "msg": "no route"}]}, []),
    ],
    ids=["no order", "passed over", "lost", "done", "one ran into its limit", "lost in the loop"],
)
def test_answers(done: dict[str, Any], answers: list[Any]) -> None:
    assert failover.answers(done) == answers
    assert failover.all_answers({"db1": done, "db2": {}}, {"db1": [], "db3": [ANSWER]}) == [*answers, ANSWER]


@pytest.mark.parametrize(
    ("kept", "words"),
    [
        ({"skipped": True}, None),
        ({"accepted": False, "msg": "what is kept is as new, or newer"}, None),
        ({"failed": True, "msg": "no space left"}, "what was seen of the primary is not kept: no space left"),
        ({"unreachable": True}, "what was seen of the primary is not kept: the host does not answer Ansible"),
    ],
)
def test_what_is_not_kept_has_a_row(kept: dict[str, Any], words: str | None) -> None:
    row = {"id": "dr-assessed", "status": "ok"}
    first, *more = failover.assessed([row], now=0.0, text="nothing", kept=kept)
    assert first == row and [(each["status"], each["message"]) for each in more] == [("warning", words)] * bool(words)
    assert failover.assessed([], now=0.0, text="nothing", kept=kept)


def test_no_host_is_left_without_a_row() -> None:
    row = {"id": "dr-fence", "status": "ok"}
    assert failover.rows([row], now=0.0, text="nothing") == [row]
    (only,) = failover.rows([], now=0.0, text="nothing")
    assert (only["status"], only["message"]) == ("skipped", "nothing")
