# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What to look at on hosts, and what the looks mean.  The playbook look_at_hosts does the looking."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

from autoglm_recovery.knowledge.host.plain import one_line
from autoglm_recovery.receiver.doctor.finding import DoctorFinding, FindingLevel, wrong
from autoglm_recovery.receiver.doctor.inventory import balancers_of
from autoglm_recovery.root.declared import options_of

SSH, CHECK, BALANCERS = "ssh", "hosts", "balancers"
# Alerts carry times of the clocks of several machines; a lease and a fence bear no more than this.
CLOCK_TOLERATED_S = 5.0
_REACH = {
    "host key verification failed": "put the host's key into known_hosts of the receiver's account, after comparing it",
    "permission denied": "is the receiver's public key among the authorized_keys of the user that the inventory names?",
    "sudo": "can that user become root without a question, or is become_password_file set?",
    "could not resolve": "set ansible_host to an address",
    "timed out": "is the host up, and does a firewall let SSH through?",
    "refused": "is the host up, does sshd listen at ansible_port?",
    "no vault secrets": "set vault_password_file in the ansible.cfg of the folder where serve is started",
}


def plan(variables: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, list[Any]]]:
    """Return what to look at on each host; balancers on the hosts where runs reach them, each asked once."""
    looks: dict[str, dict[str, list[Any]]] = {host: {} for host in variables}
    for host, given in variables.items():
        for kind, what in _of_services(given):
            if what not in looks[host].setdefault(kind, []):
                looks[host][kind].append(what)
        for on, balancer, server in _of_balancers(host, given):
            if on in looks:
                _expect(looks[on].setdefault("balancers", []), balancer, server)
    return looks


def _of_services(given: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    for service in given.get("autoglm_services") or ():
        if service.get("unit"):
            yield "units", str(service["unit"])
        if service.get("container"):
            runtime = str(service.get("container_runtime") or "podman")
            yield "containers", {"name": str(service["container"]), "runtime": runtime}
        if service.get("url"):
            yield "urls", {"url": str(service["url"]), "ca_path": service.get("ca_path")}


def _of_balancers(host: str, given: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any], str]]:
    """(where, options, server) of each balancer in front of each service, as runs take them."""
    pools = given.get("autoglm_pools")
    for service in given.get("autoglm_services") or ():
        for balancer in balancers_of(pools.get(service.get("pool")) if isinstance(pools, Mapping) else None):
            server = str(balancer.get("server") or service.get("server") or host)
            yield str(balancer.get("host") or host), options_of(balancer), server


def _expect(asked: list[dict[str, Any]], balancer: Mapping[str, Any], server: str) -> None:
    """Note a balancer, and a server that it must have; one that is a template only a run on its own host could read."""
    known = next((each for each in asked if each["balancer"] == balancer), None)
    if known is None:
        known = {"balancer": balancer, "servers": []}
        asked.append(known)
    if server not in known["servers"] and "{{" not in server:
        known["servers"].append(server)


def read_looks(events: Iterable[Mapping[str, Any]]) -> list[DoctorFinding]:
    """Turn ansible-runner's events of the playbook into findings."""
    return [finding for event in events for finding in _of_event(event)]


def _of_event(event: Mapping[str, Any]) -> Iterator[DoctorFinding]:
    data = table(event.get("event_data"))
    host, task, result = str(data.get("host")), str(data.get("task")), table(data.get("res"))
    kind = event.get("event")
    if kind == "runner_on_unreachable" or (kind == "runner_on_failed" and not data.get("ignore_errors")):
        said = f"{result.get('msg') or ''} {result.get('module_stderr') or result.get('stderr') or ''}"
        reason = one_line(said, 500) or "no reason was given"
        do = next((do for words, do in _REACH.items() if words in reason.lower()), "try ansible -m ping by hand")
        yield wrong(SSH, f"cannot be reached as a run would: {reason}", host, do)
    elif kind == "runner_on_ok" and task == "Clock":
        yield from _clock(host, str(result.get("stdout")), str(event.get("created")))
    elif kind == "runner_item_on_ok" and task in _ITEMS:
        try:
            yield from tuple(_ITEMS[task](host, result))
        except (AttributeError, KeyError, TypeError):
            # What a host answers is anything.
            yield DoctorFinding(CHECK, FindingLevel.unknown, f"{task.lower()}: the answer cannot be read", host)


