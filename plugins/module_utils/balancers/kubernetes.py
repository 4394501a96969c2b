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

import time
from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, Callable, ClassVar

from ..host import clocks
from ..host.plain import one_line
from . import lock
from .kubernetes_api import KubernetesClient
from .options import FILE, SETTLE, TEXT
from .protocol import (
    ACTIVE,
    DOWN,
    DRAINED,
    UNKNOWN,
    UP,
    BalancerError,
    BalancerNotSupported,
    Count,
    Obstacle,
    PoolMember,
    Weight,
    find,
)

CONDITION = "autoglm.recovery/in-traffic"

# What a drain asks: verb, group, resource and what is below it.
_RIGHTS = (
    ("get", "", "services", ""),
    ("get", "", "pods", ""),
    ("list", "", "pods", ""),
    ("list", "discovery.k8s.io", "endpointslices", ""),
    ("patch", "", "pods", "status"),
)


@dataclass(frozen=True)
class ServicePlace:
    """A Service and how its API is reached. C(settle): seconds that proxies need to follow an EndpointSlice."""

    service: str
    namespace: str = "default"
    condition: str = CONDITION
    kubeconfig: str | None = None
    context: str | None = None
    settle: float = 0.0


class Kubernetes:
    """The pods of one Service. C(timeout) is seconds for a request, and for a change to reach the EndpointSlices."""

    name = "kubernetes"
    needs: ClassVar[tuple[str, ...]] = ("backend",)
    options: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "backend": TEXT,
        "settle": SETTLE,
        "namespace": {**TEXT, "default": ServicePlace.namespace},
        "condition": {**TEXT, "default": CONDITION},
        "kubeconfig": FILE,
        "context": TEXT,
    }

    def __init__(
        self, place: ServicePlace, timeout: float = 5.0, lock_dir: str = lock.DIRECTORY, api: Any = None
    ) -> None:
        self._place, self._timeout, self._lock_dir = place, timeout, lock_dir
        self._given_api = api

    @classmethod
    def opened(cls, options: Mapping[str, Any]) -> Kubernetes:
        names = ("namespace", "condition", "kubeconfig", "context", "settle")
        place = ServicePlace(options["backend"], **{name: options[name] for name in names})
        return cls(place, options["timeout"], options["lock_dir"])

    def members(self) -> tuple[PoolMember, ...]:
        place, pods = self._place, self._running_pods()
        ready = ready_pods(items_of(self._call_api("list_slices", f"kubernetes.io/service-name={place.service}")))
        return tuple(read_pod(pod, place.condition, ready) for pod in pods)

    def _running_pods(self) -> list[Any]:
        """The pods of the Service that have not ended."""
        place = self._place
        service = self._call_api("get_service", place.service)
        selector = _mapping(_mapping(service, "spec"), "selector")
        if not selector:
            raise BalancerError("refused", f"Service {place.namespace}/{place.service} selects no pods")
        labels = ",".join(f"{key}={value}" for key, value in sorted(selector.items()))
        return [pod for pod in items_of(self._call_api("list_pods", labels)) if _has_not_ended(pod)]

    def state(self, server: str) -> PoolMember:
        return find(server, self.members(), f"Service {self._place.namespace}/{self._place.service}")

    def drain(self, server: str) -> None:
        self._set_condition(server, "False", "Drained", lambda member: member.admin == DRAINED and not member.pending)

    def ready(self, server: str) -> None:
        self._set_condition(server, "True", "Active", lambda member: member.admin == ACTIVE and not member.pending)

    def in_flight(self, server: str) -> Count:  # noqa: ARG002
        return Count(None, "Kubernetes does not count requests", "unsupported")

    def weight(self, server: str) -> Weight:  # noqa: ARG002
        raise BalancerNotSupported("a Service has no weights")

    def set_weight(self, server: str, value: int) -> None:  # noqa: ARG002
        raise BalancerNotSupported("a Service has no weights")

    def weights_count(self) -> None:
        raise BalancerNotSupported("a Service has no weights")

    def limit(self, server: str) -> int | None:  # noqa: ARG002
        raise BalancerNotSupported("a Service limits nothing for a pod")

    def set_limit(self, server: str, value: int | None) -> None:  # noqa: ARG002
        raise BalancerNotSupported("a Service limits nothing for a pod")

    def incarnation(self) -> str:
        return "api"

    def obstacles(self) -> list[Obstacle]:
        """Ask the API what this user may do. The API stores nothing of such a request."""
        # A role may name the one Service, but hardly the pods, whose names change.
        named = {"services": self._place.service}
        refused = [
            right
            for right in _RIGHTS
            if not is_allowed(self._call_api("review_access", *right, named.get(right[2], "")))
        ]
        if refused:
            words = ", ".join(f"{verb} {f'{what}/{below}' if below else what}" for verb, _group, what, below in refused)
            what = f"the Kubernetes API would refuse in namespace {self._place.namespace}: {words}"
            return [Obstacle(what, "give the user of the kubeconfig a Role with these verbs, and a RoleBinding")]
        closed = [
            _name_of(_mapping(pod, "metadata"))
            for pod in self._running_pods()
            if self._place.condition not in _readiness_gates(pod)
        ]
        if closed:
            names = ", ".join(closed[:5]) + (f" and {len(closed) - 5} more" if len(closed) > 5 else "")
            do = f"add spec.readinessGates: [{{conditionType: {self._place.condition}}}] to their template"
            return [Obstacle(f"the readiness gate {self._place.condition!r} is missing in the pods {names}", do)]
        return []

    def exclusively(self) -> AbstractContextManager[None]:
        return lock.exclusively(f"kubernetes {self._place.namespace}/{self._place.service}", self._lock_dir)

    def _set_condition(self, server: str, status: str, reason: str, arrived: Callable[[PoolMember], bool]) -> None:
        pod = self._call_api("get_pod", server)
        if self._place.condition not in _readiness_gates(pod):
            raise BalancerError(
                "refused",
                f"pod {server} has no readiness gate {self._place.condition!r}; its template needs"
                f" spec.readinessGates: [{{conditionType: {self._place.condition}}}]",
            )
        now = clocks.iso_second(time.time())
        condition = {"type": self._place.condition, "status": status, "reason": reason, "lastTransitionTime": now}
        self._call_api("patch_pod", server, {"status": {"conditions": [condition]}})
        self._wait_for_slices(server, status, arrived)
        time.sleep(self._place.settle)

    def _wait_for_slices(self, server: str, status: str, arrived: Callable[[PoolMember], bool]) -> None:
        deadline = time.monotonic() + self._timeout
        while True:
            member = self.state(server)
            if arrived(member):
                return
            if time.monotonic() >= deadline:
                said = f"pod {server} was told {self._place.condition}={status}"
                raise BalancerError("unproven", f"{said}, and after {self._timeout:g} s it is: {member.says}")
            time.sleep(0.1)

    def _call_api(self, what: str, *arguments: Any) -> Any:
        api = self._client()
        try:
            return getattr(api, what)(*arguments)
        except BalancerError:
            raise
        except Exception as error:  # pylint: disable=broad-except  # of a library that we may lack
            raise _error_for(error, what, arguments) from error

    def _client(self) -> Any:
        if self._given_api is None:
            place = self._place
            self._given_api = KubernetesClient(place.kubeconfig, place.context, place.namespace, self._timeout)
        return self._given_api


