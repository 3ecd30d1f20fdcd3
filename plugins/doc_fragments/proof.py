# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations


class ModuleDocFragment:
    """What a restored database is compared with."""

    DOCUMENTATION = r"""
options:
  expect:
    description: What the site expects of the restored database. A single wrong answer is a failure.
    type: list
    elements: dict
    default: []
    suboptions:
      query:
        description: One SELECT of one column and one row. It is run read-only.
        type: str
        required: true
      result:
        description: The answer, as psql prints it.
        type: str
        required: true
      title:
        description: How messages call it.
        type: str
        default: ''
  amcheck:
    description: Checks B-tree indexes by C(amcheck), where the server has it and the role is a superuser.
    type: bool
    default: true
"""
