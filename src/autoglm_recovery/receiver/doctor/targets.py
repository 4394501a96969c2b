# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether Prometheus scrapes what the inventory has, under the names by which alerts find their host."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from autoglm_recovery.receiver.doctor.finding import DoctorFinding, FindingLevel, meant, wrong
from autoglm_recovery.receiver.fleet.fleet import Fleet
from autoglm_recovery.rules.targets import HAPROXY_JOB, REPLICA_HOST, REPLICA_SERVICE, ScrapeTargets, service_names

CHECK = "prometheus"
OURS = ("node", "inference", "autoglm", "receiver", HAPROXY_JOB)
_RENDER = "render the targets with autoglm rules -i INVENTORY, or give your job these labels"


def read_targets(fleet: Fleet, expected: ScrapeTargets, active: list[Mapping[str, Any]]) -> list[DoctorFinding]:
    """Return what is to be said of the targets: that all is well only where each that is expected is scraped."""
    # A prober is nobody's duty, so that its job is not looked for.
    count = sum(len(targets) for job, targets in expected.jobs.items() if job in OURS)
    well = DoctorFinding(CHECK, FindingLevel.ok, f"scrapes what the inventory has: {count} targets")
    return check_targets(fleet, expected, active) or [well]


def check_targets(fleet: Fleet, expected: ScrapeTargets, active: Iterable[Mapping[str, Any]]) -> list[DoctorFinding]:
    """Compare; ``active`` is ``activeTargets`` of Prometheus' ``/api/v1/targets``."""
    active = list(active)
    return [*_missing(expected, active), *_not_scraped(active), *_strangers(fleet, active)]


def _missing(expected: ScrapeTargets, active: list[Mapping[str, Any]]) -> Iterator[DoctorFinding]:
    scraped = {
        (str(target["labels"].get("host")), str(target["labels"].get("service")))
        for target in active
        if target["labels"].get("job") == "inference"
    }
    for host, service in sorted(service_names(expected.jobs["inference"]) - scraped):
        yield wrong(CHECK, f"job inference has no target with host={host} and service={service}", host, _RENDER)
    nodes = {str(target["labels"].get("host")) for target in active if target["labels"].get("job") == "node"}
    for host in sorted({target.labels["host"] for target in expected.jobs["node"]} - nodes):
        yield wrong(CHECK, f"job node has no target with host={host}: OOM kills and units are not seen", host, _RENDER)
    exporters = {str(target["labels"].get("host")) for target in active if target["labels"].get("job") == "autoglm"}
    for host in sorted({target.labels["host"] for target in expected.jobs["autoglm"]} - exporters):
        # Some do without the exporter; what it would see is not seen then.
        what = f"job autoglm has no target with host={host}: what the exporter would tell is not seen"
        yield DoctorFinding(CHECK, FindingLevel.note, what, host, _RENDER)
    read = {
        (str(target["labels"].get(REPLICA_HOST)), str(target["labels"].get(REPLICA_SERVICE)))
        for target in active
        if target["labels"].get("job") == HAPROXY_JOB
    }
    behind = {(each.labels[REPLICA_HOST], each.labels[REPLICA_SERVICE]) for each in expected.jobs[HAPROXY_JOB]}
    for host, service in sorted(behind - read):
        what = f"job {HAPROXY_JOB} has no target for {service}: nobody is told when others leave it drained"
        yield wrong(CHECK, what, host, _RENDER)
    if not any(target["labels"].get("job") == "receiver" for target in active):
        yield wrong(CHECK, "the receiver has no job: nobody is told when it is down", do=_RENDER)


def _not_scraped(active: list[Mapping[str, Any]]) -> Iterator[DoctorFinding]:
    for target in active:
        health = target.get("health")
        if target["labels"].get("job") not in OURS or health == "up":
            continue
        where = str(target["labels"].get("host") or target["labels"].get("instance"))
        if health == "down":
            what = f"{target.get('scrapeUrl')} cannot be scraped: {target.get('lastError') or 'no reason was given'}"
            do = "is it running, does it listen at that address, does a firewall let it through?"
            yield wrong(CHECK, what, where, do)
        else:
            # Prometheus' word for what it has not scraped yet is "unknown".
            what = f"{target.get('scrapeUrl')} was not scraped yet (its health is {str(health)[:50]})"
            yield DoctorFinding(
                CHECK, FindingLevel.unknown, what, where, "ask again after a scrape_interval of its job"
            )


def _strangers(fleet: Fleet, active: list[Mapping[str, Any]]) -> Iterator[DoctorFinding]:
    hosts = {str(target["labels"]["host"]) for target in active if target["labels"].get("host")}
    for host in sorted(hosts):
        if fleet.find(host) is None:
            yield wrong(
                CHECK, f"targets have the label host={host}, which names no host", host, meant(host, fleet.hosts)
            )
