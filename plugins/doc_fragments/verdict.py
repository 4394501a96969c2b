# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The options of modules that give a verdict. What they return is documented by each: fragments cannot."""

from __future__ import annotations


class ModuleDocFragment:
    """When a verdict fails the task."""

    DOCUMENTATION = r"""
options:
  fail_on:
    description:
      - Which verdicts make the task fail.
      - V(unhealthy) lets the task pass when the verdict is V(unknown). V(not_healthy) passes on V(healthy) alone.
    type: str
    choices: [never, unhealthy, not_healthy]
    default: never
"""
