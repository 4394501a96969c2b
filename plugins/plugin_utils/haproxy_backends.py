# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The frontends and backends of one HAProxy, worked out of what an inventory says of pools and services. Pure.

A server has the name here by which drain_inference will ask for it, and stands behind the socket at which it will ask.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple
from urllib.parse import urlsplit

# What answers with 200 only while an engine takes requests.
_READY = {
    **dict.fromkeys(("llama_cpp", "vllm", "sglang", "tgi", "tensorrt_llm", "onnx_runtime"), "/health"),
    "triton": "/v2/health/ready",
    "ollama": "/api/version",
}
_WORD = re.compile(r"[A-Za-z0-9_.:-]{1,64}\Z")
_HOST = re.compile(r"[A-Za-z0-9]([A-Za-z0-9.-]{0,252}[A-Za-z0-9])?\Z")
_PATH = re.compile(r"/[A-Za-z0-9_./?=&%~-]*\Z")
_FILE = re.compile(r"/[A-Za-z0-9_./-]+\Z")
_ZONE = re.compile(r"[A-Za-z0-9_.-]*\Z")
_PORT = re.compile(r"[0-9]{1,5}\Z")
_LINE = re.compile(r"[^\n\r]+\Z")


class PoolMistake(ValueError):
    """Pools that no HAProxy could be in front of as they are described; the message says what would be right."""


class Replica(NamedTuple):
    """A service of a pool, behind this HAProxy under a name of its own."""

    host: str
    service: Mapping[str, Any]
    balancer: Mapping[str, Any]

    @property
    def server(self) -> str:
        return str(self.balancer.get("server") or self.service.get("server") or self.host)


def backends(
    pools: Sequence[Mapping[str, Any]], fleet: Mapping[str, Mapping[str, Any]], here: str, socket: str
) -> list[dict[str, Any]]:
    """Return a backend with its frontend for each of the pools. Raises PoolMistake.

    fleet: of each host, its C(services) and its C(pools). here: the host on which the HAProxy runs.
    """
    made = [_backend(pool, list(_replicas(str(pool.get("name")), fleet, here)), here, socket) for pool in pools]
    for what in ("pool", "backend"):
        values = [each[what] for each in made]
        if twice := sorted({value for value in values if values.count(value) > 1}):
            raise PoolMistake(f"two pools have the {what} {twice[0]}")
    binds = [bind for each in made for bind in each["bind"]]
    if twice := sorted({bind for bind in binds if binds.count(bind) > 1}):
        raise PoolMistake(f"two pools listen at {twice[0]}")
    return made


def _replicas(pool: str, fleet: Mapping[str, Mapping[str, Any]], here: str) -> Iterator[Replica]:
    for host, said in fleet.items():
        for service in said.get("services") or []:
            if service.get("pool") != pool:
                continue
            declared = (said.get("pools") or {}).get(pool) or {}
            for balancer in declared.get("balancers") or [declared.get("balancer") or {}]:
                if balancer.get("kind") == "haproxy" and (balancer.get("host") or host) == here:
                    yield Replica(host, service, balancer)


def _backend(pool: Mapping[str, Any], replicas: Sequence[Replica], here: str, socket: str) -> dict[str, Any]:
    name = str(pool.get("name") or "")
    if not _WORD.match(name):
        raise PoolMistake(f"{name[:80]!r} is no name of a pool; write letters, digits, '_', '.', ':' and '-'")
    try:
        return _of(name, pool, replicas, here, socket)
    except PoolMistake as mistake:
        raise PoolMistake(f"pool {name}: {mistake}") from None


