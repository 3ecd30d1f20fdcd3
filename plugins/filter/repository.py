# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: repository
short_description: What a repository of backup sets is, for modules and for whoever prepares the host
version_added: 0.1.0
author: The day2.ops maintainers (@day2-ops)
positional: s3
description:
  - Reads a repository as the modules do, joins it with options of S3 that are kept apart from it, and says what a host
    needs for it.
options:
  _input:
    description: An absolute path, an address, or a mapping of C(url) and options of its kind. Empty is no repository.
    type: raw
    required: true
  s3:
    description:
      - Options of S3 that hold where the repository does not say the same itself (C(endpoint_url), C(region), ...).
      - One that says otherwise than the repository is refused. They mean nothing for a repository of another kind.
    type: dict
    default: {}
"""

EXAMPLES = r"""
- name: Back up to a bucket whose options are kept apart from its address
  day2.ops.file_backup:
    paths: [/etc/shop]
    repository: "{{ (shop_repository | day2.ops.repository(shop_s3)).option }}"

- name: Install what the repository needs
  ansible.builtin.package:
    # python3-boto3
    name: "{{ ('s3://backups/shop' | day2.ops.repository).packages }}"
"""

RETURN = r"""
_value:
  description:
    - C(option) is what O(day2.ops.file_backup#module:repository) takes, C(directory) the path of a directory of the
      host or empty, C(packages) the names of packages that the host needs.
  type: dict
"""

from typing import Any, Callable

from ansible.errors import AnsibleFilterError
from ansible_collections.day2.ops.plugins.module_utils.checks.entries import meant
from ansible_collections.day2.ops.plugins.module_utils.repositories import opening
from ansible_collections.day2.ops.plugins.module_utils.repositories import s3 as bucket
from ansible_collections.day2.ops.plugins.module_utils.repositories.base import RepositoryError
from ansible_collections.day2.ops.plugins.plugin_utils.plain import plain


def describe(place: object, s3: object = None) -> dict[str, Any]:
    """See DOCUMENTATION."""
    given, beside = plain(place), plain(s3) or {}
    if not given:
        return {"option": "", "directory": "", "packages": []}
    if not isinstance(beside, dict):
        raise AnsibleFilterError("the options of S3 are no mapping")
    for name in beside:
        if name not in bucket.KIND.options:
            raise AnsibleFilterError(f"S3 has no option '{name}'; {meant(name, bucket.KIND.options)}")
    try:
        read = opening.read_beside({f"{bucket.KIND.prefix}{name}": value for name, value in beside.items()})
        found = opening.locate(given, read)
    except RepositoryError as exc:
        raise AnsibleFilterError(f"the repository: {exc}") from None
    options = {name: value for name, value in found.options if value is not None}
    return {
        "option": {opening.URL: found.url, **options} if options else found.url,
        "directory": "" if found.kind.scheme else found.url,
        "packages": list(found.kind.packages),
    }


class FilterModule:
    """What Jinja knows as day2.ops.repository."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        return {"repository": describe}
