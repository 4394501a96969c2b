# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: alertmanager_route
author:
  - autoglm.recovery maintainers (@autoglm)
version_added: 0.2.0
short_description: Add routes and a receiver to the text of an Alertmanager configuration
description:
  - Returns the text with the routes before all others and with the receiver, between two comments. Every other byte
    stays as it is, with comments, quotes, order and anchors.
  - Without O(routes), returns the text as it was before anything was added.
  - What was added earlier is replaced, so that the filter may be applied again.
  - The result is read again and compared with what was there. Where anything but what was added would change, the
    filter fails and says why.
  - The role P(autoglm.recovery.alertmanager_route#role) stands on it.
positional: _input, routes, receiver
options:
  _input:
    description:
      - The text of C(alertmanager.yml).
    type: str
    required: true
  routes:
    description:
      - The routes. Each of them gets C(continue), so that the routes after it see its alerts as before.
    type: list
    elements: dict
    default: []
  receiver:
    description:
      - The receiver, with its C(name). Needed with O(routes).
    type: dict
  fallback:
    description:
      - The matchers of each kind of alert that the default receiver gets as before, where no route takes it. For
        Alertmanager a route that continues has taken an alert all the same.
    type: list
    elements: list
    default: []
"""

EXAMPLES = r"""
- name: Show what a configuration would look like
  ansible.builtin.debug:
    msg: "{{ text | autoglm.recovery.alertmanager_route(routes, receiver) }}"
  vars:
    text: "{{ lookup('ansible.builtin.file', 'alertmanager.yml') }}"
    routes:
      - receiver: autoglm
        matchers: ['failure_class=~".+"']
    receiver:
      name: autoglm
      webhook_configs:
        - url: http://192.0.2.1:9470/api/v1/alerts
          send_resolved: true
          max_alerts: 0
"""

RETURN = r"""
_value:
  description:
    - The text of the new configuration.
  type: str
"""

import json
from collections.abc import Callable
from typing import Any

from ansible.errors import AnsibleFilterError
from ansible_collections.autoglm.recovery.plugins.plugin_utils.alertmanager_config import (
    CannotEdit,
    with_ours,
    without_ours,
)


def alertmanager_route(
    text: str,
    routes: list[dict[str, Any]] | None = None,
    receiver: dict[str, Any] | None = None,
    fallback: list[list[str]] | None = None,
) -> str:
    """See DOCUMENTATION."""
    if routes and not (receiver and receiver.get("name")):
        raise AnsibleFilterError("alertmanager_route was given routes without a receiver that has a name")
    try:
        if not routes:
            return without_ours(text)
        # Ansible's texts are of classes of its own, which PyYAML does not write.
        plain = json.loads(json.dumps([routes, receiver, fallback or []]))
        return with_ours(text, *plain)
    except CannotEdit as refusal:
        raise AnsibleFilterError(f"This Alertmanager configuration is left as it is: {refusal}") from refusal


class FilterModule:
    """See DOCUMENTATION."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Return the filters of this file."""
        return {"alertmanager_route": alertmanager_route}
