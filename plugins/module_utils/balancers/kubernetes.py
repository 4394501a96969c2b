# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Kubernetes, by a readiness gate of the pods behind a Service.

Of the ways to take a pod out of a Service, a readiness gate is the one that nothing else reacts to: changing a label
that the Service selects on would orphan the pod from its ReplicaSet, which would start another one. The pods must
declare the gate in their C(spec.readinessGates), and are not ready until somebody sets the condition to C(True). A
change counts when the Service's EndpointSlices show it. Nothing in Kubernetes counts requests.

https://kubernetes.io/docs/concepts/workloads/pods/pod-lifecycle/#pod-readiness-gate
https://kubernetes.io/docs/concepts/services-networking/endpoint-slices/#conditions
"""

from __future__ import annotations

import importlib
import time
from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any, Callable

from . import lock
from .protocol import ACTIVE, DOWN, DRAINED, UNKNOWN, UP, BalancerError, Count, Member, NotSupported, Weight, find

CONDITION = "autoglm.recovery/in-traffic"
_MERGE = "application/strategic-merge-patch+json"


@dataclass(frozen=True)
class Place:
    """Which Service, and how the API is reached. C(settle): seconds that proxies need to follow an EndpointSlice."""

    service: str
    namespace: str = "default"
    condition: str = CONDITION
    kubeconfig: str | None = None
    context: str | None = None
    settle: float = 0.0


class Kubernetes:
    """The pods of one Service. C(timeout) is seconds for a question, and for a change to reach the EndpointSlices."""

    name = "kubernetes"

    def __init__(self, place: Place, timeout: float = 5.0, lock_dir: str = lock.DIRECTORY, api: Any = None) -> None:
        self._place, self._timeout, self._lock_dir = place, timeout, lock_dir
        self._given_api = api

    def members(self) -> tuple[Member, ...]:
        place = self._place
        service = self._ask("get_service", place.service)
        selector = (service.get("spec") or {}).get("selector") or {}
        if not selector:
            raise BalancerError("refused", f"Service {place.namespace}/{place.service} selects no pods")
        labels = ",".join(f"{key}={value}" for key, value in sorted(selector.items()))
        pods = self._ask("list_pods", labels)
        ready = ready_pods(self._ask("list_slices", f"kubernetes.io/service-name={place.service}"))
        return tuple(read_pod(pod, place.condition, ready) for pod in pods if _runs(pod))

    def state(self, server: str) -> Member:
        return find(server, self.members(), f"Service {self._place.namespace}/{self._place.service}")

    def drain(self, server: str) -> None:
        self._set(server, "False", "Drained", lambda member: member.admin == DRAINED and not member.pending)

    def ready(self, server: str) -> None:
        self._set(server, "True", "Active", lambda member: member.admin == ACTIVE and not member.pending)

    def in_flight(self, server: str) -> Count:  # noqa: ARG002
        return Count(None, "Kubernetes does not count requests", "unsupported")

    def weight(self, server: str) -> Weight:  # noqa: ARG002
        raise NotSupported("a Service has no weights")

    def set_weight(self, server: str, value: int) -> None:  # noqa: ARG002
        raise NotSupported("a Service has no weights")

    def incarnation(self) -> str:
        return "api"

    def exclusively(self) -> AbstractContextManager[None]:
        return lock.exclusively(f"kubernetes {self._place.namespace}/{self._place.service}", self._lock_dir)

    def _set(self, server: str, status: str, reason: str, arrived: Callable[[Member], bool]) -> None:
        pod = self._ask("get_pod", server)
        if self._place.condition not in _gates(pod):
            raise BalancerError(
                "refused",
                f"pod {server} has no readiness gate {self._place.condition!r}; its template needs"
                f" spec.readinessGates: [{{conditionType: {self._place.condition}}}]",
            )
        now = datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
        condition = {"type": self._place.condition, "status": status, "reason": reason, "lastTransitionTime": now}
        self._ask("patch_pod", server, {"status": {"conditions": [condition]}})
        self._await(server, status, arrived)
        time.sleep(self._place.settle)

    def _await(self, server: str, status: str, arrived: Callable[[Member], bool]) -> None:
        deadline = time.monotonic() + self._timeout
        while True:
            member = self.state(server)
            if arrived(member):
                return
            if time.monotonic() >= deadline:
                said = f"pod {server} was told {self._place.condition}={status}"
                raise BalancerError("unproven", f"{said}, and after {self._timeout:g} s it is: {member.says}")
            time.sleep(0.1)

    def _ask(self, what: str, *arguments: Any) -> Any:
        api = self._api()
        try:
            return getattr(api, what)(*arguments)
        except BalancerError:
            raise
        except Exception as error:  # pylint: disable=broad-except  # of a library that we may lack
            raise _explain(error, what, arguments) from error

    def _api(self) -> Any:
        if self._given_api is None:
            self._given_api = _Client(self._place, self._timeout)
        return self._given_api


class _Client:
    """The four questions, asked with the official client; answers as plain documents."""

    def __init__(self, place: Place, timeout: float) -> None:
        try:
            # By name: only those who have a cluster have it, and only some of it has types.
            client, config = (importlib.import_module(f"kubernetes.{name}") for name in ("client", "config"))
        except ImportError as error:
            raise BalancerError(
                "refused", "a balancer of kind kubernetes needs the Python package kubernetes"
            ) from error
        try:
            if place.kubeconfig is None and place.context is None:
                config.load_config()
                api = client.ApiClient()
            else:
                api = config.new_client_from_config(place.kubeconfig, place.context, persist_config=False)
        except config.ConfigException as error:
            raise BalancerError("refused", f"no cluster is configured: {error}") from error
        self._core, self._discovery = client.CoreV1Api(api), client.DiscoveryV1Api(api)
        self._plain, self._namespace, self._timeout = api.sanitize_for_serialization, place.namespace, timeout

    def get_service(self, name: str) -> Any:
        return self._plain(self._core.read_namespaced_service(name, self._namespace, _request_timeout=self._timeout))

    def get_pod(self, name: str) -> Any:
        return self._plain(self._core.read_namespaced_pod(name, self._namespace, _request_timeout=self._timeout))

    def list_pods(self, labels: str) -> Any:
        found = self._core.list_namespaced_pod(self._namespace, label_selector=labels, _request_timeout=self._timeout)
        return self._plain(found)["items"]

    def list_slices(self, labels: str) -> Any:
        found = self._discovery.list_namespaced_endpoint_slice(
            self._namespace, label_selector=labels, _request_timeout=self._timeout
        )
        return self._plain(found)["items"]

    def patch_pod(self, name: str, body: Mapping[str, Any]) -> Any:
        return self._core.patch_namespaced_pod_status(
            name, self._namespace, body, _content_type=_MERGE, _request_timeout=self._timeout
        )


def ready_pods(slices: list[Any]) -> frozenset[str]:
    """The names of the pods that the EndpointSlices call ready. A condition that is not there means ready."""
    return frozenset(
        endpoint["targetRef"]["name"]
        for piece in slices
        for endpoint in piece.get("endpoints") or []
        if (endpoint.get("targetRef") or {}).get("kind") == "Pod"
        and (endpoint.get("conditions") or {}).get("ready") is not False
    )


def read_pod(pod: Mapping[str, Any], condition: str, ready: frozenset[str]) -> Member:
    """A pod as a member of the pool. One whose gate nobody has opened yet is out of traffic."""
    name = pod["metadata"]["name"]
    status = {entry.get("type"): entry.get("status") for entry in (pod.get("status") or {}).get("conditions") or []}
    opened = status.get(condition) == "True" or condition not in _gates(pod)
    containers = status.get("ContainersReady")
    health = {"True": UP, "False": DOWN}.get(containers or "", UNKNOWN)
    if pod["metadata"].get("deletionTimestamp"):
        health = DOWN
    # What the Service does: out although it should be in, or in although it should be out.
    pending = (name in ready) if not opened else (name not in ready and health == UP)
    endpoint = "ready" if name in ready else "not ready"
    if opened and pending:
        health = UNKNOWN  # it is fine, and the Service does not think so yet
    says = f"gate {status.get(condition, 'absent')}, containers ready {containers}, endpoint {endpoint}"
    return Member(name, ACTIVE if opened else DRAINED, health, says=says, pending=pending)


def _gates(pod: Mapping[str, Any]) -> list[str]:
    return [gate.get("conditionType", "") for gate in (pod.get("spec") or {}).get("readinessGates") or []]


def _runs(pod: Mapping[str, Any]) -> bool:
    return (pod.get("status") or {}).get("phase") not in ("Succeeded", "Failed")


def _explain(error: Exception, what: str, arguments: tuple[Any, ...]) -> BalancerError:
    """By the HTTP status that the client's exception carries; without one there was no answer."""
    status = getattr(error, "status", None)
    name = arguments[0] if arguments else ""
    words = " ".join(str(getattr(error, "reason", None) or error).split())[:200]
    if status in (401, 403):
        need = "; patch on pods/status is needed" if what == "patch_pod" else ""
        return BalancerError("denied", f"the Kubernetes API refused {what} {name}: {status} {words}{need}")
    if status == 404:
        kind = "unknown_backend" if what == "get_service" else "unknown_server"
        return BalancerError(kind, f"the Kubernetes API has no such thing ({what} {name})")
    if status:
        return BalancerError("refused", f"the Kubernetes API answered {status} {words} to {what} {name}")
    return BalancerError("unreachable", f"the Kubernetes API does not answer {what}: {words}")
