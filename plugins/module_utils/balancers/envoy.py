# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Envoy, by the file of its endpoints (EDS) and its admin API.

The file is renamed into place, which Envoy's C(watched_directory) notices at once; an endpoint with C(health_status:
DRAINING) gets no new request. A change counts once C(/clusters?format=json) of the admin API shows it in force. Where a
server is in other clusters too, C(/config_dump) names their files. Those are changed only if the operator declared
them: an answer of Envoy must not decide which files of this host are written. Format:
https://www.envoyproxy.io/docs/envoy/latest/operations/admin#get--clusters?format=json and
envoy.config.endpoint.v3.LbEndpoint. Seen on Envoy 1.40, which leaves out a value that is zero.
"""

from __future__ import annotations

import os
import time
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from typing import Any, Callable, ClassVar
from urllib.parse import quote

from ..engines.protocol import EngineError
from ..engines.server import EngineServer
from ..engines.transport import HttpTransport, Transport
from ..host.numbers import whole_number
from . import envoy_endpoints, files, lock
from .envoy_endpoints import Endpoint
from .options import FILE, TEXT
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

_POLICIES_WITH_WEIGHTS = ("ROUND_ROBIN", "LEAST_REQUEST", "RING_HASH", "MAGLEV")
_NO_LIMIT = "Envoy's circuit breakers limit a whole cluster, and not one of its endpoints"
_UNREACHED = ("refused", "timeout", "reset", "unreachable", "tls")


class Envoy:
    """One cluster with its endpoints in one file. C(timeout) is seconds for a request, and for a change to arrive.

    more_files: files of other clusters that may be changed too, or their directories; by default the file's directory.
    """

    name = "envoy"
    needs: ClassVar[tuple[str, ...]] = ("file", "admin_url", "backend")
    options: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "file": FILE,
        "more_files": {"type": "list", "elements": "path"},
        "admin_url": TEXT,
        "backend": TEXT,
    }

    def __init__(
        self,
        file: str,
        cluster: str,
        admin_url: str,
        timeout: float = 5.0,
        lock_dir: str = lock.DIRECTORY,
        transport: Transport | None = None,
        *,
        more_files: Sequence[str] = (),
    ) -> None:
        self._file, self._cluster, self._timeout = files.real(file), cluster, timeout
        self._admin = EngineServer(admin_url, transport or HttpTransport(), timeout)
        self._lock_dir = lock_dir
        self._declared = {self._file, *map(files.real, more_files or [os.path.dirname(self._file)])}

    @classmethod
    def opened(cls, options: Mapping[str, Any]) -> Envoy:
        more = options.get("more_files") or ()
        relative = [path for path in more if not os.path.isabs(path)]
        if relative:
            raise ValueError(f"the balancer's more_files must be absolute paths, which {relative[0]!r} is not")
        names = ("file", "admin_url", "timeout", "lock_dir")
        return cls(cluster=options["backend"], more_files=more, **{name: options[name] for name in names})

    def members(self) -> tuple[PoolMember, ...]:
        ours = [each for each in self._read_endpoints(self._file) if each.cluster == self._cluster]
        hosts = self._hosts_in_force()
        if not ours:
            raise BalancerError("unknown_backend", self._why_cluster_is_missing(hosts))
        checked = self._checks_health()
        first = min(each.priority for each in ours)
        by_address: dict[str, list[Endpoint]] = {}
        for each in ours:
            by_address.setdefault(each.address, []).append(each)
        members = []
        for address, same in by_address.items():
            member = _member(address, same, hosts.get(self._cluster, {}).get(address, []), checked, first)
            elsewhere = self._other_clusters_with(hosts, address)
            if member.admin == DRAINED and elsewhere:
                member = replace(member, pending=True, says=f"{member.says}; in use by cluster {', '.join(elsewhere)}")
            members.append(member)
        return tuple(members)

    def _why_cluster_is_missing(self, hosts: Mapping[str, Any]) -> str:
        words = f"{self._file} has no endpoints of a cluster {self._cluster!r}"
        if self._cluster in hosts:
            words += ". Envoy has it from elsewhere: only endpoints of a file (EDS) can be drained, not static ones"
        return words

    def state(self, server: str) -> PoolMember:
        return find(server, self.members(), f"cluster {self._cluster!r} in {self._file}")

    def drain(self, server: str) -> None:
        """Drain in every cluster that a file holds. Refused where one is static or would have no endpoint left."""
        self.state(server)
        others = self._other_clusters_with(self._hosts_in_force(), server)
        places = self._files_of_clusters(server, others)
        alone = [
            cluster
            for file in sorted({places[cluster] for cluster in others} | {self._file})
            for cluster in envoy_endpoints.left_alone(self._read_endpoints(file), server, self._cluster)
        ]
        if alone:
            raise BalancerError("refused", f"{server} is also the only endpoint of cluster {', '.join(alone)}")
        for cluster in others:
            self._edit_file(places[cluster], server, "health_status", "DRAINING")
        self._change_and_wait(server, "health_status", "DRAINING", lambda member: member.admin == DRAINED)

    def ready(self, server: str) -> None:
        """Activate in every cluster that a file holds."""
        hosts = self._hosts_in_force()
        others = [name for name, found in hosts.items() if name != self._cluster and server in found]
        drained = [name for name in others if any(map(envoy_endpoints.is_draining, hosts[name][server]))]
        places = self._declared_files(server, drained) if others else {}
        for cluster in others:
            if cluster in places:
                self._edit_file(places[cluster], server, "health_status", "HEALTHY")
        self._change_and_wait(server, "health_status", "HEALTHY", lambda member: member.admin == ACTIVE)

    def _other_clusters_with(self, hosts: Mapping[str, Mapping[str, list[dict[str, Any]]]], address: str) -> list[str]:
        """The other clusters that send requests to an address now."""
        return [
            cluster
            for cluster, found in hosts.items()
            if cluster != self._cluster and any(map(envoy_endpoints.gets_requests, found.get(address, [])))
        ]

    def _declared_files(self, server: str, needed: Sequence[str]) -> dict[str, str]:
        """Cluster -> file of its endpoints, for the files that are declared and exist on this host.

        Raises BalancerError where one of the C(needed) clusters has a file that is not declared.
        """
        told = envoy_endpoints.files_of(self._get_json("/config_dump"))
        places = {cluster: files.declared(file, self._declared) for cluster, file in told.items()}
        for cluster in needed:
            if cluster in told and places[cluster] is None:
                raise BalancerError(
                    "refused",
                    f"{server} is also in cluster {cluster}, whose endpoints Envoy has from {told[cluster][:200]!r}."
                    f" What may be changed is {', '.join(sorted(self._declared))}. Name that file, or its"
                    " directory, in more_files of the balancer if it may be",
                )
        return {cluster: file for cluster, file in places.items() if file is not None and os.path.isfile(file)}

    def _files_of_clusters(self, server: str, others: Sequence[str]) -> dict[str, str]:
        """Cluster -> file, for the other clusters of a server. Raises BalancerError for a cluster without a file."""
        places = self._declared_files(server, others) if others else {}
        fixed = [cluster for cluster in others if cluster not in places]
        if fixed:
            words = f"{server} also gets requests by cluster {', '.join(fixed)}, whose endpoints no file here holds"
            raise BalancerError("refused", words)
        return places

    def _read_endpoints(self, file: str) -> list[Endpoint]:
        return envoy_endpoints.in_file(files.parse(file, files.read(file)))

    def in_flight(self, server: str) -> Count:
        """Requests under way to the host, and those that wait for a connection to it, in all of its clusters."""
        try:
            clusters = self._hosts_in_force()
        except BalancerError as error:
            return Count(None, error.reason, "silent" if error.kind == "unreachable" else "unread")
        if not clusters.get(self._cluster, {}).get(server):
            return Count(None, f"Envoy has no host {server} in cluster {self._cluster!r}", "unread")
        total_active = total_waiting = 0
        for host in (host for hosts in clusters.values() for host in hosts.get(server, [])):
            stats = envoy_endpoints.items(host, "stats")
            gauges = {str(stat.get("name")): str(stat.get("value", "0")) for stat in stats if isinstance(stat, dict)}
            active, waiting = whole_number(gauges.get("rq_active")), whole_number(gauges.get("rq_pending_active", "0"))
            if active is None or waiting is None:
                return Count(None, f"Envoy tells no rq_active of {server}", "unread")
            total_active, total_waiting = total_active + active, total_waiting + waiting
        return Count(total_active + total_waiting, f"Envoy: {total_active} active requests, {total_waiting} waiting")

    def weight(self, server: str) -> Weight:
        weight = self.state(server).weight
        return Weight(1 if weight is None else weight)

    def set_weight(self, server: str, value: int) -> None:
        self._change_and_wait(server, "load_balancing_weight", value, lambda member: member.weight == value)

    def weights_count(self) -> None:
        """C(lb_policy) RANDOM takes every endpoint alike, and what is no policy of Envoy's own is not known here."""
        policy = envoy_endpoints.policies_of(self._get_json("/config_dump")).get(self._cluster)
        if policy not in _POLICIES_WITH_WEIGHTS:
            raise BalancerNotSupported(
                f"cluster {self._cluster} has lb_policy {policy or 'of no known name'}; weights are known to count with"
                f" {', '.join(_POLICIES_WITH_WEIGHTS)}"
            )

    def limit(self, server: str) -> int | None:  # noqa: ARG002
        raise BalancerNotSupported(_NO_LIMIT)

    def set_limit(self, server: str, value: int | None) -> None:  # noqa: ARG002
        raise BalancerNotSupported(_NO_LIMIT)

    def incarnation(self) -> str:
        return "file"  # the drain is kept in the file and survives a restart of Envoy

    def obstacles(self) -> list[Obstacle]:
        hosts, places = self._hosts_in_force(), {self._file}
        ours = [each.address for each in self._read_endpoints(self._file) if each.cluster == self._cluster]
        for address in dict.fromkeys(ours):
            others = self._other_clusters_with(hosts, address)
            found = self._files_of_clusters(address, others)
            places |= {found[cluster] for cluster in others}
        return [obstacle for place in sorted(places) for obstacle in files.obstacles(place, document=True)]

    def exclusively(self) -> AbstractContextManager[None]:
        return lock.exclusively(f"envoy {self._file}", self._lock_dir)

    def _change_and_wait(self, server: str, key: str, value: Any, arrived: Callable[[PoolMember], bool]) -> None:
        """Change a server's endpoints in the file, and wait until the admin API shows it in force."""
        self.state(server)

        self._edit_file(self._file, server, key, value)
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

    def _edit_file(self, file: str, server: str, key: str, value: Any) -> None:
        def changed(content: bytes) -> bytes:
            document = files.parse(file, content)
            same = [each for each in envoy_endpoints.in_file(document) if each.address == server]
            # A weight is of one cluster; whether a server serves is of the server.
            found = [each.lb_endpoint for each in same if key == "health_status" or each.cluster == self._cluster]
            # An endpoint without a health_status is healthy.
            if all(endpoint.get(key, "HEALTHY" if key == "health_status" else None) == value for endpoint in found):
                return content
            for endpoint in found:
                endpoint[key] = value
            return files.render(file, document, content)

        files.edit(file, changed)

    def _hosts_in_force(self) -> dict[str, dict[str, list[dict[str, Any]]]]:
        """Cluster -> address -> hosts that are in force. Raises BalancerError where our cluster is not among them."""
        clusters = envoy_endpoints.in_force(self._get_json("/clusters?format=json"))
        if clusters is None:
            raise BalancerError("unreadable", "Envoy's /clusters is not a list of clusters")
        if self._cluster not in clusters:
            names = ", ".join(clusters) or "none"
            raise BalancerError("unknown_backend", f"Envoy has no cluster {self._cluster!r}; it has: {names}")
        return clusters

    def _checks_health(self) -> bool:
        """Whether health checks of the cluster have run. Without health checks Envoy reports every host healthy."""
        name = f"cluster.{self._cluster}.health_check.attempt"
        document = self._get_json(f"/stats?format=json&filter={quote('^' + name.replace('.', '[.]') + '$', safe='')}")
        stats = envoy_endpoints.items(document, "stats")
        return any(stat.get("name") == name and stat.get("value") for stat in stats if isinstance(stat, dict))

    def _get_json(self, path: str) -> Any:
        try:
            return self._admin.get_json(path)
        except EngineError as error:
            kind = "unreachable" if error.kind in _UNREACHED else "unreadable"
            raise BalancerError(kind, f"Envoy's admin API at {self._admin.url}: {error.reason}") from error


