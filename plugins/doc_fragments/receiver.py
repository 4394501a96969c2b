# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The options by which a module finds one receiver."""

from __future__ import annotations


class ModuleDocFragment:
    """Address, token, authority and deadline of one receiver, which C(autoglm serve) is."""

    DOCUMENTATION = r"""
options:
  url:
    description:
      - The address of the receiver (C(autoglm serve)), as seen from the host on which the module runs.
        Usually that is the controller, by C(delegate_to) or in a play for C(localhost).
      - Proxies of the environment are never used and redirects are never followed, because either could take the
        token elsewhere.
    type: str
    default: http://127.0.0.1:9470
  token:
    description:
      - The bearer token of somebody whom the receiver's access file names.
      - A receiver on loopback without an access file needs none.
    type: str
  token_file:
    description:
      - A file with the token, on the host on which the module runs. Its first line that is neither empty nor a comment
        counts.
    type: path
  ca_path:
    description:
      - File of certificates that are trusted in place of those of the system. The certificate of an C(https) receiver
        is always verified.
    type: path
  client_cert:
    description:
      - A file with the certificate of somebody whom the access file names, for an C(https) receiver that was given
        C(--client-ca). The key may stand in the same file.
    type: path
  client_key:
    description:
      - A file with the key of O(client_cert), which must not need a password.
    type: path
  timeout:
    description:
      - Seconds for each question, from the look-up of the name to the last byte of the answer.
    type: float
    default: 10.0
notes:
  - Whatever an incident says was partly written by others, in the labels of alerts. Ansible takes what is registered
    for data and never for a template; keep it so, and put none of it into a command line.
seealso:
  - name: Operating the receiver
    description: The access file, the roles in it, and what each may do.
    link: https://github.com/autoglm/recovery/blob/main/docs/security.md
"""