def items_of(document: Any) -> list[Any]:
    """The objects in a list of the API. Raises BalancerError."""
    if not isinstance(document, dict) or document.get("items") is None:
        raise BalancerError("unreadable", "the Kubernetes API answered no list of things")
    return _list(document, "items")


def is_allowed(review: Any) -> bool:
    """Whether a SelfSubjectAccessReview allows the request. Raises BalancerError."""
    allowed = _mapping(review, "status").get("allowed")
    if not isinstance(allowed, bool):
        raise BalancerError("unreadable", "the Kubernetes API answered no review of what this user may do")
    return allowed


def ready_pods(slices: list[Any]) -> frozenset[str]:
    """The names of the pods that the EndpointSlices call ready. A condition that is not there means ready.

    Raises BalancerError.
    """
    found = set()
    for piece in slices:
        for endpoint in _list(piece, "endpoints"):
            pod, ready = _mapping(endpoint, "targetRef"), _mapping(endpoint, "conditions").get("ready")
            if pod.get("kind") == "Pod" and (ready is None or ready is True):
                found.add(_name_of(pod))
    return frozenset(found)


def read_pod(pod: Mapping[str, Any], condition: str, ready: frozenset[str]) -> PoolMember:
    """A pod as a member of the pool. A pod whose gate is not open yet is out of traffic. Raises BalancerError."""
    metadata = _mapping(pod, "metadata")
    name = _name_of(metadata)
    conditions = _list(_mapping(pod, "status"), "conditions")
    status = {str(entry.get("type")): str(entry.get("status")) for entry in conditions}
    opened = status.get(condition) == "True" or condition not in _readiness_gates(pod)
    containers = status.get("ContainersReady")
    health = {"True": UP, "False": DOWN}.get(containers or "", UNKNOWN)
    if metadata.get("deletionTimestamp"):
        health = DOWN
    # The Service lags behind: the pod is out although it should be in, or in although it should be out.
    pending = (name in ready) if not opened else (name not in ready and health == UP)
    endpoint = "ready" if name in ready else "not ready"
    if opened and pending:
        health = UNKNOWN  # the pod is ready, and the Service does not show it yet
    says = f"gate {status.get(condition, 'absent')[:40]}, containers ready {str(containers)[:40]}, endpoint {endpoint}"
    return PoolMember(name, ACTIVE if opened else DRAINED, health, says=says, pending=pending)


