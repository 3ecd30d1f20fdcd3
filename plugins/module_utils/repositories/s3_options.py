# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""How an S3-compatible service is reached. Apart from its client: a check of files is told of them, and takes none."""

from __future__ import annotations

from ansible_collections.day2.ops.plugins.module_utils.checks.spec import Argument

OPTIONS = {
    "endpoint_url": Argument("str", "The address of an S3-compatible service, where it is not Amazon's."),
    "region": Argument("str", "The region of the bucket."),
    "access_key": Argument("str", "The id of the access key; without it boto3 finds its own keys."),
    "secret_key": Argument("str", "The secret part of the access key.", secret=True),
    "session_token": Argument("str", "The token of a temporary access key.", secret=True),
    "ca_path": Argument("path", "A file of certificates to trust at the S3 service instead of the system's."),
    "validate_certs": Argument("bool", "Whether the certificate of the S3 service must be valid."),
    "timeout": Argument("duration", "How long the S3 service may be silent before a request is made again."),
}
