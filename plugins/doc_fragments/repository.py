# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations


class ModuleDocFragment:
    """Where backup sets live."""

    DOCUMENTATION = r"""
options:
  repository:
    description:
      - Where the backup sets are - an absolute path, C(s3://bucket/prefix) of any S3-compatible service, or
        C(sftp://user@host:port/directory) (C(/~/directory) is below the account's home).
      - A mapping has the address as C(url), and options of its kind without a prefix. For S3 these are C(endpoint_url),
        C(region), C(access_key), C(secret_key), C(session_token), C(ca_path), C(validate_certs) and
        C(timeout). For SFTP C(key_file), C(known_hosts), C(timeout). Secrets are kept out of logs and results.
      - Options that are given here and beside it (O(s3_region)) must be the same.
      - Required for backup sets. Where physical backups are, pgBackRest's configuration file says.
    type: raw
  series:
    description:
      - Name of the series of backup sets. Sets of one kind follow each other in a series, and retention looks at one
        series.
      - Without it C(postgresql) for databases and C(files) for files.
    type: str
  s3_endpoint_url:
    description:
      - Address (URL) of the S3-compatible service, where it is not Amazon's.
      - This and the other options of S3 are those of each repository of S3 that does not have its own.
    type: str
  s3_region:
    description: Region of the S3 bucket.
    type: str
  s3_access_key:
    description:
      - Id of the access key for S3. Without it boto3 looks for a key in the environment, its configuration files and
        the metadata of the instance.
    type: str
  s3_secret_key:
    description: Secret part of the access key for S3.
    type: str
  s3_session_token:
    description: Session token of a temporary access key for S3.
    type: str
  s3_ca_path:
    description: File of CA certificates to trust at the S3 service instead of the system's.
    type: path
  s3_validate_certs:
    description: Whether the TLS certificate of the S3 service must be valid. Without it V(true).
    type: bool
  s3_timeout:
    description:
      - How long the S3 service may be silent in the middle of a request before the request is repeated. It has failed
        after five attempts. Without it V(60s).
    type: str
"""
