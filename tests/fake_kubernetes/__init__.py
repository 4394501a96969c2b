# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A FAKE Kubernetes API: no machine of the tests has a cluster.

As much of the documented API as kubernetes.py speaks to: Services, Pods with readiness gates, EndpointSlices that
follow the pods' readiness as the endpoints controller makes them, strategic merge patches of conditions, and a refusal.
"""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

STRATEGIC = "application/strategic-merge-patch+json"


class FakeKubernetes:
    """One namespace with one Service. C(pods) may be changed by a test; so may what is switched off."""

    def __init__(self, condition: str, names: tuple[str, ...] = ("llm-0", "llm-1")) -> None:
        """Start listening."""
        self.pods = {name: _pod(name, condition) for name in names}
        self.may_patch = True
        self.controller_runs = True
        self.patches: list[dict[str, Any]] = []
        self._endpoints = dict.fromkeys(names, True)
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self._answer(*outer.get(self.path))

            def do_PATCH(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                self._answer(*outer.patch(self.path, self.headers["Content-Type"], json.loads(body)))

            def _answer(self, status: int, document: dict[str, Any]) -> None:
                body = json.dumps(document).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_arguments: Any) -> None:
                """Not on the test's output."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def kubeconfig(self, folder: Path) -> str:
        """A file that leads here."""
        path = folder / "kubeconfig.json"
        name = [{"name": "fake", "cluster": {"server": self.url}}]
        context = [{"name": "fake", "context": {"cluster": "fake", "user": "fake"}}]
        user = [{"name": "fake", "user": {}}]
        document = {"clusters": name, "contexts": context, "users": user, "current-context": "fake"}
        path.write_text(json.dumps({"apiVersion": "v1", "kind": "Config", **document}))
        return str(path)

    def close(self) -> None:
        """Stop listening."""
        self._server.shutdown()
        self._server.server_close()

    def get(self, path: str) -> tuple[int, dict[str, Any]]:
        """The answer to a question."""
        parts = urlsplit(path)
        asked = parse_qs(parts.query).get("labelSelector", [""])[0]
        if parts.path == "/api/v1/namespaces/default/services/llm":
            return 200, {"kind": "Service", "metadata": {"name": "llm"}, "spec": {"selector": {"app": "llm"}}}
        if parts.path == "/api/v1/namespaces/default/pods":
            return 200, {"kind": "PodList", "items": list(self.pods.values()) if asked == "app=llm" else []}
        if parts.path.startswith("/api/v1/namespaces/default/pods/"):
            pod = self.pods.get(parts.path.rpartition("/")[2])
            return (200, pod) if pod else _status(404, "NotFound")
        if parts.path == "/apis/discovery.k8s.io/v1/namespaces/default/endpointslices":
            right = asked == "kubernetes.io/service-name=llm"
            return 200, {"kind": "EndpointSliceList", "items": [self._slice()] if right else []}
        return _status(404, "NotFound")

    def patch(self, path: str, kind: str, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        """Merge conditions by their type, as the API does for this kind of patch."""
        if not self.may_patch:
            return _status(403, "Forbidden")
        name = path.removesuffix("/status").rpartition("/")[2]
        if kind != STRATEGIC or name not in self.pods:
            return _status(415 if kind != STRATEGIC else 404, "NotSupported")
        self.patches.append(body)
        status = self.pods[name]["status"]
        new = {condition["type"]: condition for condition in body["status"]["conditions"]}
        kept = [condition for condition in status["conditions"] if condition["type"] not in new]
        status["conditions"] = [*kept, *new.values()]
        return 200, self.pods[name]

    def _slice(self) -> dict[str, Any]:
        if self.controller_runs:
            self._endpoints = {name: _ready(pod) for name, pod in self.pods.items()}
        endpoints = [
            {"addresses": ["192.0.2.1"], "conditions": {"ready": ready}, "targetRef": {"kind": "Pod", "name": name}}
            for name, ready in self._endpoints.items()
        ]
        port = {"name": "http", "port": 8000, "protocol": "TCP"}
        return {"metadata": {"name": "llm-x"}, "addressType": "IPv4", "endpoints": endpoints, "ports": [port]}


def _pod(name: str, condition: str) -> dict[str, Any]:
    container = {"name": "engine", "image": "engine"}
    gates = [{"conditionType": condition}]
    conditions = [{"type": kind, "status": "True"} for kind in ("ContainersReady", condition)]
    return {
        "kind": "Pod",
        "metadata": {"name": name, "labels": {"app": "llm"}},
        "spec": {"containers": [container], "readinessGates": gates},
        "status": {"phase": "Running", "conditions": conditions},
    }


def _ready(pod: dict[str, Any]) -> bool:
    """As the kubelet decides it: containers ready, and every gate open."""
    status = {condition["type"]: condition["status"] for condition in pod["status"]["conditions"]}
    gates = [gate["conditionType"] for gate in pod["spec"].get("readinessGates", [])]
    return all(status.get(kind) == "True" for kind in ("ContainersReady", *gates))


def _status(code: int, reason: str) -> tuple[int, dict[str, Any]]:
    return code, {"kind": "Status", "status": "Failure", "reason": reason, "code": code}
