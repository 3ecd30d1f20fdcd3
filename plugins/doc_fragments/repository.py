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
      - Where the sets are - an absolute path, or C(s3://bucket/prefix) of any S3-compatible service.
    type: str
    required: true
  series:
    description: The name under which sets of one kind follow each other. Retention looks at one series.
    type: str
  s3_endpoint_url:
    description: The address of the service, where it is not Amazon's.
    type: str
  s3_region:
    description: The region.
    type: str
  s3_access_key:
    description: The key's name. Without it boto3 finds its own (environment, profile, instance).
    type: str
  s3_secret_key:
    description: The key.
    type: str
  s3_session_token:
    description: The token of temporary keys.
    type: str
  s3_ca_path:
    description: A file of certificates to trust instead of the system's.
    type: path
  s3_validate_certs:
    description: Whether the service's certificate must be valid.
    type: bool
    default: true
  s3_timeout:
    description:
      - How long the service may be silent in the middle of a request before it is made again. After five attempts it
        has failed.
    type: str
    default: 60s
"""
