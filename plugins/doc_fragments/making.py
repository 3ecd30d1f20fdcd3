# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations


class ModuleDocFragment:
    """How a backup set is made, proven, copied and kept."""

    DOCUMENTATION = r"""
options:
  copy_to:
    description:
      - A second repository to which every set is copied, as O(repository). The next run makes copies that failed.
    type: raw
  encrypt_to:
    description:
      - Public keys of age (C(age1...)) or of SSH for which the files of a set are encrypted before they leave the host.
      - A secret key here, or in any other option, is refused before the task sends anything to the host.
    type: list
    elements: str
    default: []
  identity:
    description:
      - Path of a file on the host with a secret key of age, by which O(verify=read) decrypts what was stored. Without
        it an encrypted set is verified by the digests of its files only.
    type: path
  keep:
    description:
      - Which sets stay. C(last) n sets, those younger than C(age), the newest of each of n C(hourly), C(daily),
        C(weekly), C(monthly) or C(yearly) periods, in UTC. Rules add up. Without any rule everything stays.
      - The newest set and the newest C(min_verified) verified sets (2) stay whatever the rules say. Nothing is pruned
        while there are fewer of them, in a run whose backup failed, or when the clock was set back.
    type: dict
  copy_keep:
    description:
      - Which sets stay in the second repository O(copy_to), with the rules of O(keep). Without it O(keep) decides.
    type: dict
  max_age:
    description:
      - Makes a set only when the newest good set is older than this, such as V(20h). Without it every run makes one.
    type: str
  planned_directories:
    description:
      - In check mode, directories of O(repository) and O(copy_to) that a task before this one makes, or gives to the
        user of this task, in a run. The plan does not warn that they are missing or not writable.
    type: list
    elements: path
    default: []
  verify:
    description:
      - V(read) reads the set back from the repository, compares digests, decrypts, decompresses and parses all of it.
        A set that fails is marked as damaged, and nothing is pruned.
    type: str
    choices: [none, read]
    default: read
  lock_wait:
    description:
      - How long to wait for another run with the same repository and series to end, such as V(10m). V(0s) refuses at
        once.
    type: str
    default: 0s
  jobs:
    description:
      - How many files of a set are written or read at the same time. Without it as many as there are processors.
    type: int
  compression_level:
    description: Level of C(zstd), 1 to 19, for all files of a set.
    type: int
    default: 1
  spool_max:
    description: How many bytes may wait in memory for a slow S3, of all files together. Nothing is spooled on disk.
    type: str
    default: 64MiB
  timeout:
    description: How long writing one file of a set may take, such as V(6h). Without it there is no limit.
    type: str
  run_id:
    description: A name that is written into the sets, by which those of one run of several backups are found together.
    type: str
requirements:
  - zstd
  - age, with O(encrypt_to)
  - boto3, for S3
"""
