# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A real ansible-rulebook runs our rulebook: the filter judges, and the playbook looks before it acts."""

from __future__ import annotations

import pytest

from autoglm_recovery.receiver.runs import ansible_settings
from tests.support.servers import rulebook
from tests.support.servers.own_run import own_run
from tests.support.servers.waiting import until

from .fleet import Fleet

PWN = "{{ lookup('ansible.builtin.pipe', 'touch pwned') }}"


def alert(**labels: str) -> dict[str, object]:
    told = {"alertname": f"Crash {PWN}", "failure_class": "crash", **labels}
    return {"status": "firing", "labels": told, "annotations": {"x": PWN}, "startsAt": "2026-11-22T20:00:00Z"}


def test_an_event_about_a_healthy_server_restarts_nothing(fleet: Fleet) -> None:
    fleet.add("p1")
    before = fleet.start("p1")
    inventory = fleet.inventory()
    given = {"AUTOGLM_INVENTORY": str(inventory), **ansible_settings.ENVIRONMENT}
    told = [alert(host="p1"), alert(host="all"), alert(host=f"p1{PWN}"), {"labels": PWN}]
    watchdog = {"status": "firing", "labels": {"alertname": "Watchdog"}, "startsAt": "2026-11-22T20:00:00Z"}
    payload = {"version": "4", "alerts": [watchdog, *told]}
    try:
        with rulebook.running(
            fleet.directory, "autoglm.recovery.fleet", inventory, fleet.environment(**given), own_run(fleet.directory)
        ) as running:
            # Alertmanager repeats what goes on firing.
            assert [running.post(payload).status_code for _ in range(2)] == [200, 200]
            until("the run's end", lambda: "PLAY RECAP" in running.said() or "Terminating" in running.said())
            until("the last one to be told of", lambda: "set aside, : " in running.said())
            said = running.said()
    except rulebook.Unavailable as why:
        pytest.skip(str(why))
    assert "Already healthy, not restarted" in said
    assert "failed=0" in said
    assert said.count("PLAY RECAP") == 1
    assert fleet.pid("p1") == before
    assert "host='all' is not the exact name" in said
    assert said.count("refuse, Crash") == 2
    assert "Watchdog" not in said
    assert list(fleet.directory.rglob("pwned")) == []
