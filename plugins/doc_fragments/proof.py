# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations


class ModuleDocFragment:
    """What a restored database is compared with."""

    DOCUMENTATION = r"""
options:
  expect:
    description: Queries with the answers that the restored database has to give. A single wrong answer is a failure.
    type: list
    elements: dict
    default: []
    suboptions:
      query:
        description: A SELECT statement that returns one column and one row. It is run in a read-only transaction.
        type: str
        required: true
      result:
        description: The answer that O(expect[].query) has to give, as psql prints it.
        type: str
        required: true
      title:
        description: What messages call this query. Without it they quote the query.
        type: str
        default: ''
  amcheck:
    description:
      - Whether the B-tree indexes of the restored database are checked by the extension C(amcheck). It needs a
        superuser.
    type: bool
    default: true
"""
