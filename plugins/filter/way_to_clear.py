# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: way_to_clear
author:
  - autoglm.recovery maintainers (@autoglm)
version_added: 0.2.0
short_description: Decide whether a server that does not get on is cleared, restarted or left alone
description:
  - Takes what M(autoglm.recovery.inference_health) has said of a server, and says what may be done about it.
  - A server that is not known to be unhealthy, or that makes progress, is neither cleared nor restarted.
  - The playbook C(clear_queue_and_reset) stands on it.
options:
  _input:
    description:
      - The result of M(autoglm.recovery.inference_health), with
        O(autoglm.recovery.inference_health#module:generate=true).
    type: dict
    required: true
  ordered:
    description:
      - Whether the engine has been told to clear itself since, with
        O(autoglm.recovery.engine_control#module:state=cleared).
    type: bool
    default: false
"""

EXAMPLES = r"""
- name: Say what would be done about a server
  ansible.builtin.debug:
    msg: "{{ health | autoglm.recovery.way_to_clear }}"
  vars:
    health: {verdict: unhealthy, failure_class: crash, reasons: [it has no process]}
"""

RETURN = r"""
_value:
  description:
    - C(way) is V(leave) where it is well, V(refuse) where nothing may be done, V(clear) or V(restart). C(why) says why.
  type: dict
  sample: {"way": "restart", "why": "its process, or one of its workers, has died (crash): it has no process"}
"""

from collections.abc import Callable, Mapping
from typing import Any

from ansible.errors import AnsibleFilterError
from ansible_collections.autoglm.recovery.plugins.module_utils.health.clearing import first_way, way_after_the_order


def way_to_clear(state: Mapping[str, Any], ordered: bool = False) -> dict[str, str]:
    """The body of the filter."""
    if not isinstance(state, Mapping):
        raise AnsibleFilterError(f"way_to_clear takes what inference_health returns, not {type(state).__name__}")
    return (way_after_the_order(state) if ordered else first_way(state))._asdict()


class FilterModule:
    """What Ansible looks for."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        return {"way_to_clear": way_to_clear}
