# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The option by which a module asks, right before it changes something, whether its run still may."""

from __future__ import annotations


class ModuleDocFragment:
    """Fence and lock of the host, asked by the module that acts."""

    DOCUMENTATION = r"""
options:
  guard:
    description:
      - What the module asks of the host right before it changes something. If the answer is no, the task fails and
        nothing is changed.
      - It is what M(autoglm.recovery.fence), and M(autoglm.recovery.host_lock) with
        O(autoglm.recovery.host_lock#module:state=kept), ask as tasks of their own, without the time between two tasks
        in which a newer run may begin.
      - Left out, the module asks nothing, as in a playbook that has neither lock nor fence.
    type: dict
    suboptions:
      host:
        description:
          - The inventory name of the target.
        type: str
        required: true
      service:
        description:
          - The service that the run is about. Left out for a run on the whole host.
        type: str
      token:
        description:
          - The fencing token of the run, which the receiver gives as C(autoglm_incident.fence). Without it, as in a run
            by hand, the fence is not asked.
        type: int
      run:
        description:
          - What names the run over all installations, which the receiver gives as C(autoglm_incident.run).
        type: str
        default: ""
      incident:
        description:
          - Whose run it is, for people.
        type: str
        default: ""
      seconds:
        description:
          - For how many seconds from now the run keeps the host, which it has taken before. Left out, the lock is not
            asked.
        type: int
      who:
        description:
          - Whose run it is, for the message that others get. The controller says who started it if it is left out.
        type: str
        default: ""
      holder:
        description:
          - What names the run in the host's lock. The controller gives its own process.
        type: str
        default: ""
      process:
        description:
          - Where the run's process is. The controller gives it.
        type: dict
        default: {}
"""
