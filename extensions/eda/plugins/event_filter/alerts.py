# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""An event filter; its body is in the Python distribution autoglm-recovery, as that of the receiver is."""

from __future__ import annotations

import sys
import time
from typing import Any

DOCUMENTATION = r"""
---
short_description: Turn alerts into targets and incidents that the playbooks of autoglm.recovery understand.
description:
  - Takes an event of a source that gets the webhook of Alertmanager or Grafana, C(eda.builtin.webhook),
    C(ansible.eda.webhook), C(ansible.eda.alertmanager) or an event stream, and returns an event for each alert in it.
    An event without alerts is dropped.
  - Each alert is judged by the failure classes, the subject rules, the policy and the inventory, as the receiver and
    C(autoglm explain) do.
  - C(event.autoglm) always has C(decision) (V(run), V(hold), V(wait), V(escalate), V(refuse), V(resolve), V(ignore) or
    V(set aside)), C(reason), C(status), C(alert), C(failure_class), C(fault_mode), C(nature), C(action), C(playbook),
    C(target) (V(host/service)) and C(labels).
  - Only with the decision V(run) are there C(event.autoglm_target) and C(event.autoglm_incident), which a rulebook
    gives to the playbook C(event.autoglm.playbook); and C(event.autoglm_variables), if the policy gives variables to an
    action of the site's own.
  - C(event.meta.hosts) is the one host of the target, by its exact name in the inventory, which ansible-rulebook
    limits the playbook to.
  - Nothing else of the event is passed on, neither headers, in which the sender's token is, nor annotations. All texts
    that others wrote are one line of bounded length in which nothing can be evaluated as a template.
requirements:
  - The Python package C(autoglm-recovery), of the release of this collection, beside ansible-rulebook.
options:
  inventory:
    description:
      - The inventory by whose hosts alerts are judged, the same that ansible-rulebook is given with C(-i).
      - If it is left out, the environment variable C(AUTOGLM_INVENTORY) counts. One of them is required.
    type: path
  policy:
    description:
      - The policy file, see C(autoglm check).
      - If it is left out, the environment variable C(AUTOGLM_POLICY) counts, and without that the default policy.
    type: path
  reload_after:
    description:
      - Seconds after which an event has policy and inventory read again. Where they have become bad they stay as they
        were, which is logged.
    type: float
    default: 60.0
"""

EXAMPLES = r"""
- eda.builtin.webhook:
    host: 127.0.0.1
    port: 9471
    token: "{{ autoglm_token }}"
  filters:
    - autoglm.recovery.alerts:
        inventory: /etc/autoglm/inventory
        policy: /etc/autoglm/auto-recovery.yaml
"""

try:
    from autoglm_recovery.eda.events import events_of
    from autoglm_recovery.eda.known import known_config
except ImportError as error:
    raise ImportError(
        "the event filter autoglm.recovery.alerts needs the Python package autoglm-recovery beside ansible-rulebook:"
        f" {sys.executable} -m pip install autoglm-recovery ({error})"
    ) from error


def main(
    event: dict[str, Any], inventory: str | None = None, policy: str | None = None, reload_after: float = 60.0
) -> list[dict[str, Any]]:
    """Return an event for each alert of an event."""
    return events_of(event, known_config(inventory, policy, reload_after), time.time())
