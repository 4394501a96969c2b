# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Nothing that a playbook must not take from an inventory is forgotten where one is made that means something else."""

from __future__ import annotations

import itertools
import re
from pathlib import Path

import pytest

from tests.lab.places import CHECKOUT
from tests.support.servers import misleading, plays
from tests.support.servers.asked import ASKED


def test_every_playbook_is_run_with_a_misleading_inventory() -> None:
    assert set(ASKED) == {path.stem for path in plays.OTHERS}


def test_every_documented_short_name_misleads_there() -> None:
    by_hand = (CHECKOUT / "docs/playbooks.md").read_text("utf-8").partition("\n## From the inventory\n")
    assert by_hand[1]
    told = set(re.findall(r"^\| [^|]*\| `(\w+)[=`]", by_hand[0], re.MULTILINE))
    assert told >= {"target", "force", "pool"}
    assert told == {name for name in misleading.SHORT if not name.startswith("awx_")}
    assert told <= set(misleading.MISLEADING)


def test_nothing_misleads_that_no_playbook_has() -> None:
    """Nor what an inventory is right to say."""
    assert misleading._HARMFUL.keys() - misleading._names() == set()
    assert {"autoglm_services", "autoglm_stop_timeout"} & set(misleading.MISLEADING) == set()


@pytest.mark.parametrize("playbook", plays.OF_HOSTS)
def test_facts_in_place_of_the_inventory_are_refused_first(playbook: str) -> None:
    """Before anything reaches a host. Whatever the receiver launches is one of these."""
    begun = list(itertools.takewhile(lambda one: one[0] in plays.ON_THE_CONTROLLER, plays.first_actions(playbook)))
    assert "refuse_facts.yml" in {Path(str(options)).name for _action, options in begun}


def test_facts_in_place_of_the_inventory_are_refused_first_for_playbooks_of_others() -> None:
    begun = list(itertools.takewhile(lambda one: one[0] in plays.ON_THE_CONTROLLER, plays.actions_of_role()))
    assert "refuse_facts.yml" in {str(options) for _action, options in begun}
