# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What holds for every engine, and what the figures that drains rely on may say."""

from __future__ import annotations

import pytest
from ansible_collections.autoglm.recovery.plugins.module_utils.engines.adapter import ACTS, Adapter
from ansible_collections.autoglm.recovery.plugins.module_utils.engines.protocol import NotSupported, Stats
from ansible_collections.autoglm.recovery.plugins.module_utils.engines.registry import ENGINES, open_engine


@pytest.mark.parametrize(
    ("stats", "in_flight", "reason"),
    [
        (Stats(running=2, waiting=3), 5, None),
        (Stats(running=0, waiting=0), 0, None),
        (Stats(running=0, unread={"waiting": "no metric"}), None, "waiting: no metric"),
        (Stats(waiting=0, unread={"running": "no metric"}), None, "running: no metric"),
        (Stats(unread={"all": "refused"}), None, "running: refused; waiting: refused"),
        (Stats(), None, "running: not read; waiting: not read"),
    ],
)
def test_what_is_in_flight_is_known_or_has_a_reason(stats: Stats, in_flight: int | None, reason: str | None) -> None:
    assert (stats.in_flight, stats.in_flight_unread) == (in_flight, reason)


@pytest.mark.parametrize("name", sorted(ENGINES))
@pytest.mark.parametrize("act", ACTS)
def test_an_engine_does_a_thing_or_says_why_not(fake_transport, name: str, act: str) -> None:
    engine = open_engine(name, "http://127.0.0.1:1", transport=fake_transport({}))
    own = getattr(type(engine), act) is not getattr(Adapter, act)
    assert own != (act in engine.cannot), "either it is written, or its reason is"
    if not own:
        with pytest.raises(NotSupported) as caught:
            getattr(engine, act)(*(["name"] if act.endswith("_state") else []))
        assert str(caught.value) == engine.cannot[act]