def _of(name: str, pool: Mapping[str, Any], replicas: Sequence[Replica], here: str, socket: str) -> dict[str, Any]:
    if not replicas:
        raise PoolMistake(
            f"no service of the inventory is of it with a balancer of kind haproxy and host {here} in autoglm_pools"
        )
    for replica in replicas:
        if replica.balancer.get("socket") != socket:
            asked = f"{replica.host} will ask for a drain at {replica.balancer.get('socket')}"
            raise PoolMistake(
                f"{asked}, and this HAProxy has {socket}; write the same in autoglm_pools and haproxy_pool_socket"
            )
    (backend, *others) = sorted({str(replica.balancer.get("backend")) for replica in replicas})
    if others or not _WORD.match(backend):
        raise PoolMistake(
            f"its backend must be one name of letters, digits, '_', '.', ':' and '-', not {[backend, *others]}"
        )
    names = [replica.server for replica in replicas]
    if twice := sorted({each for each in names if names.count(each) > 1}):
        raise PoolMistake(f"two of its services have the server {twice[0]}; give each its own in autoglm_services")
    paths = {_check_path(pool, replica.service) for replica in replicas}
    if len(paths) > 1:
        raise PoolMistake(f"its services are asked for their health at {' and '.join(sorted(paths))}; give health_path")
    servers = [_server(replica) for replica in replicas]
    tls = {server["tls"] for server in servers}
    if len(tls) > 1:
        raise PoolMistake("some of its services have https:// addresses, and some have not")
    return {
        "pool": name,
        "backend": backend,
        "bind": [_bind(str(bind)) for bind in pool.get("bind") or _no_bind()],
        "certificate": _file(pool, "certificate"),
        "balance": str(pool.get("balance") or "leastconn"),
        "health_path": paths.pop(),
        "ca_file": _file(pool, "ca_file"),
        "tls": tls.pop(),
        "lines": [_line(str(line)) for line in pool.get("lines") or []],
        "servers": sorted(servers, key=lambda server: str(server["name"])),
    }


def _server(replica: Replica) -> dict[str, Any]:
    """Return one server. Its address is that by which the balancer's host reaches it."""
    given = str(replica.service.get("serving_url") or replica.service.get("url") or "")
    try:
        url = urlsplit(given)
        host, port = url.hostname or "", url.port or (443 if url.scheme == "https" else 80)
    except ValueError as error:
        raise PoolMistake(f"the url of {replica.host} is no address: {error}") from None
    if url.scheme not in ("http", "https") or not (_HOST.match(host) or _is_address(host)):
        raise PoolMistake(f"the url of {replica.host} is no address, such as http://192.0.2.11:8080")
    if not _WORD.match(replica.server):
        raise PoolMistake(f"{replica.server[:80]!r} is no name of a server")
    address = f"[{host}]" if ":" in host else host
    return {"name": replica.server, "address": f"{address}:{port}", "tls": url.scheme == "https"}


def _check_path(pool: Mapping[str, Any], service: Mapping[str, Any]) -> str:
    options, engine = service.get("engine_options") or {}, str(service.get("engine"))
    path = pool.get("health_path") or _READY.get(engine)
    if engine == "generic":
        path = path or options.get("ready_path") or options.get("live_path") or "/health"
    if not path or not _PATH.match(str(path)):
        raise PoolMistake(f"what tells of the health of {engine} is not known here; give health_path, such as /health")
    return str(path)


def _no_bind() -> list[str]:
    raise PoolMistake("it has no bind; write at which addresses it listens, such as ['192.0.2.1:8000']")


def _bind(bind: str) -> str:
    address, colon, port = bind.rpartition(":")
    plain = address.strip("[]")
    fits = colon and _PORT.match(port) and 0 < int(port) < 65536
    if not fits or not (plain in ("", "*") or _is_address(plain)):
        raise PoolMistake(f"{bind[:80]!r} is no place to listen at, such as 192.0.2.1:8000 or [2001:db8::1]:8000")
    return bind


def _file(pool: Mapping[str, Any], key: str) -> str:
    path = str(pool.get(key) or "")
    if path and not _FILE.match(path):
        raise PoolMistake(f"its {key} must be an absolute path of plain characters")
    return path


def _line(line: str) -> str:
    first = line.split(maxsplit=1)[0] if line.split() else ""
    if not _LINE.match(line) or first in ("", "server", "backend", "frontend", "listen", "defaults", "global"):
        raise PoolMistake(f"{line[:80]!r} is no line that a backend may get here")
    return line.strip()


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return _ZONE.match(host.partition("%")[2]) is not None  # Python takes anything for one
