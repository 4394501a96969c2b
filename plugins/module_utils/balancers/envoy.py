# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Envoy, by the file of its endpoints (EDS) and its admin API.

The file is renamed into place, which a C(watched_directory) of Envoy's sees at once; an endpoint with C(health_status:
DRAINING) gets no new request. What is in force is told by C(/clusters?format=json) of the admin API, and nothing counts
before it is there. Format: https://www.envoyproxy.io/docs/envoy/latest/operations/admin#get--clusters?format=json,
envoy.config.endpoint.v3.LbEndpoint. Seen on Envoy 1.40, which leaves out a value that is zero.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager
from typing import Any, Callable
from urllib.parse import quote

from ..engines.protocol import EngineError
from ..engines.server import Server
from ..engines.transport import HttpTransport, Transport
from . import files, lock
from .protocol import ACTIVE, DOWN, DRAINED, UNKNOWN, UP, BalancerError, Count, Member, Weight, find

_UNREACHED = ("refused", "timeout", "reset", "unreachable", "tls")


class Envoy:
    """One cluster with its endpoints in one file. C(timeout) is seconds for a question, and for a change to arrive."""

    name = "envoy"

    def __init__(
        self,
        file: str,
        cluster: str,
        admin_url: str,
        timeout: float = 5.0,
        lock_dir: str = lock.DIRECTORY,
        transport: Transport | None = None,
    ) -> None:
        self._file, self._cluster, self._timeout = os.path.realpath(file), cluster, timeout
        self._admin = Server(admin_url, transport or HttpTransport(), timeout)
        self._lock_dir = lock_dir

    def members(self) -> tuple[Member, ...]:
        wanted = dict(endpoints(self._document(), self._cluster))
        if not wanted:
            raise BalancerError("unknown_backend", f"{self._file} has no endpoints of a cluster {self._cluster!r}")
        checked = self._checks_health()
        hosts = self._hosts()
        return tuple(_member(address, told, hosts.get(address), checked) for address, told in wanted.items())

    def state(self, server: str) -> Member:
        return find(server, self.members(), f"cluster {self._cluster!r} in {self._file}")

    def drain(self, server: str) -> None:
        self._change(server, "health_status", "DRAINING", lambda member: member.admin == DRAINED)

    def ready(self, server: str) -> None:
        self._change(server, "health_status", "HEALTHY", lambda member: member.admin == ACTIVE)

    def in_flight(self, server: str) -> Count:
        """Requests that Envoy has with the host, and those that wait for a connection to it."""
        try:
            host = self._hosts().get(server)
        except BalancerError as error:
            return Count(None, error.reason, "silent" if error.kind == "unreachable" else "unread")
        if host is None:
            return Count(None, f"Envoy has no host {server} in cluster {self._cluster!r}", "unread")
        gauges = {stat.get("name"): str(stat.get("value", "0")) for stat in _list(host, "stats")}
        active, waiting = gauges.get("rq_active", ""), gauges.get("rq_pending_active", "0")
        if not (active.isdigit() and waiting.isdigit()):
            return Count(None, f"Envoy tells no rq_active of {server}", "unread")
        return Count(int(active) + int(waiting), f"Envoy: {active} active requests, {waiting} waiting")

    def weight(self, server: str) -> Weight:
        weight = self.state(server).weight
        return Weight(1 if weight is None else weight)

    def set_weight(self, server: str, value: int) -> None:
        self._change(server, "load_balancing_weight", value, lambda member: member.weight == value)

    def incarnation(self) -> str:
        return "file"  # what it was told is in its file, whatever becomes of its process

    def exclusively(self) -> AbstractContextManager[None]:
        return lock.exclusively(f"envoy {self._file}", self._lock_dir)

    def _document(self) -> Any:
        return files.parse(self._file, files.read(self._file))

    def _change(self, server: str, key: str, value: Any, arrived: Callable[[Member], bool]) -> None:
        """Change one endpoint in the file, and wait until the admin API shows it in force."""
        self.state(server)

        def changed(content: bytes) -> bytes:
            document = files.parse(self._file, content)
            found = [endpoint for address, endpoint in endpoints(document, self._cluster) if address == server]
            if all(endpoint.get(key) == value for endpoint in found):
                return content
            for endpoint in found:
                endpoint[key] = value
            return files.render(self._file, document, content)

        files.edit(self._file, changed)
        deadline = time.monotonic() + self._timeout
        while True:
            now = self.state(server)
            if arrived(now) and not now.pending:
                return
            if time.monotonic() >= deadline:
                raise BalancerError(
                    "unproven",
                    f"{self._file} says {key} {value} for {server}, and after {self._timeout:g} s Envoy does not"
                    f" ({now.says}): its eds_config needs this path and a watched_directory",
                )
            time.sleep(0.05)

    def _hosts(self) -> dict[str, dict[str, Any]]:
        """Address with port -> what C(/clusters) says of the host."""
        document = self._get("/clusters?format=json")
        statuses = document.get("cluster_statuses") if isinstance(document, dict) else None
        if not isinstance(statuses, list):
            raise BalancerError("unreadable", "Envoy's /clusters is not a list of clusters")
        found = [status for status in statuses if isinstance(status, dict) and status.get("name") == self._cluster]
        if not found:
            names = ", ".join(str(status.get("name")) for status in statuses if isinstance(status, dict)) or "none"
            raise BalancerError("unknown_backend", f"Envoy has no cluster {self._cluster!r}; it has: {names}")
        hosts = found[0].get("host_statuses", [])
        return {_address(host.get("address")): host for host in hosts if isinstance(host, dict)}

    def _checks_health(self) -> bool:
        """Whether the cluster has health checks that have run. Without any, Envoy calls every host healthy."""
        name = f"cluster.{self._cluster}.health_check.attempt"
        document = self._get(f"/stats?format=json&filter={quote('^' + name.replace('.', '[.]') + '$', safe='')}")
        stats = document.get("stats", []) if isinstance(document, dict) else []
        return any(stat.get("name") == name and stat.get("value") for stat in stats if isinstance(stat, dict))

    def _get(self, path: str) -> Any:
        try:
            return self._admin.get_json(path)
        except EngineError as error:
            kind = "unreachable" if error.kind in _UNREACHED else "unreadable"
            raise BalancerError(kind, f"Envoy's admin API at {self._admin.url}: {error.reason}") from error


