# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Asking the Kubernetes API, under one deadline and a cap for each answer.

The official client finds the configuration and makes the connections, with certificates, tokens and proxies. It does
not bound an answer: its timeout is for each read, and it reads the whole body, also of an error.
"""

from __future__ import annotations

import importlib
import json
import time
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote, urlencode

from ..engines.transport import TransportError, within
from ..host.libraries import MissingLibrary
from .protocol import BalancerError

_TYPES = {"PATCH": "application/strategic-merge-patch+json", "POST": "application/json"}
_REVIEWS = "authorization.k8s.io/v1"
# A pod is some ten kilobytes.
_MAX_ANSWER = 32 * 1024 * 1024
_PIECE = 65536


class KubernetesClient:
    """The requests that the adapter needs, sent with the official client's configuration; answers as documents."""

    def __init__(self, kubeconfig: str | None, context: str | None, namespace: str, timeout: float) -> None:
        """Raises BalancerError and MissingLibrary."""
        try:
            # By name: only those who have a cluster have it, and only some of it has types.
            client, config = (importlib.import_module(f"kubernetes.{name}") for name in ("client", "config"))
        except ImportError as error:
            raise MissingLibrary("kubernetes", "for a balancer of the kind kubernetes") from error
        try:
            if kubeconfig is None and context is None:
                config.load_config()
                api = client.ApiClient()
            else:
                api = config.new_client_from_config(kubeconfig, context, persist_config=False)
        except config.ConfigException as error:
            raise BalancerError("refused", f"no cluster is configured: {error}") from error
        self._api, self._namespace, self._timeout = api, quote(namespace, safe=""), timeout

    def get_service(self, name: str) -> Any:
        return self._request("GET", f"/api/v1/namespaces/{self._namespace}/services/{quote(name, safe='')}")

    def get_pod(self, name: str) -> Any:
        return self._request("GET", self._path_of_pod(name))

    def list_pods(self, labels: str) -> Any:
        asked = urlencode({"labelSelector": labels})
        return self._request("GET", f"/api/v1/namespaces/{self._namespace}/pods?{asked}")

    def list_slices(self, labels: str) -> Any:
        asked = urlencode({"labelSelector": labels})
        place = f"/apis/discovery.k8s.io/v1/namespaces/{self._namespace}/endpointslices"
        return self._request("GET", f"{place}?{asked}")

    def patch_pod(self, name: str, body: Mapping[str, Any]) -> Any:
        return self._request("PATCH", f"{self._path_of_pod(name)}/status", body)

    def review_access(self, verb: str, group: str, resource: str, subresource: str, name: str) -> Any:
        """A SelfSubjectAccessReview, which any authenticated user may request and which the API does not store."""
        asked = {"verb": verb, "group": group, "resource": resource, "subresource": subresource, "name": name}
        kind = {"kind": "SelfSubjectAccessReview", "apiVersion": _REVIEWS}
        review = {**kind, "spec": {"resourceAttributes": {**asked, "namespace": self._namespace}}}
        return self._request("POST", f"/apis/{_REVIEWS}/selfsubjectaccessreviews", review)

    def _path_of_pod(self, name: str) -> str:
        return f"/api/v1/namespaces/{self._namespace}/pods/{quote(name, safe='')}"

    def _request(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> Any:
        """Send a request and parse the answer. Unlike the official client, bound its whole time and size."""
        try:
            status, reason, told = within(self._timeout, lambda: self._send(method, path, body))
        except TransportError as error:
            kind = "unreadable" if error.kind == "too_large" else "unreachable"
            raise BalancerError(kind, f"the Kubernetes API at {path.partition('?')[0]}: {error.reason}") from error
        if not 200 <= status <= 299:
            raise KubernetesRefused(status, reason)
        try:
            return json.loads(told)
        except (ValueError, RecursionError) as error:
            raise BalancerError(
                "unreadable", f"the Kubernetes API answered no JSON at {path.partition('?')[0]}"
            ) from error

    def _send(self, method: str, path: str, body: Mapping[str, Any] | None) -> tuple[int, str, bytes]:
        headers = {"Accept": "application/json", "Accept-Encoding": "identity", "User-Agent": self._api.user_agent}
        if body is not None:
            headers["Content-Type"] = _TYPES[method]
        for setting in self._api.configuration.auth_settings().values():
            if setting["in"] == "header":
                headers[setting["key"]] = setting["value"]
        # By the connections that the client has made of the configuration: certificates, authorities, a proxy.
        answer = self._api.rest_client.pool_manager.request(
            method,
            self._api.configuration.host.rstrip("/") + path,
            body=None if body is None else json.dumps(body).encode(),
            headers=headers,
            timeout=self._timeout,
            retries=False,
            redirect=False,
            preload_content=False,
        )
        try:
            return answer.status, str(answer.reason), _read_body(answer, time.monotonic() + self._timeout)
        finally:
            answer.close()


def _read_body(answer: Any, until: float) -> bytes:
    """Read in pieces, so that a thread whose caller has given up does not read on. Raises TransportError."""
    told = bytearray()
    while True:
        piece = answer.read(_PIECE, decode_content=False)
        told += piece
        if not piece:
            return bytes(told)
        if len(told) > _MAX_ANSWER:
            raise TransportError("too_large", f"the answer is larger than {_MAX_ANSWER} bytes")
        if time.monotonic() > until:
            raise TransportError("timeout", "no complete answer in time")


class KubernetesRefused(Exception):
    """The API answered with a status that is not 2xx."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status, self.reason = status, reason
