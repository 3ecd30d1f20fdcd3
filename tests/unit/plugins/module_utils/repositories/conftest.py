# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A bucket whose service is in memory."""

from __future__ import annotations

import pytest
from ansible_collections.day2.ops.plugins.module_utils.repositories.s3 import Bucket
from fake_bucket import Client


@pytest.fixture
def client() -> Client:
    return Client()


@pytest.fixture
def bucket(client: Client) -> Bucket:
    made = Bucket("bucket", "some/prefix", {})
    made._made = client
    client.conditions = lambda: getattr(made._conditions, "headers", {})
    return made
