# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: inference_units
author:
  - autoglm.recovery maintainers (@autoglm)
version_added: 0.2.0
short_description: Work out what a systemd unit needs to know to run each inference service
description:
  - Joins how a service is run with what the inventory says of it for remedies, checks both, and quotes what systemd
    is to read.
  - It fails where a service could not be run so, and says what would be right.
  - The role P(autoglm.recovery.inference_service#role) stands on it, which documents the keys of a service.
positional: _input, declared
options:
  _input:
    description:
      - The services, as C(inference_service_services) of the role has them.
    type: list
    elements: dict
    required: true
  declared:
    description:
      - What C(autoglm_services) says of the host. What a service does not say itself is taken from the entry of its
        name.
    type: list
    elements: dict
    default: []
  user:
    description:
      - As whom a service runs that does not say.
    type: str
    default: inference
  commands:
    description:
      - By the name of an engine, the words that start it.
    type: dict
    default: {}
  stop_timeout:
    description:
      - Seconds for a service to end that does not say.
    type: int
    default: 120
"""

EXAMPLES = r"""
- name: Show how a service would be started
  ansible.builtin.debug:
    msg: "{{ (mine | autoglm.recovery.inference_units(autoglm_services, commands=commands) | first).exec }}"
  vars:
    mine: [{name: llama, model_path: /srv/models/chat.gguf}]
    commands: {llama_cpp: [/usr/bin/llama-server]}
"""

RETURN = r"""
_value:
  description:
    - One dictionary for each service, with what the role's templates take.
  type: list
  elements: dict
"""

import json
from collections.abc import Callable
from typing import Any

from ansible.errors import AnsibleFilterError
from ansible_collections.autoglm.recovery.plugins.plugin_utils.inference_units import Defaults, UnitMistake, planned


def inference_units(
    services: list[dict[str, Any]],
    declared: list[dict[str, Any]] | None = None,
    user: str = "inference",
    commands: dict[str, list[str]] | None = None,
    stop_timeout: int = 120,
) -> list[dict[str, Any]]:
    """See DOCUMENTATION."""
    # Ansible's texts are of classes of its own; what is worked out of them is plain.
    mine, theirs = json.loads(json.dumps([services, declared or []]))
    try:
        return planned(mine, theirs, Defaults(str(user), commands or {}, int(stop_timeout)))
    except UnitMistake as mistake:
        raise AnsibleFilterError(f"inference_service_services: {mistake}") from mistake


class FilterModule:
    """See DOCUMENTATION."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Return the filters of this file."""
        return {"inference_units": inference_units}
