# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What Prometheus scrapes, from the inventory: targets with the labels by which alerts find their host and service."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import SplitResult, urlsplit

import yaml

from autoglm_recovery.knowledge.engines.registry import ENGINES
from autoglm_recovery.knowledge.engines.scraped import Scraped

NODE_PORT, EXPORTER_PORT = 9100, 9471
# The job that scrapes HAProxy's state of each server. Only its samples get the labels host and service: as labels of
# the target they would attribute every failure of the balancer to the replica.
HAPROXY_JOB = "autoglm_haproxy"
PROXY, SERVER, REPLICA_HOST, REPLICA_SERVICE = "replica_proxy", "replica_server", "replica_host", "replica_service"
# The job by which a prober asks each service whether it lives. Its samples get host and service in the same way: the
# target itself is the prober, which answers for no host but its own.
PROBE_JOB = "blackbox"
_HEAD = "# Written by `autoglm rules` from the inventory; change the inventory, not this file.\n"


@dataclass(frozen=True)
class ScrapeTarget:
    """One page to scrape: ``address`` is HOST:PORT, as Prometheus sees it, or what a prober asks."""

    address: str
    labels: Mapping[str, str]


@dataclass(frozen=True)
class ScrapeTargets:
    """The targets of each job, and ``left_out``: the services without a target, and why."""

    jobs: Mapping[str, tuple[ScrapeTarget, ...]]
    left_out: tuple[str, ...] = ()

    def files(self) -> dict[str, str]:
        """Return a target file for each job, by its name."""
        return {
            f"{job}.yml": _HEAD
            + yaml.safe_dump(
                [{"targets": [target.address], "labels": dict(target.labels)} for target in targets], sort_keys=False
            )
            for job, targets in self.jobs.items()
        }


def targets_of(variables: Mapping[str, Mapping[str, Any]], receiver_url: str) -> ScrapeTargets:
    """Return the targets for hosts with services; ``variables`` are those of the inventory, by host.

    A service with a loopback address is scraped at its host's address, where it must listen too.
    """
    node, inference, exporter, haproxy, left_out = [], [], [], [], []
    probed: list[ScrapeTarget] = []
    for host, given in sorted(variables.items()):
        services = [each for each in given.get("autoglm_services") or () if isinstance(each, Mapping)]
        if not services:
            continue
        address = str(given.get("ansible_host") or host)
        node.append(ScrapeTarget(_joined(address, NODE_PORT), {"host": host}))
        exporter.append(ScrapeTarget(_joined(address, EXPORTER_PORT), {"host": host}))
        for service in services:
            found = _of_service(host, address, service)
            if isinstance(found, ScrapeTarget):
                inference.append(found)
            else:
                left_out.append(f"{service.get('name')} on {host}: {found}")
            probed += _probe_of(host, address, service)
            for each in _of_balancers(variables, host, service):
                if isinstance(each, ScrapeTarget):
                    haproxy.append(each)
                elif each not in left_out:
                    left_out.append(each)
    receiver = urlsplit(receiver_url)
    own = ScrapeTarget(_joined(receiver.hostname or "127.0.0.1", _port(receiver)), {})
    jobs = {"node": node, "inference": inference, "autoglm": exporter, "receiver": [own]}
    jobs |= {HAPROXY_JOB: haproxy, PROBE_JOB: probed}
    return ScrapeTargets({job: tuple(targets) for job, targets in jobs.items()}, tuple(left_out))


def _of_service(host: str, address: str, service: Mapping[str, Any]) -> ScrapeTarget | str:
    """Return the target of a service's metrics, or why there is none."""
    engine = ENGINES.get(str(service.get("engine", "")))
    scraped = engine.scraped if engine else Scraped()
    options = service.get("engine_options")
    options = options if isinstance(options, Mapping) else {}
    if scraped.none:
        return scraped.none
    path = scraped.path
    if scraped.path_option:
        if not options.get(scraped.path_option):
            return f"engine_options has no {scraped.path_option}"
        path = str(options[scraped.path_option])
    try:
        url = urlsplit(str(options.get("metrics_url") or service.get("url") or ""))
        port = _port(url)
    except ValueError as error:
        return f"its url cannot be used: {error}"
    if url.scheme not in ("http", "https") or not url.hostname:
        return "it has no url"
    if scraped.port and not options.get("metrics_url"):
        port = scraped.port
    labels = {"host": host, "service": str(service.get("name"))}
    labels |= {name: str(service[name]) for name in ("pool", "unit") if service.get(name)}
    if url.scheme == "https":
        labels["__scheme__"] = "https"
    if (whole := url.path.rstrip("/") + path) != "/metrics":
        labels["__metrics_path__"] = whole
    return ScrapeTarget(_joined(address if _of_the_host_itself(url.hostname) else url.hostname, port), labels)


