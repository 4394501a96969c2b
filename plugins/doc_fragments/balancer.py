# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The options by which a module finds one pool behind one load balancer."""

from __future__ import annotations


class ModuleDocFragment:
    """One pool behind one balancer."""

    DOCUMENTATION = r"""
options:
  server:
    description:
      - The name of the server as the balancer has it. In HAProxy that is the word after C(server).
        In C(nginx), Envoy and target files it is the address with the port, and in Kubernetes the pod.
    type: str
    required: true
  balancer:
    description:
      - The pool, and how its balancer is reached from the host on which the module runs.
        An inventory holds this once for each pool, so that a task can name it.
    type: dict
    required: true
    suboptions:
      kind:
        description:
          - The load balancer.
        type: str
        choices: [haproxy]
        required: true
      backend:
        description:
          - The backend in HAProxy.
          - Required if O(balancer.kind=haproxy).
        type: str
      socket:
        description:
          - HAProxy's stats socket, of level C(admin). An absolute path, or V(HOST:PORT).
          - Required if O(balancer.kind=haproxy).
        type: str
      timeout:
        description:
          - Seconds for each single question to the balancer.
        type: float
        default: 5.0
      lock_dir:
        description:
          - Where the lock lies by which the tasks of one host change a pool one after another.
          - All of them must name the same directory.
        type: path
        default: /run/lock
"""
