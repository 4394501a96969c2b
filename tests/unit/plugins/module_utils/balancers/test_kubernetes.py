# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Kubernetes, with the official client against an API that is a fake."""

from __future__ import annotations

from pathlib import Path

import pytest
from ansible_collections.autoglm.recovery.plugins.module_utils.balancers.kubernetes import (
    CONDITION,
    Kubernetes,
    ServicePlace,
    is_allowed,
)
from ansible_collections.autoglm.recovery.plugins.module_utils.balancers.protocol import (
    BalancerError,
    BalancerNotSupported,
)

from tests.support.fake_kubernetes import FakeKubernetes

pytest.importorskip("kubernetes", reason="the official client is not installed")


@pytest.fixture
def cluster():
    fake = FakeKubernetes(CONDITION)
    yield fake
    fake.close()


@pytest.fixture
def balancer(cluster: FakeKubernetes, tmp_path: Path) -> Kubernetes:
    return Kubernetes(ServicePlace("llm", kubeconfig=cluster.kubeconfig(tmp_path)), timeout=2, lock_dir=str(tmp_path))


def states(balancer: Kubernetes) -> list[tuple[str, str, str, bool]]:
    return [(member.name, member.admin, member.health, member.pending) for member in balancer.members()]


def test_there_and_back(cluster: FakeKubernetes, balancer: Kubernetes) -> None:
    assert states(balancer) == [("llm-0", "active", "up", False), ("llm-1", "active", "up", False)]
    balancer.drain("llm-0")
    assert states(balancer)[0] == ("llm-0", "drained", "up", False)
    condition = cluster.patches[0]["status"]["conditions"][0]
    assert (condition["type"], condition["status"]) == (CONDITION, "False")
    balancer.ready("llm-0")
    assert states(balancer)[0] == ("llm-0", "active", "up", False)


def test_a_change_counts_when_the_service_follows(cluster: FakeKubernetes, balancer: Kubernetes) -> None:
    assert len(balancer.members()) == 2
    cluster.controller_runs = False
    with pytest.raises(BalancerError) as caught:
        balancer.drain("llm-0")
    assert caught.value.kind == "unproven"
    assert balancer.state("llm-0").pending


def test_a_gate_that_nobody_has_opened_is_shut(cluster: FakeKubernetes, balancer: Kubernetes) -> None:
    conditions = cluster.pods["llm-0"]["status"]["conditions"]
    conditions[:] = [each for each in conditions if each["type"] != CONDITION]
    cluster.pods["llm-1"]["status"]["conditions"][0]["status"] = "False"
    cluster.settle()
    assert states(balancer) == [("llm-0", "drained", "up", False), ("llm-1", "active", "down", False)]


def test_a_pod_without_a_gate_says_what_is_missing(cluster: FakeKubernetes, balancer: Kubernetes) -> None:
    del cluster.pods["llm-0"]["spec"]["readinessGates"]
    with pytest.raises(BalancerError, match=r"no readiness gate .*spec\.readinessGates"):
        balancer.drain("llm-0")
    assert balancer.state("llm-0").admin == "active"


def test_who_may_not_patch_is_told_what_is_needed(cluster: FakeKubernetes, balancer: Kubernetes) -> None:
    cluster.may_patch = False
    with pytest.raises(BalancerError, match="patch on pods/status is needed") as caught:
        balancer.drain("llm-0")
    assert caught.value.kind == "denied"


def test_a_condition_that_is_no_qualified_name_is_refused_in_the_apis_words(
    cluster: FakeKubernetes, tmp_path: Path
) -> None:
    gate = "in traffic"
    cluster.pods["llm-0"]["spec"]["readinessGates"] = [{"conditionType": gate}]
    place = ServicePlace("llm", condition=gate, kubeconfig=cluster.kubeconfig(tmp_path))
    with pytest.raises(BalancerError, match="422") as caught:
        Kubernetes(place, timeout=2, lock_dir=str(tmp_path)).drain("llm-0")
    assert caught.value.kind == "refused"


def test_a_token_that_is_none_is_denied(cluster: FakeKubernetes, tmp_path: Path) -> None:
    with pytest.raises(BalancerError, match="401") as caught:
        Kubernetes(ServicePlace("llm", kubeconfig=cluster.kubeconfig(tmp_path, token="old")), 2).members()
    assert caught.value.kind == "denied"


def test_mistakes(cluster: FakeKubernetes, balancer: Kubernetes, tmp_path: Path) -> None:
    with pytest.raises(BalancerError) as caught:
        balancer.drain("llm-9")
    assert caught.value.kind == "unknown_server"
    config = cluster.kubeconfig(tmp_path)
    with pytest.raises(BalancerError) as caught:
        Kubernetes(ServicePlace("chat", kubeconfig=config), 2).members()
    assert caught.value.kind == "unknown_backend"
    with pytest.raises(BalancerError, match="no cluster is configured"):
        Kubernetes(ServicePlace("llm", kubeconfig=str(tmp_path / "none")), 2).members()


def test_an_api_that_is_gone_is_unreachable(cluster: FakeKubernetes, balancer: Kubernetes) -> None:
    assert len(balancer.members()) == 2
    cluster.close()
    with pytest.raises(BalancerError) as caught:
        balancer.members()
    assert caught.value.kind == "unreachable"


def test_what_kubernetes_cannot_tell(balancer: Kubernetes) -> None:
    assert balancer.in_flight("llm-0").kind == "unsupported"
    with pytest.raises(BalancerNotSupported):
        balancer.set_weight("llm-0", 1)


def test_what_a_drain_may_do_is_asked_of_the_api(cluster: FakeKubernetes, balancer: Kubernetes) -> None:
    assert balancer.obstacles() == []
    cluster.may_patch = False
    (refused,) = balancer.obstacles()
    assert refused.what == "the Kubernetes API would refuse in namespace default: patch pods/status"
    assert "RoleBinding" in refused.do
    cluster.may_patch = True
    del cluster.pods["llm-0"]["spec"]["readinessGates"]
    (closed,) = balancer.obstacles()
    assert closed.what == f"the readiness gate {CONDITION!r} is missing in the pods llm-0"
    assert "spec.readinessGates" in closed.do
    assert cluster.patches == []


def test_every_right_that_is_missing_is_told_at_once(cluster: FakeKubernetes, tmp_path: Path) -> None:
    place = ServicePlace("llm", namespace="other", kubeconfig=cluster.kubeconfig(tmp_path))
    (refused,) = Kubernetes(place, 2).obstacles()
    told = "get services, get pods, list pods, list endpointslices, patch pods/status"
    assert refused.what == f"the Kubernetes API would refuse in namespace other: {told}"


@pytest.mark.parametrize("review", [{}, {"status": {}}, {"status": {"allowed": "no"}}, []])
def test_a_review_of_another_form_is_no_permission(review: object) -> None:
    with pytest.raises(BalancerError):
        is_allowed(review)
