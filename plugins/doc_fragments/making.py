# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations


class ModuleDocFragment:
    """How a backup set is made, proven, copied and kept."""

    DOCUMENTATION = r"""
options:
  copy_to:
    description: A second location, as O(repository). A copy that failed is made up for by the next run.
    type: str
  encrypt_to:
    description: Recipients of age (public keys). Files of the set are encrypted before they leave the host.
    type: list
    elements: str
    default: []
  identity:
    description: A file with a secret key of age, for O(verify). Without it an encrypted set is verified by digests.
    type: path
  keep:
    description:
      - Which sets stay. C(last) n sets, those younger than C(age), the newest of each of n C(hourly), C(daily),
        C(weekly), C(monthly) or C(yearly) periods, in UTC. Rules add up. Without any rule everything stays.
      - The newest set and the newest C(min_verified) verified sets (2) stay whatever the rules say. Nothing goes while
        there are fewer of them, in a run whose backup failed, or when the clock was set back.
    type: dict
  copy_keep:
    description: The same for O(copy_to). Without it O(keep).
    type: dict
  max_age:
    description: Makes a set only when the newest good one is older, such as V(20h). Without it every run makes one.
    type: str
  verify:
    description:
      - V(read) reads the set back from the repository, compares digests, decrypts, decompresses and parses all of it.
        A set that fails is marked as damaged, and nothing is pruned.
    type: str
    choices: [none, read]
    default: read
  lock_wait:
    description: How long to wait for another run, such as V(10m). Without it a second run is refused at once.
    type: str
    default: 0s
  jobs:
    description: How many streams at the same time. Without it as many as there are processors.
    type: int
  compression_level:
    description:
      - zstd's level, 1 to 19, for everything.
      - Without it the level is 3, and for each large table of a database a sample of its rows decides between it and
        parameters that suit rows of numbers, times and keys. The manifest names them; C(zstd -d) reads all of it.
    type: int
  spool_max:
    description: How much may wait in memory for a slow S3, of all streams together. There is no spool on disk.
    type: str
    default: 64MiB
  timeout:
    description: How long one stream may take, such as V(6h).
    type: str
  run_id:
    description: A name that sets of one run of several backups share.
    type: str
requirements:
  - zstd
  - age, with O(encrypt_to)
  - boto3, for S3
"""
