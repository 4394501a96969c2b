# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A FAKE Kubernetes API: no machine of the tests has a cluster.

As much of the documented API as kubernetes.py speaks to: Services, Pods with readiness gates, EndpointSlices that
follow the pods' readiness as the kubelet and the endpoints controller make them, strategic merge patches of conditions,
and refusals.  What it follows, and where it is known to differ, is in README.md.
"""

from __future__ import annotations

import contextlib
import json
import re
from pathlib import Path
from typing import Any

from tests.support.servers.http_answers import Asked, Reply, answering_http

STRATEGIC = "application/strategic-merge-patch+json"
TOKEN = "token-of-the-fake"
_PODS = "/api/v1/namespaces/default/pods"
_SERVICES = "/api/v1/namespaces/default/services"
_SLICES = "/apis/discovery.k8s.io/v1/namespaces/default/endpointslices"
_REVIEWS = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"
# Verb, group and resource of what a role for our tasks allows.
_ROLE = {
    *(("get", "", "services"), ("get", "", "pods"), ("list", "", "pods"), ("patch", "", "pods/status")),
    ("list", "discovery.k8s.io", "endpointslices"),
}
# ValidateQualifiedName of k8s.io/apimachinery/pkg/util/validation: a name, and a DNS subdomain before a slash.
_NAME = r"[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?"
_QUALIFIED = re.compile(rf"([a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*/)?{_NAME}")


class FakeKubernetes:
    """One namespace with one Service. ``pods`` may be changed by a test; so may what is switched off."""

    def __init__(self, condition: str, names: tuple[str, ...] = ("llm-0", "llm-1")) -> None:
        """Start listening."""
        self.pods = {name: _pod(name, condition) for name in names}
        self.may_patch = True
        self.controller_runs = True
        self.patches: list[dict[str, Any]] = []
        self._version = 1
        self._endpoints = dict.fromkeys(names, True)
        self._until_closed = contextlib.ExitStack()
        self.url = self._until_closed.enter_context(answering_http(self._answer)).url

    def kubeconfig(self, folder: Path, token: str = TOKEN) -> str:
        """A file that leads here."""
        path = folder / "kubeconfig.json"
        name = [{"name": "fake", "cluster": {"server": self.url}}]
        context = [{"name": "fake", "context": {"cluster": "fake", "user": "fake"}}]
        user = [{"name": "fake", "user": {"token": token}}]
        document = {"clusters": name, "contexts": context, "users": user, "current-context": "fake"}
        path.write_text(json.dumps({"apiVersion": "v1", "kind": "Config", **document}))
        return str(path)

    def close(self) -> None:
        """Stop listening."""
        self._until_closed.close()

    def settle(self) -> None:
        """Let the kubelet and the controller of EndpointSlices do what they have to."""
        self._follow()
        self._follow()

    def _answer(self, asked: Asked) -> Reply:
        if asked.headers["Authorization"] != f"Bearer {TOKEN}":
            return _status(401, "Unauthorized", "Unauthorized")
        if asked.method == "GET":
            return self._get(asked)
        if asked.method == "POST" and asked.path == _REVIEWS:
            return self._review(asked)
        if asked.method == "PATCH" and asked.path.startswith(f"{_PODS}/"):
            return self._patch(asked)
        return _status(405, "MethodNotAllowed", "the server does not allow this method on the requested resource")

    def _get(self, asked: Asked) -> Reply:
        selector = dict(each.split("=", 1) for each in asked.query.get("labelSelector", [""])[0].split(",") if each)
        if asked.path == f"{_SERVICES}/llm":
            return _document(
                {**_of("Service", "v1"), "metadata": {"name": "llm"}, "spec": {"selector": {"app": "llm"}}}
            )
        if asked.path == _PODS:
            # What is in a list does not say of what kind it is.
            pods = [_without_kind(pod) for pod in self.pods.values() if selector.items() <= _labels(pod).items()]
            return _document({**_of("PodList", "v1"), "metadata": self._list_metadata(), "items": pods})
        if asked.path == _SLICES:
            slices = [each for each in [self._slice()] if selector.items() <= _labels(each).items()]
            self._follow()
            kind = _of("EndpointSliceList", "discovery.k8s.io/v1")
            return _document({**kind, "metadata": self._list_metadata(), "items": slices})
        place, _, name = asked.path.rpartition("/")
        if place == _PODS:
            return _document(self.pods[name]) if name in self.pods else _not_found("pods", name)
        if place == _SERVICES:
            return _not_found("services", name)
        return Reply(404, b"404 page not found\n", {"Content-Type": "text/plain; charset=utf-8"})

    def _review(self, asked: Asked) -> Reply:
        """The question comes back with its answer; nothing is kept of it."""
        if asked.headers["Content-Type"] != "application/json":
            return _status(415, "UnsupportedMediaType", "the body of the request was in an unknown format")
        review = asked.json()
        about = review["spec"]["resourceAttributes"]
        below = about.get("subresource")
        right = about["verb"], about.get("group", ""), f"{about['resource']}/{below}" if below else about["resource"]
        role = {each for each in _ROLE if self.may_patch or each[0] != "patch"}
        # By its name alone, as resourceNames of a Role do.
        known = about["resource"] != "services" or about.get("name") == "llm"
        allowed = right in role and known and about.get("namespace") == "default"
        return _document({**review, "status": {"allowed": allowed}}, 201)

    def _patch(self, asked: Asked) -> Reply:
        """Merge conditions by their type, as the API does for this kind of patch."""
        name, _, below = asked.path.removeprefix(f"{_PODS}/").partition("/")
        refused = self._why_not(asked, name, f"pods/{below}" if below else "pods")
        # The pod itself does not take its status: the API answers well, and changes nothing.
        if refused is None and below == "status":
            refused = self._merge(name, asked.json())
        return refused or _document(self.pods[name])

    def _why_not(self, asked: Asked, name: str, resource: str) -> Reply | None:
        if not self.may_patch:
            said = f'User "fake" cannot patch resource "{resource}" in API group "" in the namespace "default"'
            return _status(403, "Forbidden", f'pods "{name}" is forbidden: {said}')
        if asked.headers["Content-Type"] != STRATEGIC:
            return _status(415, "UnsupportedMediaType", "the body of the request was in an unknown format")
        if name not in self.pods:
            return _not_found("pods", name)
        try:
            asked.json()
        except ValueError as error:
            return _status(400, "BadRequest", str(error))
        return None

    def _merge(self, name: str, body: dict[str, Any]) -> Reply | None:
        new = {condition["type"]: condition for condition in body["status"]["conditions"]}
        for number, kind in enumerate(new):
            if not _QUALIFIED.fullmatch(kind):
                said = f"status.conditions[{number}].type: Invalid value: {json.dumps(kind)}: name part must consist of"
                return _status(422, "Invalid", f'Pod "{name}" is invalid: {said} ...')
        self.patches.append(body)
        pod = self.pods[name]
        old = {condition["type"]: condition for condition in pod["status"]["conditions"]}
        pod["status"]["conditions"] = [{**old.get(kind, {}), **new.get(kind, {})} for kind in {**old, **new}]
        self._version += 1
        pod["metadata"]["resourceVersion"] = str(self._version)
        return None

    def _follow(self) -> None:
        """One step of each: slices follow what the pods say now, and only then do pods follow their gates."""
        if self.controller_runs:
            self._endpoints = {name: _conditions(pod).get("Ready") == "True" for name, pod in self.pods.items()}
        for pod in self.pods.values():
            others = [each for each in pod["status"]["conditions"] if each["type"] != "Ready"]
            pod["status"]["conditions"] = [*others, {"type": "Ready", "status": _ready(pod)}]

    def _slice(self) -> dict[str, Any]:
        endpoints = [
            {
                "addresses": ["192.0.2.1"],
                "conditions": {"ready": ready, "serving": ready, "terminating": False},
                "targetRef": {"kind": "Pod", "namespace": "default", "name": name, "uid": f"uid-of-{name}"},
                "nodeName": "node-1",
            }
            for name, ready in self._endpoints.items()
        ]
        metadata = {"name": "llm-x", "namespace": "default", "labels": {"kubernetes.io/service-name": "llm"}}
        port = {"name": "http", "port": 8000, "protocol": "TCP"}
        return {"metadata": metadata, "addressType": "IPv4", "endpoints": endpoints, "ports": [port]}

    def _list_metadata(self) -> dict[str, str]:
        return {"resourceVersion": str(self._version)}


def _pod(name: str, condition: str) -> dict[str, Any]:
    container = {"name": "engine", "image": "engine"}
    gates = [{"conditionType": condition}]
    conditions = [{"type": kind, "status": "True"} for kind in ("ContainersReady", condition, "Ready")]
    labels = {"app": "llm", "pod-template-hash": "5c9d8"}
    return {
        **_of("Pod", "v1"),
        "metadata": {"name": name, "namespace": "default", "labels": labels, "resourceVersion": "1"},
        "spec": {"containers": [container], "readinessGates": gates},
        "status": {"phase": "Running", "conditions": conditions},
    }


def _of(kind: str, version: str) -> dict[str, str]:
    return {"kind": kind, "apiVersion": version}


def _without_kind(item: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in item.items() if key not in ("kind", "apiVersion")}


def _labels(item: dict[str, Any]) -> dict[str, str]:
    return dict(item["metadata"].get("labels", {}))


def _conditions(pod: dict[str, Any]) -> dict[str, str]:
    return {condition["type"]: condition["status"] for condition in pod["status"]["conditions"]}


def _ready(pod: dict[str, Any]) -> str:
    """As the kubelet decides it: containers ready, and every gate open."""
    found = _conditions(pod)
    gates = [gate["conditionType"] for gate in pod["spec"].get("readinessGates", [])]
    return "True" if all(found.get(kind) == "True" for kind in ("ContainersReady", *gates)) else "False"


def _document(document: dict[str, Any], status: int = 200) -> Reply:
    return Reply(status, json.dumps(document).encode(), {"Content-Type": "application/json"})


def _status(code: int, reason: str, message: str) -> Reply:
    status = {"metadata": {}, "status": "Failure", "message": message, "reason": reason, "code": code}
    return _document({**_of("Status", "v1"), **status}, code)


def _not_found(kind: str, name: str) -> Reply:
    return _status(404, "NotFound", f'{kind} "{name}" not found')