def endpoints(document: Any, cluster: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """(address with port, LbEndpoint) of a cluster, from a DiscoveryResponse. The endpoints may be changed in place."""
    for resource in _list(document, "resources"):
        if isinstance(resource, dict) and resource.get("cluster_name") == cluster:
            for locality in _list(resource, "endpoints"):
                for endpoint in _list(locality, "lb_endpoints"):
                    if isinstance(endpoint, dict) and isinstance(endpoint.get("endpoint"), dict):
                        yield _address(endpoint["endpoint"].get("address")), endpoint


def _list(document: Any, key: str) -> list[Any]:
    value = document.get(key) if isinstance(document, dict) else None
    return value if isinstance(value, list) else []


def _address(address: Any) -> str:
    socket = address.get("socket_address") if isinstance(address, dict) else None
    if not isinstance(socket, dict):
        return "?"
    host = str(socket.get("address"))
    return f"[{host}]:{socket.get('port_value')}" if ":" in host else f"{host}:{socket.get('port_value')}"


def _member(address: str, told: dict[str, Any], host: dict[str, Any] | None, checked: bool) -> Member:
    wanted = DRAINED if told.get("health_status") == "DRAINING" else ACTIVE
    if host is None:
        return Member(address, wanted, UNKNOWN, says="not in force", pending=True)
    status = host.get("health_status", {})
    eds = status.get("eds_health_status", "UNKNOWN")
    admin = DRAINED if eds == "DRAINING" else ACTIVE
    weight, wanted_weight = int(host.get("weight", 1)), told.get("load_balancing_weight", 1)
    flags = sorted(key for key, value in status.items() if value is True)
    pending = admin != wanted or weight != wanted_weight
    return Member(address, wanted, _health(eds, flags, checked), weight, False, ", ".join([eds, *flags]), pending)


def _health(eds: str, flags: list[str], checked: bool) -> str:
    if eds in ("UNHEALTHY", "TIMEOUT") or any(flag.startswith("failed_") for flag in flags):
        return DOWN
    return UP if checked and "pending_active_hc" not in flags else UNKNOWN
