# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What roles ask of a repository: the option of a module, the directory, the packages."""

from __future__ import annotations

from typing import Any

import pytest
from ansible.errors import AnsibleFilterError
from ansible_collections.day2.ops.plugins.filter.repository import FilterModule

REPOSITORY = FilterModule().filters()["repository"]
BOTO = ["python3-boto3"]


@pytest.mark.parametrize(
    ("place", "s3", "option", "directory", "packages"),
    [
        ("", {}, "", "", []), (None, None, "", "", []),
        ("/srv/sets", {"region": "eu-1"}, "/srv/sets", "/srv/sets", []),
        ({"url": "/srv/sets"}, {}, "/srv/sets", "/srv/sets", []),
        ("s3://shop/sets", {}, "s3://shop/sets", "", BOTO),
        ("s3://shop/sets", {"region": "eu-1", "ca_path": ""}, {"url": "s3://shop/sets", "region": "eu-1"}, "", BOTO),
        ({"url": "sftp://backup@vault/srv/sets", "key_file": "/k"}, {"region": "eu-1"},
         {"url": "sftp://backup@vault/srv/sets", "key_file": "/k"}, "", ["openssh-client"]),
        ({"url": "s3://shop/sets", "endpoint_url": "http://two:9000"}, {"region": "eu-1"},
         {"url": "s3://shop/sets", "endpoint_url": "http://two:9000", "region": "eu-1"}, "", BOTO),
    ],
)  # fmt: skip
def test_what_it_is(place: Any, s3: Any, option: Any, directory: str, packages: list[str]) -> None:
    assert REPOSITORY(place, s3) == {"option": option, "directory": directory, "packages": packages}


@pytest.mark.parametrize(
    ("place", "s3", "words"),
    [
        ("backups", {}, "the repository: is 'backups', which is no absolute path"),
        ("s3://shop/sets", {"regoin": "eu-1"}, "S3 has no option 'regoin'; did you mean 'region'?"),
        ({"url": "s3://shop/sets", "region": "us-1"}, {"region": "eu-1"}, "'s3_region' beside it is another"),
        ("/srv/sets", "eu-1", "the options of S3 are no mapping"),
    ],
)  # fmt: skip
def test_what_is_refused(place: Any, s3: Any, words: str) -> None:
    with pytest.raises(AnsibleFilterError, match=words.replace("?", r"\?")):
        REPOSITORY(place, s3)
