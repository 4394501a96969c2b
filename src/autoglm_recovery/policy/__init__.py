# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The policy file: its model, and how it is read."""

from __future__ import annotations

from autoglm_recovery.policy.load import PolicyError, PolicyProblem, load_policy, parse_policy
from autoglm_recovery.policy.model import Policy, Strategy

__all__ = ["Policy", "PolicyError", "PolicyProblem", "Strategy", "load_policy", "parse_policy"]
