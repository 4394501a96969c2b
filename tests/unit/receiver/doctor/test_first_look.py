# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The receiver warns at its start about the same mistakes in the inventory that the doctor finds."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from structlog.testing import capture_logs

from autoglm_recovery.policy import Policy
from autoglm_recovery.receiver.doctor.finding import well
from autoglm_recovery.receiver.doctor.first_look import MOST_TOLD, FirstLook
from autoglm_recovery.receiver.doctor.inventory import check_inventory
from autoglm_recovery.receiver.fleet.fleet import Fleet, fleet_from
from autoglm_recovery.receiver.fleet.site_config import SiteConfig

SERVICE = {"name": "llama", "pool": "chat", "engine": "llama_cpp", "url": "http://127.0.0.1:80", "unit": "l.service"}


def told(fleet: Fleet, tmp_path: Path) -> list[str]:
    """Return what a first look warns of; without a playbook to try there is no empty run."""
    config = SiteConfig(Policy(), fleet, frozenset(), tmp_path / "inventory.yml")
    with capture_logs() as logs:
        FirstLook(lambda: config, tmp_path).worker.attempt()
    return [f"{each['event']} -> {each.get('do')}" for each in logs if each["log_level"] == "warning"]


def hosts(**variables: dict[str, Any]) -> Fleet:
    return fleet_from({"_meta": {"hostvars": variables}, "all": {"hosts": list(variables)}})


def test_it_warns_of_what_the_doctor_finds_and_says_what_to_do(tmp_path: Path) -> None:
    fleet = hosts(a={"autoglm_services": [{**SERVICE, "stop_timeot": 1, "engine": "vlm"}]}, b={"autoglm_servises": []})
    found = [each for each in check_inventory(fleet, Policy()) if not well([each])]
    assert len(found) == 3
    assert told(fleet, tmp_path) == [f"{each.check}: {each.what} -> {each.do}" for each in found]


def test_of_a_whole_inventory_it_says_nothing(tmp_path: Path) -> None:
    assert told(hosts(a={"autoglm_services": [SERVICE]}), tmp_path) == []


def test_of_a_storm_of_mistakes_it_says_how_many_there_are_more(tmp_path: Path) -> None:
    wrong = {f"h{number}": {f"autoglm_servises{number}": []} for number in range(MOST_TOLD + 6)}
    # One more is that no host has services at all.
    said = told(hosts(**wrong), tmp_path)
    assert len(said) == MOST_TOLD + 1
    assert said[-1].startswith("there is more")
