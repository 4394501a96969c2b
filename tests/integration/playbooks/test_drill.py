# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A drill breaks a real server that is declared for it, and no other."""

from __future__ import annotations

import psutil
import pytest

from tests.support.servers.asked import INCIDENT
from tests.support.servers.waiting import until

from .fleet import Fleet, told


@pytest.fixture
def declared(fleet: Fleet) -> Fleet:
    """p1, on which drills may be held."""
    fleet.add("p1")
    fleet.hosts["p1"]["autoglm_drill"] = True
    return fleet


def test_a_server_is_killed(declared: Fleet) -> None:
    pid = declared.start("p1")
    would = declared.run("drill", {"target": "p1", "fault": "crash"}, "--check")
    assert would.returncode == 0, told(would)
    assert f"llama on p1 would be broken, as by crash (process {pid})" in told(would)
    assert psutil.pid_exists(pid)
    done = declared.run("drill", {"target": "p1", "fault": "crash"})
    assert done.returncode == 0, told(done)
    assert f"DRILL: llama on p1 was broken, as by crash (process {pid})" in told(done)
    until("it to be gone", lambda: not psutil.pid_exists(pid) or psutil.Process(pid).status() == "zombie")


def test_a_server_that_hangs_is_let_go_where_nobody_has_healed_it(declared: Fleet) -> None:
    pid = declared.start("p1")
    done = declared.run("drill", {"target": "p1", "fault": "unresponsive"})
    assert done.returncode == 0, told(done)
    assert psutil.Process(pid).status() == psutil.STATUS_STOPPED
    again = declared.run("drill", {"target": "p1", "fault": "crash"})
    assert "Refused, nothing was changed: llama on p1 is unhealthy already" in told(again)
    assert psutil.pid_exists(pid)
    ended = declared.run("drill", {"target": "p1", "fault": "none"})
    assert ended.returncode == 0, told(ended)
    assert psutil.Process(pid).status() != psutil.STATUS_STOPPED


@pytest.mark.parametrize(
    ("drill", "extra"),
    [
        (..., {}),
        ("yes please", {}),
        (True, {"autoglm_incident": INCIDENT}),
        (True, {"ansible_eda": {"event": {}}}),
        (True, {"fault": "oom"}),
    ],
)
def test_no_other_is_broken_and_no_machine_breaks_one(declared: Fleet, drill: object, extra: dict[str, object]) -> None:
    declared.hosts["p1"]["autoglm_drill"] = drill
    if drill is ...:
        del declared.hosts["p1"]["autoglm_drill"]
    pid = declared.start("p1")
    done = declared.run("drill", {"target": "p1", "fault": "crash", **extra})
    assert done.returncode != 0
    assert "Refused, nothing was changed: a drill breaks what users are served by" in told(done)
    assert psutil.pid_exists(pid)
