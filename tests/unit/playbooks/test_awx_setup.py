# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""awx_setup knows every playbook: as an action, as one of people's, or as one that nobody launches in AWX."""

from __future__ import annotations

from autoglm_recovery.knowledge.faults.classes import COSTS_NOTHING, DESTRUCTIVENESS
from tests.support.servers.plays import PLAYBOOKS, load

VARIABLES = load(PLAYBOOKS / "awx_setup.yml")[0]["vars"]
# What is launched by the receiver, or on one host as an action is, beside actions; both prove before anything else.
BESIDE = {"check_service", "return_node"}


def test_every_playbook_that_is_no_action_is_known_by_name() -> None:
    """A new one becomes a template of the receiver's by itself, which is right for an action alone."""
    by_name = {*VARIABLES["awx_not_launched"], *VARIABLES["awx_surveys"]}
    assert {path.stem for path in PLAYBOOKS.glob("*.yml")} - by_name <= DESTRUCTIVENESS.keys() | BESIDE
    assert all(name in VARIABLES["awx_for_people"] for name in VARIABLES["awx_surveys"])


def test_what_destroys_nothing_is_not_asked_about_and_everything_else_is() -> None:
    harmless = {action for action, costs in DESTRUCTIVENESS.items() if costs == COSTS_NOTHING}
    assert set(VARIABLES["awx_harmless"]) == harmless | BESIDE | {"site"}
