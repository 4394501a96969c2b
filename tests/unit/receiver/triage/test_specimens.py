# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Alerts as others' rules and exporters make them: about the failed thing's host, never about the messenger's."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from autoglm_recovery.policy.model import Policy
from autoglm_recovery.receiver.fleet.fleet import read_fleet
from autoglm_recovery.receiver.intake.payload import parse_webhook
from autoglm_recovery.receiver.triage.absorb import judge
from autoglm_recovery.receiver.triage.target import Refusal, resolve

ALERTS = Path(__file__).parents[3] / "fixtures" / "alerts"
SPECIMENS = yaml.safe_load((ALERTS / "specimens.yml").read_text("utf-8"))


@pytest.fixture(scope="module")
def fleet():
    """Read the inventory of the specimens with Ansible itself."""
    return read_fleet(ALERTS / "inventory.yml", ALERTS)


@pytest.mark.parametrize(
    "specimen", SPECIMENS, ids=[f"{s['labels']['alertname']}: {s['source'][:60]}" for s in SPECIMENS]
)
def test_a_specimen_is_about_what_has_failed(specimen, fleet):
    if "refused" in specimen:
        with pytest.raises(Refusal) as caught:
            resolve(specimen["labels"], fleet)
        assert caught.value.why == specimen["refused"]
        return
    target = resolve(specimen["labels"], fleet).target
    assert target.host == specimen["host"]
    assert specimen.get("service", target.service) == target.service


def _judged(name, fleet):
    alerts = parse_webhook((ALERTS / f"{name}.json").read_bytes()).alerts
    return [judge(alert.labels, Policy(), fleet) for alert in alerts]


def test_a_node_that_an_operators_kube_state_metrics_tells_of(fleet):
    (fault,) = _judged("operator-node", fleet)
    assert (fault.failure_class, fault.target.host) == ("node_down", "gpu-node-1")


def test_a_pod_that_kube_state_metrics_tells_of_is_not_on_the_host_of_kube_state_metrics(fleet):
    faults = _judged("kube-state-metrics", fleet)
    assert [fault.target for fault in faults] == [None, None]
    assert all("it is where kube-state-metrics runs" in fault.refusal for fault in faults)


def test_names_that_monitoring_has_for_a_host(fleet):
    hosts = [fault.target.host for fault in _judged("names", fleet)]
    assert hosts == ["gpu-node-3.corp.example", "gpu-node-1", "gpu-node-1", "gpu-node-1", "gpu-node-1"]


def test_without_aliases_nothing_is_guessed_from_a_longer_or_shorter_name():
    fleet = read_fleet(ALERTS / "inventory-without-aliases.yml", ALERTS)
    found = [fault.target and fault.target.host for fault in _judged("names", fleet)]
    assert found == [None, None, "gpu-node-1", "gpu-node-1", "gpu-node-1"]


def test_collectors_federation_and_probes(fleet):
    assert [fault.target.host for fault in _judged("exported-and-probed", fleet)] == ["gpu-node-1"] * 3
