#!/usr/bin/python

# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

DOCUMENTATION = r"""
module: taken_out
short_description: Note on a host that a run keeps a service out of traffic
version_added: 0.1.0
description:
  - Writes, looks at and removes the note that a run of this collection has taken a service out of traffic. It outlives
    the run, so that the repair after a run that failed or was killed knows that no person wanted the service out.
  - The note is one file, for its owner alone, which is written as a whole or not at all. It is kept only where nobody
    but root, and whoever runs the module, can change its directory or put another one in its place. Elsewhere the
    module fails and changes nothing, since whoever can make such a note decides what is brought back.
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
      - The file, as an absolute path. With O(state=present) directories on its way that are missing are made, for their
        owner alone.
    type: path
    required: true
  state:
    description:
      - Whether the note is written, removed, or only looked for.
    type: str
    choices: [present, absent, queried]
    required: true
  service:
    description:
      - The service that is out of traffic. It stands in the note. Needed with O(state=present).
    type: str
  incident:
    description:
      - The incident for which it was taken out, for people. It stands in the note.
    type: str
"""

EXAMPLES = r"""
- name: Note that a run takes it out of traffic
  autoglm.recovery.taken_out:
    path: /var/lib/autoglm/taken-out/llama.json
    state: present
    service: llama

- name: Look whether a run has left it out of traffic
  autoglm.recovery.taken_out:
    path: /var/lib/autoglm/taken-out/llama.json
    state: queried
  register: left_out
"""

RETURN = r"""
noted:
  description: Whether the note was there before this task.
  type: bool
  returned: success
  sample: true
"""

from ansible_collections.autoglm.recovery.plugins.module_utils import minimum_python

minimum_python.check()  # before what an older Python cannot import

# isort: split
import json

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.autoglm.recovery.plugins.module_utils.host import note_file


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "path": {"type": "path", "required": True},
            "state": {"type": "str", "choices": ["present", "absent", "queried"], "required": True},
            "service": {"type": "str"},
            "incident": {"type": "str"},
        },
        required_if=[("state", "present", ["service"])],
        supports_check_mode=True,
    )
    path, state = module.params["path"], module.params["state"]
    try:
        before = note_file.read(path)
        after = before
        if state == "present":
            after = json.dumps({name: module.params[name] for name in ("service", "incident")}) + "\n"
        elif state == "absent":
            after = None
        if after != before and not module.check_mode:
            if after is None:
                note_file.remove(path)
            else:
                note_file.write(path, after)
    except OSError as error:
        module.fail_json(msg=f"Refused, nothing was changed by this step: {path}: {error.strerror}")
    module.exit_json(
        changed=after != before,
        diff={"before": before or "", "after": after or "", "before_header": path},
        noted=before is not None,
    )


if __name__ == "__main__":
    main()
