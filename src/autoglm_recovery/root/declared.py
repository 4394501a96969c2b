# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What runs may do as root on a host, made from what the inventory declares of it and of the pools before which it is.

Each table is a row as autoglm_recovery.knowledge.privilege.rules binds options to it: the tasks of our playbooks give
modules these options, and tests hold the two together by running them.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from typing import Any

from autoglm_recovery.declarable.options import BESIDE_BALANCER
from autoglm_recovery.knowledge.locks import quarantine
from autoglm_recovery.knowledge.privilege.rules import CHECKPOINT, ENGINE
from autoglm_recovery.knowledge.services.drop_in import COMM_PATH
from autoglm_recovery.policy.mistakes import kind_of

Row = dict[str, Any]
Hosts = Mapping[str, Mapping[str, Any]]  # what each host's autoglm_* variables are, templates filled in

_OF_SERVICE = (
    *("unit", "container", "container_runtime", "pid_file", "start_command", "log_file", "user", "working_dir"),
    *("environment", "engine", "engine_options", "url", "ca_path", "cache_paths"),
)
# How gpu_reset tells a service's processes from strangers.
_HOLDING = ("name", "unit", "container", "container_runtime", "pid_file")
_MARKS = "/var/lib/autoglm/taken-out"
_SHED = "/var/lib/autoglm/shed"


class DeclarationError(ValueError):
    """What the inventory says of a host is not so that anything could be declared of it."""


def declaration(host: str, hosts: Hosts) -> dict[str, list[Row]]:
    """Return the declaration of one host; ``hosts`` are all of the inventory, since pools span them.

    Raises DeclarationError.
    """
    variables = hosts[host]
    services: list[Mapping[str, Any]] = variables.get("autoglm_services") or []
    folder = str(variables.get("autoglm_taken_out_dir") or _MARKS)
    folders = (folder, str(variables.get("autoglm_shed_dir") or _SHED))
    names = [f"{hashlib.sha256(str(service['name']).encode()).hexdigest()}.json" for service in services]
    marks = [f"{each}/{name}" for name in names for each in folders]
    return {
        "services": [{key: service[key] for key in _OF_SERVICE if key in service} for service in services],
        "drains": list(_drains(host, hosts)),
        "sheds": list(_sheds(host, hosts)),
        "checkpoints": [_checkpoint(host, service) for service in services if service.get("checkpoint")],
        "evidence": [{"dest": variables.get("autoglm_evidence_dir")}],
        "gpus": [{"services": [service["unit"] for service in services if service.get("unit")]}],
        "resets": [{"services": [{key: service[key] for key in _HOLDING if service.get(key)} for service in services]}],
        "notes": [{"path": mark} for mark in marks],
        # One file, under the names that two modules have for it.
        "quarantines": [{"path": quarantine.beside_notes(folder), "quarantine": quarantine.beside_notes(folder)}],
        "environments": list(_environments(services)),
        "commands": [{"_raw_params": "date +%s"}, *_containers(services)],
    }


def _drains(host: str, hosts: Hosts) -> Iterator[Row]:
    """Every replica of every host that a balancer on this host is in front of; and for doctor, each balancer once."""
    asked: list[Row] = []
    for name, service, pool, balancer in _in_front(host, hosts):
        options = options_of(balancer)
        if options not in asked:
            asked.append(options)
            yield {"state": "queried", "balancer": options}
        row = {**_replica(name, service, balancer), "engine_url": service.get("serving_url") or service.get("url")}
        yield {**row, "state": "active"}
        yield {**row, **_guards(pool, balancer), "state": "drained"}


def _sheds(host: str, hosts: Hosts) -> Iterator[Row]:
    """The same replicas, of which a part of the load may be taken away and brought back."""
    for name, service, pool, balancer in _in_front(host, hosts):
        folder = str(hosts[name].get("autoglm_shed_dir") or _SHED)
        row = {**_replica(name, service, balancer), **_guards(pool, balancer)}
        yield {**row, "note_dir": f"{folder}/balancers", "max_reduced": pool.get("max_reduced") or 50}


def _in_front(host: str, hosts: Hosts) -> Iterator[tuple[str, Mapping[str, Any], Mapping[str, Any], Mapping[str, Any]]]:
    """Host, service, pool and balancer, of every replica that a balancer on this host is in front of."""
    for name, variables in hosts.items():
        for service in variables.get("autoglm_services") or []:
            pool = _pool_of(name, service, variables)
            for balancer in _balancers(name, service, pool):
                if (balancer.get("host") or name) == host:
                    yield name, service, pool, balancer


def _replica(host: str, service: Mapping[str, Any], balancer: Mapping[str, Any]) -> Row:
    return {
        "server": balancer.get("server") or service.get("server") or host,
        "balancer": options_of(balancer),
        "engine": service.get("engine"),
        "engine_options": service.get("engine_options"),
        "ca_path": service.get("ca_path"),
    }


def _guards(pool: Mapping[str, Any], balancer: Mapping[str, Any]) -> Row:
    return {
        "min_available": str(pool.get("min_available") or "1"),
        "count_unchecked": balancer.get("count_unchecked"),
    }


def _pool_of(host: str, service: Mapping[str, Any], variables: Mapping[str, Any]) -> Mapping[str, Any]:
    pools: Mapping[Any, Any] = _mapping(variables.get("autoglm_pools") or {}, f"autoglm_pools of {host}")
    return _mapping(pools.get(service.get("pool")) or {}, f"pool {service.get('pool')} in autoglm_pools of {host}")


def _balancers(host: str, service: Mapping[str, Any], pool: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    where = f"of pool {service.get('pool')} in autoglm_pools of {host}"
    listed = pool.get("balancers") or ([pool["balancer"]] if "balancer" in pool else [])
    if not isinstance(listed, list):
        raise DeclarationError(f"balancers {where} must be a list, not {kind_of(listed)}")
    return [_mapping(balancer, f"a balancer {where}") for balancer in listed]


def _mapping(value: Any, what: str) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise DeclarationError(f"{what} must be a mapping, not {kind_of(value)}")
    return value


def options_of(balancer: Mapping[str, Any]) -> Row:
    """Return the option ``balancer`` of drain_inference, of an entry of ``autoglm_pools``."""
    return {key: held for key, held in balancer.items() if key not in BESIDE_BALANCER}


def _checkpoint(host: str, service: Mapping[str, Any]) -> Row:
    declared = _mapping(service["checkpoint"], f"the checkpoint of service {service['name']} of {host}")
    row = {key: declared[key] for key in CHECKPOINT if key in declared}
    row["name"] = declared.get("name") or service["name"]
    # A default of the play, whether or not its state is saved.
    row.update({key: service.get(key) for key in ENGINE})
    return row


def _environments(services: list[Mapping[str, Any]]) -> Iterator[Row]:
    """Each path that a service may be switched to, and once without one: to look, and for the way back."""
    for service in services:
        paths = service.get("comm_paths") or []
        for path in [{}, *paths] if paths else []:
            of_path = {"label": path.get("name"), "environment": path.get("environment")}
            yield {"unit": service.get("unit"), "name": COMM_PATH, **(of_path if path else {})}


def _containers(services: list[Mapping[str, Any]]) -> Iterator[Row]:
    for service in services:
        if service.get("container"):
            runtime = service.get("container_runtime") or "podman"
            yield {"argv": [runtime, "container", "inspect", "--format", "{{.Name}}", service["container"]]}
