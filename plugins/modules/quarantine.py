#!/usr/bin/python

# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

DOCUMENTATION = r"""
module: quarantine
short_description: Mark a host so that nobody uses it until it is given back
version_added: 0.2.0
description:
  - Writes, looks at and lifts the mark by which a host is kept out of use. While it is there,
    M(autoglm.recovery.host_lock) refuses every run that asks for it, and C(autoglm exporter) tells Prometheus of it.
  - The mark says who has ordered it, why, since when and, for people, until when. It outlives a reboot. It ends by this
    module alone, never by itself.
  - Somebody else's mark is neither written over nor lifted. That needs the same O(incident), or O(force), which stands
    for the word of a person.
  - The mark is one file, which is written as a whole or not at all, and only where nobody but root, and whoever runs
    the module, can change its directory or put another one in its place.
  - The playbooks C(quarantine_node) and C(return_node) do what belongs to it at the balancers.
author:
  - autoglm.recovery maintainers (@autoglm)
extends_documentation_fragment:
  - autoglm.recovery.attributes
  - autoglm.recovery.attributes.action_group
attributes:
  action_group:
    membership: [autoglm.recovery.recovery]
  check_mode:
    support: full
  diff_mode:
    support: full
  idempotent:
    support: full
options:
  path:
    description:
      - The file of the mark, as an absolute path. With O(state=present) directories on its way that are missing are
        made, for their owner alone.
    type: path
    default: /var/lib/autoglm/taken-out/quarantine
  state:
    description:
      - Whether the host is marked, the mark is lifted, or only looked at.
      - With V(queried) a mark that cannot be read is a failure, since nobody knows that there is none.
    type: str
    choices: [present, absent, queried]
    required: true
  reason:
    description:
      - Why, in a sentence. Needed with O(state=present).
    type: str
  details:
    description:
      - Lines to keep beside the reason, such as the UUID and serial number of each GPU that is broken.
    type: list
    elements: str
    default: []
  meant_until:
    description:
      - When people mean to have it over, as in V(2026-12-05T12:00:00Z). Nothing happens then.
    type: str
  incident:
    description:
      - The incident for which it is ordered or lifted, which owns the mark. Left out for a person's.
    type: str
    default: ""
  who:
    description:
      - Who orders it. The controller says who started the run if it is left out.
    type: str
    default: ""
  force:
    description:
      - Write over somebody else's mark, or lift it; also one that cannot be read.
    type: bool
    default: false
seealso:
  - module: autoglm.recovery.host_lock
  - module: autoglm.recovery.taken_out
"""

EXAMPLES = r"""
- name: Keep the host out of use
  autoglm.recovery.quarantine:
    state: present
    reason: Xid 79 twice in a week; the card goes back to its maker
    meant_until: "2026-12-05T12:00:00Z"

- name: Look whether it is
  autoglm.recovery.quarantine:
    state: queried
  register: kept_out

- name: Give it back, by a person's word
  autoglm.recovery.quarantine:
    state: absent
    force: true
"""

RETURN = r"""
quarantined:
  description: Whether the host was marked before this task.
  type: bool
  returned: success
  sample: true
kept:
  description: Whether somebody else's mark was left as it is, with O(state=present).
  type: bool
  returned: success
  sample: false
said:
  description: Since when the host is under quarantine after this task, by whom and why. Empty if it is not.
  type: str
  returned: success
  sample: "under quarantine since 2026-11-28 03:12:44 UTC by alice on ops-1: Xid 79 twice in a week"
mark:
  description: The mark after this task. None if there is none.
  type: dict
  returned: success
  contains:
    who:
      description: Who has ordered it.
      type: str
      sample: alice on ops-1
    reason:
      description: Why.
      type: str
      sample: Xid 79 twice in a week
    incident:
      description: The incident that owns it, empty for a person's.
      type: str
      sample: ""
    since:
      description: Since when, in seconds since 1970.
      type: float
      sample: 1795888800.5
    until:
      description: When people mean to have it over, in seconds since 1970.
      type: float
      sample: 1796472000.0
    details:
      description: What was kept beside the reason.
      type: list
      elements: str
      sample: ["GPU-00000000-0000-4000-8000-000000000003 (serial 1320000000003, 0000:5d:00.0): fell off the bus"]
"""

