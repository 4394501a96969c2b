# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The decision of module_utils/health/clearing.py as playbooks have it: a filter, which only controllers run."""

from __future__ import annotations

from ansible_collections.autoglm.recovery.plugins.filter.way_to_clear import FilterModule

HANGS = {
    "verdict": "unhealthy",
    "failure_class": "deadlock",
    "reasons": ["nothing moved"],
    "inference": {"service": {"main_pid": 42, "state": "active", "process_state": "S"}, "live": {"value": True}},
}


def test_the_playbook_has_it_as_a_filter() -> None:
    decide = FilterModule().filters()["way_to_clear"]
    assert decide(HANGS)["way"] == "clear"
    assert decide(HANGS, ordered=True)["way"] == "restart"
