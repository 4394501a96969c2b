# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The endpoints in Envoy's documents: of its file, and of what its admin API says is in force. Pure.

Formats: envoy.config.endpoint.v3.ClusterLoadAssignment, envoy.admin.v3.Clusters.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from ..host.numbers import whole_number

DRAINING = "DRAINING"


@dataclass(frozen=True)
class Endpoint:
    """One endpoint of the file. C(lb_endpoint) is its part of the document, which may be changed in place.

    priority: 0 gets the traffic; a higher number gets only what the endpoints before it cannot take.
    """

    cluster: str
    address: str
    priority: int
    lb_endpoint: dict[str, Any]

    @property
    def drained(self) -> bool:
        return self.lb_endpoint.get("health_status") == DRAINING


def in_file(document: Any) -> list[Endpoint]:
    """Every endpoint of every cluster, locality and priority of a DiscoveryResponse."""
    return [
        Endpoint(str(resource.get("cluster_name")), address_of(each["endpoint"].get("address")), priority, each)
        for resource in items(document, "resources")
        if isinstance(resource, dict)
        for priority, each in _of_resource(resource)
    ]


def _of_resource(resource: dict[str, Any]) -> Iterator[tuple[int, dict[str, Any]]]:
    for locality in items(resource, "endpoints"):
        priority = locality.get("priority", 0) if isinstance(locality, dict) else 0
        for each in items(locality, "lb_endpoints"):
            if isinstance(each, dict) and isinstance(each.get("endpoint"), dict):
                yield priority if isinstance(priority, int) else 0, each


def in_force(document: Any) -> dict[str, dict[str, list[dict[str, Any]]]] | None:
    """Cluster -> address -> hosts, of C(/clusters?format=json). An address has one host in each locality and priority.

    None for an answer of another form.
    """
    statuses = document.get("cluster_statuses") if isinstance(document, dict) else None
    if not isinstance(statuses, list):
        return None
    found: dict[str, dict[str, list[dict[str, Any]]]] = {}
    for status in statuses:
        if isinstance(status, dict):
            hosts = found.setdefault(str(status.get("name")), {})
            for host in items(status, "host_statuses"):
                if isinstance(host, dict):
                    hosts.setdefault(address_of(host.get("address")), []).append(host)
    return found


def files_of(document: Any) -> dict[str, str]:
    """Cluster -> path of the file of its endpoints, of C(/config_dump), for those that have one."""
    found = {}
    for config in items(document, "configs"):
        for kind in ("static_clusters", "dynamic_active_clusters"):
            for entry in items(config, kind):
                cluster = mapping(entry, "cluster")
                source = mapping(mapping(cluster, "eds_cluster_config"), "eds_config")
                path = mapping(source, "path_config_source").get("path") or source.get("path")
                if isinstance(path, str):
                    found[str(cluster.get("name"))] = path
    return found


def policies_of(document: Any) -> dict[str, str]:
    """Cluster -> its C(lb_policy), of C(/config_dump): ROUND_ROBIN, which protobuf leaves out as its zero."""
    found = {}
    for config in items(document, "configs"):
        for kind in ("static_clusters", "dynamic_active_clusters"):
            for entry in items(config, kind):
                cluster = mapping(entry, "cluster")
                # Typed policies take the place of lb_policy.
                policy = None if "load_balancing_policy" in cluster else cluster.get("lb_policy", "ROUND_ROBIN")
                found[str(cluster.get("name"))] = policy if isinstance(policy, str) else ""
    return found


def gets_requests(host: dict[str, Any]) -> bool:
    """Whether Envoy sends requests to a host: unless it is draining or known to be down."""
    status = mapping(host, "health_status")
    eds = status.get("eds_health_status", "UNKNOWN")
    failed = any(value is True and key.startswith("failed_") for key, value in status.items())
    return eds not in (DRAINING, "UNHEALTHY", "TIMEOUT") and not failed


def is_draining(host: dict[str, Any]) -> bool:
    """Whether a host is draining because its file says so."""
    return mapping(host, "health_status").get("eds_health_status") == DRAINING


def left_alone(endpoints: list[Endpoint], address: str, but: str) -> list[str]:
    """The clusters of the file, except C(but), that would have no endpoint left if an address were drained."""
    clusters = dict.fromkeys(each.cluster for each in endpoints if each.address == address and not each.drained)
    kept = {each.cluster for each in endpoints if each.address != address and not each.drained}
    return [cluster for cluster in clusters if cluster != but and cluster not in kept]


def items(document: Any, key: str) -> list[Any]:
    """The list at a key, or an empty one."""
    value = document.get(key) if isinstance(document, dict) else None
    return value if isinstance(value, list) else []


def mapping(document: Any, key: str) -> dict[str, Any]:
    """The mapping at a key, or an empty one."""
    value = document.get(key) if isinstance(document, dict) else None
    return value if isinstance(value, dict) else {}


def weight_of(told: Any, key: str) -> int | None:
    """A weight, 1 where none is given; None for anything but a number of 32 bits, which is all that Envoy accepts."""
    value = told.get(key, 1)
    number = whole_number(value) if isinstance(value, str) else value
    if not isinstance(number, int) or isinstance(number, bool):
        return None
    return number if 0 <= number < 1 << 32 else None


def address_of(address: Any) -> str:
    """C(address:port)."""
    socket = address.get("socket_address") if isinstance(address, dict) else None
    if not isinstance(socket, dict):
        return "?"
    host = str(socket.get("address"))
    return f"[{host}]:{socket.get('port_value')}" if ":" in host else f"{host}:{socket.get('port_value')}"
