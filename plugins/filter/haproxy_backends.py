# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: haproxy_backends
author:
  - autoglm.recovery maintainers (@autoglm)
version_added: 0.2.0
short_description: Work out the backends of a HAProxy from what an inventory says of pools and services
description:
  - Each service of a pool that C(autoglm_pools) puts behind a HAProxy on this host is a server, under the name by which
    M(autoglm.recovery.drain_inference) will ask for it.
  - It fails where a drain would not find what it needs, and says what would be right.
  - The role P(autoglm.recovery.haproxy_pool#role) stands on it, which documents the keys of a pool.
positional: _input, fleet, here, socket
options:
  _input:
    description:
      - The pools, as C(haproxy_pool_pools) of the role has them.
    type: list
    elements: dict
    required: true
  fleet:
    description:
      - By the name of a host, its C(autoglm_services) as C(services) and its C(autoglm_pools) as C(pools).
    type: dict
    required: true
  here:
    description:
      - The inventory name of the host on which the HAProxy runs.
    type: str
    required: true
  socket:
    description:
      - The path of its runtime socket.
    type: str
    required: true
"""

EXAMPLES = r"""
- name: Show who is behind a pool
  ansible.builtin.debug:
    msg: "{{ [{'name': 'chat', 'bind': ['192.0.2.1:8000']}] | autoglm.recovery.haproxy_backends(fleet, 'ops', path) }}"
  vars:
    path: /run/autoglm-haproxy/admin.sock
    fleet:
      node-a:
        services: [{name: llama, pool: chat, engine: llama_cpp, url: "http://192.0.2.11:8080"}]
        pools: {chat: {balancer: {kind: haproxy, host: ops, backend: llm, socket: /run/autoglm-haproxy/admin.sock}}}
"""

RETURN = r"""
_value:
  description:
    - One dictionary for each pool, with what the role's template takes.
  type: list
  elements: dict
"""

import json
from collections.abc import Callable
from typing import Any

from ansible.errors import AnsibleFilterError
from ansible_collections.autoglm.recovery.plugins.plugin_utils.haproxy_backends import PoolMistake, backends


def haproxy_backends(
    pools: list[dict[str, Any]], fleet: dict[str, dict[str, Any]], here: str, socket: str
) -> list[dict[str, Any]]:
    """See DOCUMENTATION."""
    # Ansible's texts are of classes of its own; what is worked out of them is plain.
    try:
        return backends(*json.loads(json.dumps([pools, fleet, here, socket])))
    except PoolMistake as mistake:
        raise AnsibleFilterError(f"haproxy_pool_pools: {mistake}") from mistake


class FilterModule:
    """See DOCUMENTATION."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Return the filters of this file."""
        return {"haproxy_backends": haproxy_backends}