from ansible_collections.autoglm.recovery.plugins.module_utils import minimum_python

minimum_python.check()  # before what an older Python cannot import

# isort: split
import time
from dataclasses import asdict, replace
from typing import Any, Optional

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.autoglm.recovery.plugins.module_utils.host import clocks
from ansible_collections.autoglm.recovery.plugins.module_utils.locks import quarantine
from ansible_collections.autoglm.recovery.plugins.module_utils.locks.quarantine import Quarantine, QuarantineUnreadable


class MarkRefused(Exception):
    """The mark is somebody else's, or the options make no sense."""


def ordered(params: dict[str, Any]) -> Quarantine:
    """Make the mark that is asked for. Raises MarkRefused."""
    until = clocks.parse_rfc3339(params["meant_until"]) if params["meant_until"] else None
    if params["meant_until"] and until is None:
        raise MarkRefused(f"until: {params['meant_until']!r} is no time such as 2026-12-05T12:00:00Z")
    if not (params["reason"] or "").strip():
        raise MarkRefused("reason: say why")
    return quarantine.mark(
        who=params["who"],
        reason=params["reason"],
        incident=params["incident"],
        since=time.time(),
        until=until,
        details=tuple(params["details"]),
    )


def before_this(params: dict[str, Any]) -> Optional[Quarantine]:
    """Read the mark. One that cannot be read is written over or lifted by a person's word alone."""
    try:
        return quarantine.read(params["path"])
    except QuarantineUnreadable:
        if not params["force"] or params["state"] == "queried":
            raise
        return quarantine.mark(who="nobody knows", reason="the mark could not be read", since=0.0)


def after_this(params: dict[str, Any], before: Optional[Quarantine]) -> Optional[Quarantine]:
    """Say which mark stands afterwards. Raises MarkRefused."""
    if params["state"] == "queried":
        return before
    if params["state"] == "present":
        wanted = quarantine.after_order(before, ordered(params), params["force"])
        # What was said before, at another moment, is no news.
        return before if before is not None and replace(wanted, since=before.since) == before else wanted
    why = None if before is None else quarantine.why_not_lift(before, params["incident"], params["force"])
    if why is not None:
        raise MarkRefused(why)
    return None


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "path": {"type": "path", "default": f"/var/lib/autoglm/taken-out/{quarantine.FILE_NAME}"},
            "state": {"type": "str", "choices": ["present", "absent", "queried"], "required": True},
            "reason": {"type": "str"},
            "details": {"type": "list", "elements": "str", "default": []},
            "meant_until": {"type": "str"},
            "incident": {"type": "str", "default": ""},
            "who": {"type": "str", "default": ""},
            "force": {"type": "bool", "default": False},
        },
        required_if=[("state", "present", ["reason"])],
        supports_check_mode=True,
    )
    params = module.params
    try:
        before = before_this(params)
        after = after_this(params, before)
        if after != before and not module.check_mode:
            if after is None:
                quarantine.lift(params["path"])
            else:
                quarantine.write(params["path"], after)
    except (QuarantineUnreadable, MarkRefused) as error:
        module.fail_json(msg=f"Refused, nothing was changed by this step: {error}")
    except OSError as error:
        module.fail_json(msg=f"Refused, nothing was changed by this step: {params['path']}: {error.strerror}")
    kept = params["state"] == "present" and before is not None and after == before
    owned = params["force"] or (after is not None and quarantine.is_same_owner(after, params["incident"]))
    module.exit_json(
        changed=after != before,
        diff={
            "before": "" if before is None else quarantine.as_text(before),
            "after": "" if after is None else quarantine.as_text(after),
            "before_header": params["path"],
        },
        quarantined=before is not None,
        kept=kept and not owned,
        said="" if after is None else after.said(),
        mark=None if after is None else asdict(after),
    )


if __name__ == "__main__":
    main()
