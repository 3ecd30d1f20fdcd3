# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""One variable of all hosts of a play."""

from __future__ import annotations

from typing import Any

import pytest
from ansible.errors import AnsibleError
from ansible_collections.day2.ops.plugins.lookup.by_host import LookupModule


class HostVars(dict[str, Any]):
    """As Ansible's: what it holds is templated, what raw_get returns is not."""

    def __init__(self, raw: dict[str, dict[str, Any]]) -> None:
        super().__init__({host: {name: str(of[name]).strip("{ }") for name in of} for host, of in raw.items()})
        self._raw = raw

    def raw_get(self, host: str) -> Any:
        return self._raw.get(host)


VARIABLES = {
    "ansible_play_hosts_all": ["c", "a", "lost", "b"],
    "hostvars": HostVars({"a": {"x": {"y": False}}, "b": {"x": "{{ z }}"}, "c": {}, "other": {"x": 1}}),
}


def test_hosts_of_the_play_that_have_it() -> None:
    assert LookupModule().run(["x"], VARIABLES) == [{"a": {"y": False}, "b": "z"}]
    assert LookupModule().run(["nothing"], VARIABLES) == [{}]


@pytest.mark.parametrize(("terms", "options"), [([], {}), (["a", "b"], {}), (["a"], {"default": 1})])
def test_what_it_does_not_know_is_refused(terms: list[str], options: dict[str, Any]) -> None:
    with pytest.raises(AnsibleError, match="takes the name of one variable"):
        LookupModule().run(terms, VARIABLES, **options)