def _member(
    address: str, same: Sequence[Endpoint], hosts: Sequence[Mapping[str, Any]], checked: bool, first: int
) -> PoolMember:
    """One address of one cluster, over all localities. An endpoint below the first priority is a backup."""
    wanted = DRAINED if all(each.drained for each in same) else ACTIVE
    backup = all(each.priority > first for each in same)
    if not hosts:
        return PoolMember(address, wanted, UNKNOWN, backup=backup, says="not in force", pending=True)
    statuses = [envoy_endpoints.mapping(host, "health_status") for host in hosts]
    told = [str(status.get("eds_health_status", "UNKNOWN")) for status in statuses]
    admin = DRAINED if all(eds == "DRAINING" for eds in told) else ACTIVE
    weights = [envoy_endpoints.weight_of(host, "weight") for host in hosts]
    told_weights = [envoy_endpoints.weight_of(each.lb_endpoint, "load_balancing_weight") for each in same]
    # Envoy keeps one host for an address that several localities name.
    weight = _sum_or_unknown(weights)
    pending = admin != wanted or weight not in (
        _sum_or_unknown(told_weights),
        *(told_weights if len(hosts) < len(same) else ()),
    )
    flags = sorted({key for status in statuses for key, value in status.items() if value is True})
    healths = [_health(eds, flags, checked) for eds in told]
    health = next((each for each in (UP, UNKNOWN) if each in healths), DOWN)
    return PoolMember(address, wanted, health, weight, backup, ", ".join([*dict.fromkeys(told), *flags]), pending)


def _sum_or_unknown(weights: Sequence[int | None]) -> int | None:
    """The sum, None where one of the weights could not be read."""
    known = [weight for weight in weights if weight is not None]
    return sum(known) if len(known) == len(weights) else None


def _health(eds: str, flags: list[str], checked: bool) -> str:
    if eds in ("UNHEALTHY", "TIMEOUT") or any(flag.startswith("failed_") for flag in flags):
        return DOWN
    return UP if checked and "pending_active_hc" not in flags else UNKNOWN