def _readiness_gates(pod: Mapping[str, Any]) -> list[str]:
    return [str(gate.get("conditionType", "")) for gate in _list(_mapping(pod, "spec"), "readinessGates")]


def _has_not_ended(pod: Mapping[str, Any]) -> bool:
    return _mapping(pod, "status").get("phase") not in ("Succeeded", "Failed")


def _name_of(thing: Mapping[str, Any]) -> str:
    name = thing.get("name")
    # RFC 1123, as every name of a pod is.
    if not isinstance(name, str) or not 0 < len(name) <= 253:
        raise BalancerError("unreadable", "the Kubernetes API tells of a pod without a name")
    return name


def _mapping(document: Any, key: str) -> Mapping[str, Any]:
    """The mapping at a key, or an empty one where there is none. Raises BalancerError for anything else."""
    value = document.get(key) if isinstance(document, dict) else document
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise BalancerError("unreadable", f"the Kubernetes API's answer has no mapping as {key}")
    return value


def _list(document: Mapping[str, Any], key: str) -> list[Any]:
    """The list of mappings at a key, or an empty one where there is none. Raises BalancerError for anything else."""
    value = document.get(key)
    if value is None:
        return []
    if not isinstance(value, list) or not all(isinstance(entry, dict) for entry in value):
        raise BalancerError("unreadable", f"the Kubernetes API's answer has no list as {key}")
    return value


def _error_for(error: Exception, what: str, arguments: tuple[Any, ...]) -> BalancerError:
    """Translate an exception of the client by its HTTP status; without a status there was no answer."""
    status = getattr(error, "status", None)
    name = arguments[0] if arguments else ""
    words = one_line(getattr(error, "reason", None) or error, 200)
    if status in (401, 403):
        need = "; patch on pods/status is needed" if what == "patch_pod" else ""
        return BalancerError("denied", f"the Kubernetes API refused {what} {name}: {status} {words}{need}")
    if status == 404:
        kind = "unknown_backend" if what == "get_service" else "unknown_server"
        return BalancerError(kind, f"the Kubernetes API has no such thing ({what} {name})")
    if status:
        return BalancerError("refused", f"the Kubernetes API answered {status} {words} to {what} {name}")
    return BalancerError("unreachable", f"the Kubernetes API does not answer {what}: {words}")