def _probe_of(host: str, address: str, service: Mapping[str, Any]) -> Iterator[ScrapeTarget]:
    """Yield the address that a prober asks of a service, where there is one."""
    engine = ENGINES.get(str(service.get("engine", "")))
    options = service.get("engine_options")
    options = options if isinstance(options, Mapping) else {}
    path = str(options.get("live_path") or (engine.scraped if engine else Scraped()).health)
    try:
        url = urlsplit(str(service.get("url") or ""))
        port = _port(url)
    except ValueError:
        return  # of which the service's metrics say that it cannot be used
    if url.scheme in ("http", "https") and url.hostname:
        at = _joined(address if _of_the_host_itself(url.hostname) else url.hostname, port)
        whole = f"{url.scheme}://{at}{url.path.rstrip('/')}{path}"
        yield ScrapeTarget(whole, {REPLICA_HOST: host, REPLICA_SERVICE: str(service.get("name"))})


def _of_balancers(
    variables: Mapping[str, Mapping[str, Any]], host: str, service: Mapping[str, Any]
) -> Iterator[ScrapeTarget | str]:
    """Yield the target of each HAProxy in front of a service, or why it is unknown."""
    pools = variables[host].get("autoglm_pools")
    pool = pools.get(service.get("pool")) if isinstance(pools, Mapping) else None
    if not isinstance(pool, Mapping):
        return
    listed = pool.get("balancers") or [pool.get("balancer")]
    for balancer in listed if isinstance(listed, list) else ():
        if not isinstance(balancer, Mapping) or balancer.get("kind") != "haproxy":
            continue
        on = str(balancer.get("host") or host)
        labels = {
            PROXY: str(balancer.get("backend")),
            SERVER: str(balancer.get("server") or service.get("server") or host),
            REPLICA_HOST: host,
            REPLICA_SERVICE: str(service.get("name")),
        }
        found = _haproxy(str(balancer.get("metrics_url") or ""), str(variables.get(on, {}).get("ansible_host") or on))
        if isinstance(found, str):
            yield f"HAProxy of pool {service.get('pool')} on {on}: {found}; nobody is told of what others drain there"
        elif "{{" in labels[PROXY] + labels[SERVER]:
            yield f"HAProxy of pool {service.get('pool')} on {on}: backend or server of {host} is a template"
        else:
            yield ScrapeTarget(found.address, {**labels, **found.labels})


def _haproxy(metrics_url: str, address: str) -> ScrapeTarget | str:
    """Return the page of a HAProxy whose host has this address."""
    if not metrics_url:
        return "it has no metrics_url"
    try:
        url = urlsplit(metrics_url)
        port = _port(url)
    except ValueError as error:
        return f"its metrics_url cannot be used: {error}"
    if url.scheme not in ("http", "https") or not url.hostname or "{{" in metrics_url:
        return "its metrics_url is no address"
    labels = {"__scheme__": "https"} if url.scheme == "https" else {}
    if url.path not in ("", "/", "/metrics"):
        labels["__metrics_path__"] = url.path
    return ScrapeTarget(_joined(address if _of_the_host_itself(url.hostname) else url.hostname, port), labels)


def _port(url: SplitResult) -> int:
    return url.port or (443 if url.scheme == "https" else 80)


def _joined(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _of_the_host_itself(name: str) -> bool:
    try:
        address = ipaddress.ip_address(name)
    except ValueError:
        return name == "localhost"
    return address.is_loopback or address.is_unspecified


def service_names(targets: Iterable[ScrapeTarget]) -> frozenset[tuple[str, str]]:
    """Return (host, service) of each scraped service."""
    return frozenset((target.labels["host"], target.labels["service"]) for target in targets)
