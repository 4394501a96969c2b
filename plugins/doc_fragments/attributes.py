# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the modules promise, said once."""

from __future__ import annotations


class ModuleDocFragment:
    """The attributes that every module of the collection states for itself."""

    DOCUMENTATION = r"""
options: {}
requirements:
  - python >= 3.9 on the host on which the module runs. With an older one it says so in one sentence.
attributes:
  check_mode:
    description: Can run in C(check_mode) and return changed status prediction without modifying the target.
  diff_mode:
    description: Returns details on what has changed (or would change), when in diff mode.
  idempotent:
    description:
      - When run twice in a row outside check mode, with the same arguments, the second invocation indicates no change.
      - This assumes that the system controlled or queried by the module has not changed in a relevant way.
  platform:
    description: Target operating systems on which the module works.
    support: full
    platforms: linux
"""

    # Each module names its groups itself: of two fragments that both name some, Ansible keeps those of one.
    ACTION_GROUP = r"""
options: {}
attributes:
  action_group:
    description:
      - Use C(group/) and the name of a group in C(module_defaults) to set an option for every module of it.
      - All modules of a group but C(autoglm.recovery.recovery) have the options that the group is named after.
    support: full
"""

    INFO_MODULE = r"""
options: {}
attributes:
  check_mode:
    support: full
    details:
      - This module does not change anything.
  diff_mode:
    support: N/A
    details:
      - This module does not change anything.
  idempotent:
    support: full
    details:
      - This module does not change anything.
"""
