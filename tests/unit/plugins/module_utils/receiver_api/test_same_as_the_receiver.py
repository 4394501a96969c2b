# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the modules hold of the receiver is what the receiver holds. Apart, because that needs a newer Python."""

from __future__ import annotations

from ansible_collections.autoglm.recovery.plugins.module_utils.receiver_api.arguments import (
    DEFAULT_URL,
    LONGEST_COMMENT,
)
from ansible_collections.autoglm.recovery.plugins.module_utils.receiver_api.standing import ENDED, POSSIBLE, STATES

from autoglm_recovery.cli import asking
from autoglm_recovery.receiver.operators.orders import OperatorCommand, possible
from autoglm_recovery.receiver.values import model
from autoglm_recovery.receiver.web import models


def test_the_table_is_the_receiver_s() -> None:
    assert set(STATES) == set(model.IncidentState)
    assert set(ENDED) == model.ENDED
    assert set(POSSIBLE) == set(OperatorCommand)
    for state in model.IncidentState:
        assert {order for order, states in POSSIBLE.items() if state in states} == set(possible(state))


def test_a_comment_may_be_as_long_as_the_receiver_takes() -> None:
    assert models.LONGEST_COMMENT == LONGEST_COMMENT


def test_the_address_is_by_default_that_of_the_command_line() -> None:
    assert asking.DEFAULT_URL == DEFAULT_URL