def table(value: object) -> Mapping[str, Any]:
    """Return a part of an event, and an empty one for what is no table."""
    return value if isinstance(value, Mapping) else {}


def _clock(host: str, said: str, created: str) -> Iterator[DoctorFinding]:
    try:
        here = datetime.fromisoformat(created)
        here = here if here.tzinfo else here.replace(tzinfo=UTC)
        ahead = float(said) - here.timestamp()
        if not math.isfinite(ahead):
            raise ValueError("no clock says that")  # noqa: TRY301 - as what is no figure
    except (OverflowError, ValueError):
        yield DoctorFinding(SSH, FindingLevel.unknown, f"its clock could not be read: {said[:100]!r}", host)
        return
    yield DoctorFinding(SSH, FindingLevel.ok, "is reached as a run would reach it", host)
    if abs(ahead) > CLOCK_TOLERATED_S:
        what = f"its clock is {abs(ahead):.0f} s {'ahead of' if ahead > 0 else 'behind'} the receiver's"
        yield wrong("clocks", what, host, "have both keep time by NTP (chrony, systemd-timesyncd)")


def _unit(host: str, result: Mapping[str, Any]) -> Iterator[DoctorFinding]:
    state = str(result.get("stdout", "")).strip()
    if result.get("rc") != 0 or not state:
        why = result.get("stderr") or result.get("msg")
        yield DoctorFinding(CHECK, FindingLevel.unknown, f"unit {result['item']} could not be looked at: {why}", host)
    elif state != "loaded":
        yield wrong(
            CHECK, f"has no unit {result['item']} (LoadState is {state})", host, "correct unit in the inventory"
        )


def _container(host: str, result: Mapping[str, Any]) -> Iterator[DoctorFinding]:
    if result.get("rc") != 0:
        name, runtime = result["item"]["name"], result["item"]["runtime"]
        what = f"{runtime} shows no container {name}: {result.get('stderr') or result.get('msg')}"
        yield wrong(CHECK, what, host, "correct container and container_runtime in the inventory, or create it")


def _address(host: str, result: Mapping[str, Any]) -> Iterator[DoctorFinding]:
    status = result.get("status", -1)
    if not isinstance(status, int) or status < 100:
        what = f"{result['item']['url']} does not answer there: {result.get('msg') or 'no reason was given'}"
        yield wrong(CHECK, what, host, "is the server up, and is this its address on that host?")


def name_of_balancer(options: Mapping[str, Any]) -> str:
    """Return what a person calls a balancer."""
    return " ".join(str(options[key]) for key in ("kind", "backend", "file") if options.get(key))


def _balancer(host: str, result: Mapping[str, Any]) -> Iterator[DoctorFinding]:
    """Read drain_inference with state=queried."""
    options, servers = result["item"]["balancer"], result["item"]["servers"]
    name = name_of_balancer(options)
    able = result.get("outcome") == "queried"
    if not able and not result.get("obstacles"):
        msg = str(result.get("msg") or "no reason was given")[:500]
        do = next((do for begins, do in _ADVICE.items() if msg.startswith(begins)), "correct balancer in autoglm_pools")
        yield wrong(BALANCERS, f"{name} cannot be asked as a run would: {msg}", host, do)
        return
    for obstacle in result["obstacles"][:_MOST_OBSTACLES]:
        what, do = str(obstacle["what"])[:500], str(obstacle["do"])[:500] or "docs/balancers.md says what it needs"
        yield wrong(BALANCERS, f"a drain by {name} would fail: {what}", host, do)
    has = [str(member["name"])[:100] for member in result["pool"]]
    missing = [server for server in servers if server not in has]
    if missing and (has or able):
        what = f"{name} has no server {', '.join(missing[:5])}; it has: {', '.join(has[:20]) or 'none'}"
        yield wrong(BALANCERS, what, host, "give its name there as server of the service, or of the balancer's entry")
    if able and not missing:
        yield DoctorFinding(
            BALANCERS, FindingLevel.ok, f"{name} is reached as a run would reach it, and would drain", host
        )


_ITEMS = {"Unit": _unit, "Container": _container, "Address": _address, "Balancer": _balancer}
_INSTALL = "write autoglm-root's declaration anew with autoglm root, and install it on the host"
_ADVICE = {
    "Refused by autoglm-root": _INSTALL,
    "Failed to import the required Python library": "install it there, for the Python that runs modules",
}
_MOST_OBSTACLES = 10
