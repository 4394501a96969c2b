# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Mistakes in the inventory that Ansible accepts: a misspelt key is another variable, and a host without services."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any

from autoglm_recovery.declarable.mistakes import TEMPLATE, DeclaredMistake, of_pool, of_service
from autoglm_recovery.knowledge.prometheus.hosts import VARIABLES
from autoglm_recovery.policy import Policy
from autoglm_recovery.receiver.doctor.finding import DoctorFinding, FindingLevel, meant, wrong
from autoglm_recovery.receiver.fleet.fleet import Fleet

CHECK = "inventory"

# What playbooks read of a host; a test compares them with the playbooks.
HOST_VARIABLES = frozenset(
    (
        *("autoglm_services", "autoglm_aliases", "autoglm_pools", "autoglm_evidence", "autoglm_evidence_dir"),
        *("autoglm_stop_timeout", "autoglm_require_checkpoint", "autoglm_require_evidence", "autoglm_taken_out_dir"),
        *("autoglm_expected_gpus", "autoglm_shed_dir", "autoglm_drill", "autoglm_address", "autoglm_reboot_timeout"),
    )
)
# All of ours begin alike.
_LIKE_OURS = 0.8


def check_inventory(fleet: Fleet, policy: Policy) -> list[DoctorFinding]:
    """Return what is wrong."""
    found = _together(finding for host, given in fleet.declared.items() for finding in _host(fleet, host, given))
    found += _names_for_two(fleet)
    found += _words_of_the_policy(fleet, policy)
    if not any(host.services for host in fleet.hosts.values()):
        found.append(wrong(CHECK, "no host has services: nothing can be repaired", do="give hosts autoglm_services"))
    return found


def _together(findings: Iterable[DoctorFinding]) -> list[DoctorFinding]:
    """Say once what is wrong in the same way in many places: a variable of a group is one of each of its hosts."""
    places: dict[DoctorFinding, list[str]] = {}
    for finding in findings:
        places.setdefault(replace(finding, where=""), []).append(finding.where)
    return [
        replace(finding, where=", ".join(where[:3]) + (f" and {len(where) - 3} more" if len(where) > 3 else ""))
        for finding, where in places.items()
    ]


def _host(fleet: Fleet, host: str, given: Mapping[str, Any]) -> Iterator[DoctorFinding]:
    for name in sorted(given):
        # The inventory plugin writes its own for people, and for their playbooks.
        if name.startswith("autoglm") and name not in HOST_VARIABLES and name not in VARIABLES:
            # What resembles none of ours may be read by somebody else's playbooks.
            level = (
                FindingLevel.wrong
                if (do := meant(name, HOST_VARIABLES, _LIKE_OURS)).startswith("did you mean")
                else FindingLevel.note
            )
            yield DoctorFinding(CHECK, level, f"nothing reads the variable {name}", host, do)
    services = given.get("autoglm_services") or []
    if services and not fleet.limitable(host):
        yield wrong(CHECK, "its name could be read as a group or a pattern: every run would be refused", host,
                    "rename it")  # fmt: skip
    names = [service.get("name") for service in services]
    for name in sorted({str(name) for name in names if names.count(name) > 1}):
        yield wrong(CHECK, f"has two services {name}", host, "give each a name of its own")
    for service in services:
        yield from _service(f"{service.get('name')} on {host}", service)
    pools = given.get("autoglm_pools")
    if pools is not None:
        yield from _pools(host, pools, fleet)


def _service(where: str, service: Mapping[str, Any]) -> Iterator[DoctorFinding]:
    for key in ("name", "pool"):
        if TEMPLATE.search(str(service.get(key, ""))):
            yield wrong(CHECK, f"its {key} is a template that only a play could read", where, "write it out")
    yield from _findings_from(where, of_service(service))


def _findings_from(where: str, mistakes: Iterable[DeclaredMistake]) -> Iterator[DoctorFinding]:
    for mistake in mistakes:
        do = mistake.do
        if not do and mistake.known:
            do = (
                meant(mistake.word, mistake.known) if mistake.word is not None else f"one of {', '.join(mistake.known)}"
            )
        yield wrong(CHECK, mistake.what, where, do)


def _pools(host: str, pools: object, fleet: Fleet) -> Iterator[DoctorFinding]:
    if not isinstance(pools, Mapping):
        yield wrong(CHECK, "autoglm_pools is no mapping of pools", host, "see docs/balancers.md")
        return
    for name, pool in pools.items():
        if name not in fleet.pools:
            yield wrong(
                CHECK, f"autoglm_pools has {name}, and no service is of that pool", host, meant(name, fleet.pools)
            )
        if not isinstance(pool, Mapping):
            yield wrong(CHECK, f"pool {name} is no mapping", host, "see docs/balancers.md")
            continue
        yield from _findings_from(host, (replace(each, what=f"pool {name}: {each.what}") for each in of_pool(pool)))
        for balancer in balancers_of(pool):
            on = balancer.get("host")
            if isinstance(on, str) and on not in fleet.hosts and not TEMPLATE.search(on):
                yield wrong(
                    CHECK, f"the balancer of pool {name} is on {on}, which is no host", host, meant(on, fleet.hosts)
                )


def balancers_of(pool: object) -> list[Mapping[str, Any]]:
    """Return the balancers of one pool of ``autoglm_pools``."""
    if not isinstance(pool, Mapping):
        return []
    listed = pool.get("balancers") or [pool.get("balancer")]
    return [balancer for balancer in listed if isinstance(balancer, Mapping)] if isinstance(listed, list) else []


def _names_for_two(fleet: Fleet) -> Iterator[DoctorFinding]:
    """Alerts that bear such a name are refused, if one of the hosts has services."""
    told = set()
    for host in fleet.hosts.values():
        for word in (host.name, host.address, *host.aliases):
            sharing = {other.name for other in fleet.named(word)} if word else set()
            if len(sharing) > 1 and word not in told and any(fleet.hosts[name].services for name in sharing):
                told.add(word)
                do = "give each an address or alias of its own; alerts with this one are refused"
                yield wrong(CHECK, f"{word} names {' and '.join(sorted(sharing))}", do=do)


def _words_of_the_policy(fleet: Fleet, policy: Policy) -> Iterator[DoctorFinding]:
    """The policy may name pools and hosts; one that is not there protects nothing."""
    places: list[tuple[str, Iterable[str], Iterable[str]]] = [
        ("recovery.autonomy.pools", policy.recovery.autonomy.pools, fleet.pools)
    ]
    for window in policy.guardrails.maintenance_windows:
        places.append((f"maintenance window {window.name}: pools", window.pools, fleet.pools))
        places.append((f"maintenance window {window.name}: hosts", window.hosts, fleet.hosts))
    for place, words, known in places:
        for word in words:
            if word not in known:
                do = meant(word, known)
                yield DoctorFinding(
                    "policy", FindingLevel.wrong, f"{place} names {word}, which the inventory does not have", do=do
                )
