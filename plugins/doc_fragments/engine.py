# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The options by which a module finds one inference server."""

from __future__ import annotations


class ModuleDocFragment:
    """Address, key and deadline of one inference server."""

    DOCUMENTATION = r"""
options:
  engine:
    description:
      - The inference engine that listens at O(url).
    type: str
    choices: [llama_cpp, vllm]
  url:
    description:
      - The base URL of the server, such as V(http://127.0.0.1:8080), as seen from the host on which the module runs.
      - Proxies of the environment are never used and redirects are never followed.
        Either would let another server answer in place of this one.
    type: str
  api_key:
    description:
      - Sent as a bearer token with each question.
    type: str
  validate_certs:
    description:
      - Whether the certificate of an C(https) server is verified.
    type: bool
    default: true
  ca_path:
    description:
      - File of certificates that are trusted in place of those of the system.
    type: path
  timeout:
    description:
      - Seconds for each single question, from the look-up of the name to the last byte of the answer.
        A server that accepts and never answers costs this long, and no longer.
    type: float
    default: 5.0
"""
