#!/usr/bin/python

# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

DOCUMENTATION = r"""
module: fence
short_description: Refuse to go on where a newer run has been
version_added: 0.1.0
description:
  - Shows the fencing token of a run to the target. The target remembers the highest token that it was shown, and the
    task fails for a lower one, and for the same one of another run.
  - Runs on the whole host and runs on one of its services refuse each other. Runs on two services do not.
  - A receiver that was frozen or cut off, and whose run another receiver has taken over, cannot know that. The playbook
    asks here before each step that changes something, so that an old run ends before it disturbs a newer one.
  - Between this task and the next one a newer run may still begin. The receivers keep that time short with their
    leases; this module is for the rest.
  - Without a token, as when a playbook is run by hand, it does nothing. A person's run is neither refused nor
    remembered.
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
  host:
    description:
      - The inventory name of the target.
    type: str
    required: true
  service:
    description:
      - The service on it that is acted on. Left out for actions on the whole host.
    type: str
  token:
    description:
      - The fencing token of the run, which the receiver gives as C(autoglm_incident.fence). It is the time at which
        the receiver's database gave it, in microseconds since 1970, or one more than the last one if that is higher.
    type: int
  run:
    description:
      - What names the run over all installations, which the receiver gives as C(autoglm_incident.run).
        With it the same token of another run is refused.
    type: str
    default: ""
  incident:
    description:
      - Whose run it is, for people. It stands in the refusal of an older one.
    type: str
    default: ""
  directory:
    description:
      - Where the highest tokens are kept. It should not outlive a reboot.
    type: path
    default: /run/autoglm/fence
"""

EXAMPLES = r"""
- name: Go on only if no newer run has been here
  autoglm.recovery.fence:
    host: "{{ inventory_hostname }}"
    service: llama
    token: "{{ (autoglm_incident | default({}, true)).fence | default(omit, true) }}"
    run: "{{ (autoglm_incident | default({}, true)).run | default(omit, true) }}"
"""

RETURN = r"""
fence:
  description: The tokens of this target.
  type: dict
  returned: always
  contains:
    token:
      description: This run's token, none for a run by hand.
      type: int
      sample: 1795888800000000
    highest:
      description: The highest token that the target was shown, with this one. None if it was not asked.
      type: int
      sample: 1795888800000000
    before:
      description: The highest one before. None if there was none, or it was not asked.
      type: int
      sample: 1795885200000000
    refused_by:
      description: The token of the newer run because of which this one was refused. None if it was not refused.
      type: int
      sample: null
    path:
      description: Where it is kept.
      type: str
      sample: /run/autoglm/fence/node-a_llama-5f1c0a3b9d2e4f60
"""

from ansible_collections.autoglm.recovery.plugins.module_utils import minimum_python

minimum_python.check()  # before what an older Python cannot import

# isort: split
from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.autoglm.recovery.plugins.module_utils.fencing import mark


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "host": {"type": "str", "required": True},
            "service": {"type": "str"},
            "token": {"type": "int", "no_log": False},
            "run": {"type": "str", "default": ""},
            "incident": {"type": "str", "default": ""},
            "directory": {"type": "path", "default": mark.DEFAULT_DIRECTORY},
        },
        supports_check_mode=True,
    )
    token, host, service = (module.params[name] for name in ("token", "host", "service"))
    directory = Path(module.params["directory"])
    path = directory / mark.file_name(host, service or None)
    fence: dict[str, Any] = {"token": token, "highest": None, "before": None, "refused_by": None, "path": str(path)}
    if token is None:
        module.exit_json(changed=False, fence=fence)
    if not 1 <= token <= mark.HIGHEST:
        module.fail_json(msg=f"token must be between 1 and {mark.HIGHEST}, not {token}", fence=fence)
    shown = mark.ShownToken(host, service or None, token, module.params["run"], module.params["incident"])
    try:
        fence["before"], fence["highest"] = mark.show(directory, shown, module.check_mode)
    except mark.Fenced as refusal:
        fence["refused_by"] = refusal.mark
        module.fail_json(msg=f"Refused, nothing was changed by this step: {refusal}", fence=fence)
    except mark.MarkUnreadable as error:
        module.fail_json(msg=f"Refused, nothing was changed by this step: {error}", fence=fence)
    before = "" if fence["before"] is None else f"{fence['before']}\n"
    module.exit_json(
        changed=fence["before"] != fence["highest"],
        diff={"before": before, "after": f"{fence['highest']}\n", "before_header": str(path)},
        fence=fence,
    )


if __name__ == "__main__":
    main()
