# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Hosts, and what is known of each, out of what Prometheus servers tell.  Pure.

What nobody tells is not there, or unknown with the reason; and what only an old answer tells of a state is unknown.
Names and values are strangers' texts: a name is a host's only if Ansible can read it as this one host and nothing else.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from ..host.names import is_one_host
from ..host.numbers import whole_number
from ..host.plain import quoted
from . import presence
from .answers import VectorSample
from .asking import Jobs, Telling
from .presence import HEARD, SILENT, UNKNOWN

HEALTHY, UNHEALTHY = "healthy", "unhealthy"
# The label by which a scrape gives the port of what it asked.
INSTANCE = "instance"

# Every variable that a host may get.
VARIABLES = (
    "autoglm_address",
    "autoglm_at_work",
    "autoglm_gpu_models",
    "autoglm_gpus",
    "autoglm_pool_names",
    "autoglm_presence",
    "autoglm_presence_reason",
    "autoglm_quarantine_reason",
    "autoglm_quarantined",
    "autoglm_replicas",
    "autoglm_roles",
    "autoglm_service_names",
    "autoglm_verdict",
    "autoglm_verdict_reason",
)
# What of an old answer still counts: what a host has, not how it stands; and that it was to be kept out of use.
_LASTING = ("autoglm_gpu_info", "autoglm_quarantined_timestamp_seconds")
_HOSTNAME = re.compile(r"[A-Za-z0-9_]([A-Za-z0-9_.-]{0,251}[A-Za-z0-9_])?\Z", re.ASCII)


@dataclass(frozen=True)
class HostsTold:
    """The variables of each host, by its exact name; C(warnings): what was left out, and why."""

    hosts: Mapping[str, Mapping[str, Any]]
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True)
class Told:
    """One server's telling. C(old): why its states are unknown, where it is an old answer for want of a new one."""

    telling: Telling
    old: str = ""


@dataclass
class _Gathered:
    """What has been told of one host so far. C(replicas): service -> label -> all the values that targets give it."""

    addresses: set[str] = field(default_factory=set)
    replicas: dict[str, dict[str, set[str]]] = field(default_factory=dict)
    roles: set[str] = field(default_factory=set)
    quarantined: set[str] = field(default_factory=set)
    # Of the host (None) and of services: each word that a server has for it.
    heard: dict[str | None, set[str]] = field(default_factory=dict)
    metrics: list[VectorSample] = field(default_factory=list)
    old: str = ""


def hosts_told(told: Sequence[Told], jobs: Jobs, host_labels: Sequence[str]) -> HostsTold:
    """The hosts that the targets of these jobs name, by the first of the labels that is there."""
    found: dict[str, _Gathered] = {}
    unfit: set[str] = set()
    nameless = 0
    for each in told:
        for target in each.telling.targets:
            name = _name(target["labels"], host_labels)
            if name is None:
                nameless += 1
            elif not is_one_host(name):
                unfit.add(name)
            else:
                _note(found.setdefault(name, _Gathered()), target, jobs)
        _hear(found, each, jobs, host_labels)
    warnings = [f"{quoted(name)} is no exact name of one host: its targets are left out" for name in sorted(unfit)]
    if nameless:
        which = f"have none of the labels {', '.join(host_labels)}"
        warnings.append(f"{nameless} targets of the jobs {', '.join(jobs.all)} {which}: they are nobody's")
    hosts = {name: _variables(name, found[name], warnings) for name in sorted(found)}
    return HostsTold(hosts, tuple(warnings))


def _name(labels: Mapping[str, Any], host_labels: Sequence[str]) -> str | None:
    for label in host_labels:
        value = labels.get(label)
        if value:
            name = str(value)
            # Without its port: the name of the host itself has none.
            return name if label != INSTANCE else (name.rpartition(":")[0].strip("[]") or name)
    return None


def _note(host: _Gathered, target: Mapping[str, Any], jobs: Jobs) -> None:
    labels, url = target["labels"], str(target["url"])
    if labels.get("job") in jobs.inference:
        service = str(labels.get("service") or "")
        if service:
            replica = host.replicas.setdefault(service, {"pool": set(), "unit": set(), "role": set(), "url": set()})
            for label in ("pool", "unit", "role"):
                replica[label].update([str(labels[label])] if labels.get(label) else [])
            replica["url"].update([url] if url else [])
    else:
        host.addresses.update(_address(url))
    host.roles.update([str(labels["role"])] if labels.get("role") else [])
    host.quarantined.update([str(labels["quarantined"])] if labels.get("quarantined") else [])


def _address(url: str) -> list[str]:
    """The host of a scrape URL, if it is an address or a plain name."""
    try:
        name = urlsplit(url).hostname or ""
    except ValueError:
        return []
    try:
        return [str(ipaddress.ip_address(name))]
    except ValueError:
        return [name] if _HOSTNAME.match(name) else []


def _hear(found: Mapping[str, _Gathered], each: Told, jobs: Jobs, host_labels: Sequence[str]) -> None:
    """Add what is told of the state of the hosts that this server has targets of."""
    of_scrape: dict[tuple[str, str], set[str | None]] = {}
    for target in each.telling.targets:
        of_scrape.setdefault(_scrape(target["labels"]), set()).add(_name(target["labels"], host_labels))
    here = {name for names in of_scrape.values() for name in names} & found.keys()
    for sample in each.telling.metrics:
        whose = _name(sample.labels, host_labels)
        # A page may have a label that its target lacks, and would speak of another host by it.
        named_so = whose in of_scrape.get(_scrape(sample.labels), here)
        if whose in here and named_so and (not each.old or sample.labels.get("__name__") in _LASTING):
            found[str(whose)].metrics.append(sample)
    for name in here:
        found[str(name)].old = found[str(name)].old or each.old
    if each.old:
        return
    asked_at = max((sample.at for sample in each.telling.up), default=0.0)

    def subject(labels: Mapping[str, Any]) -> tuple[str | None, str | None]:
        name = _name(labels, host_labels)
        service = str(labels.get("service") or "") if labels.get("job") in jobs.inference else ""
        return (name if name in here else None), service or None

    for (name, service), (answered, at) in presence.scraped(each.telling.up, subject).items():
        lately = asked_at - at <= presence.NEWS_FOR_S
        word = (HEARD if answered else SILENT) if lately else UNKNOWN
        found[name].heard.setdefault(service, set()).add(word)


def _scrape(labels: Mapping[str, Any]) -> tuple[str, str]:
    """What was scraped: two labels that each target has, so that no page can set them."""
    return str(labels.get("job", "")), str(labels.get(INSTANCE, ""))


def _variables(name: str, host: _Gathered, warnings: list[str]) -> dict[str, Any]:
    word, why = _presence(host)
    verdict, verdict_why = _verdict(host)
    gpus = _gpus(host)
    replicas = [_replica(name, service, host, warnings) for service in sorted(host.replicas)]
    variables: dict[str, Any] = {
        "autoglm_presence": word,
        "autoglm_presence_reason": why,
        "autoglm_verdict": verdict,
        "autoglm_verdict_reason": verdict_why,
        "autoglm_at_work": _flag(_values(host, "autoglm_host_at_work")),
        "autoglm_gpus": gpus,
        "autoglm_gpu_models": sorted({gpu["name"] for gpu in gpus if gpu["name"]}),
        "autoglm_replicas": replicas,
        "autoglm_service_names": sorted(host.replicas),
        "autoglm_pool_names": sorted({replica["pool"] for replica in replicas if replica["pool"]}),
        "autoglm_roles": sorted(host.roles),
    }
    if len(host.addresses) == 1:
        variables["autoglm_address"] = next(iter(host.addresses))
    elif host.addresses:
        several = ", ".join(quoted(address) for address in sorted(host.addresses)[:5])
        warnings.append(f"{name} is scraped at several addresses ({several}): autoglm_address is none of them")
    return {**variables, **_quarantine(host)}


def _quarantine(host: _Gathered) -> dict[str, Any]:
    """What the mark on the host says, by our exporter, and a label of its targets. Nothing where nobody tells."""
    marked = list(_named(host, "autoglm_quarantined_timestamp_seconds"))
    # Whatever is said there beside a plain no: what is not understood keeps a host out, not in.
    labelled = not {word.lower() for word in host.quarantined} <= {"false", "no", "0"}
    if not (marked or host.quarantined or _flag(_values(host, "autoglm_taken_out_readable"))):
        return {}
    reasons = sorted({str(each.labels.get("reason") or "") for each in marked} - {""})
    return {"autoglm_quarantined": bool(marked) or labelled, "autoglm_quarantine_reason": "; ".join(reasons)}


def _presence(host: _Gathered, service: str | None = None) -> tuple[str, str]:
    words = host.heard.get(service, set())
    if HEARD in words:
        return HEARD, ""
    if SILENT in words:
        return SILENT, "it does not answer Prometheus"
    if words:
        return UNKNOWN, "Prometheus has not asked it lately"
    return UNKNOWN, host.old or "Prometheus has not asked it yet"


def _verdict(host: _Gathered) -> tuple[str, str]:
    told = _holding(host, "autoglm_host_verdict", "verdict")
    if told:
        return _worst(told), ""
    return UNKNOWN, host.old or "no exporter of ours tells of it now"


def _worst(verdicts: set[str]) -> str:
    """One verdict out of what several say; what is none of ours is unknown."""
    if UNHEALTHY in verdicts:
        return UNHEALTHY
    return HEALTHY if verdicts == {HEALTHY} else UNKNOWN


def _gpus(host: _Gathered) -> list[dict[str, Any]]:
    gpus = []
    for gpu in sorted({str(each.labels.get("gpu") or "") for each in _named(host, "autoglm_gpu_info")} - {""}):
        info = next(each.labels for each in _named(host, "autoglm_gpu_info") if each.labels.get("gpu") == gpu)
        owners = [each.labels for each in _named(host, "autoglm_gpu_owner_info") if each.labels.get("gpu") == gpu]
        owner = owners[0] if len(owners) == 1 else {}
        gpus.append(
            {
                "gpu": gpu,
                "uuid": str(info.get("uuid") or ""),
                "index": whole_number(info.get("index")),
                "name": str(info.get("name") or ""),
                "serial": str(info.get("serial") or ""),
                "service": str(owner.get("service") or ""),
                "pool": str(owner.get("pool") or ""),
                "verdict": _worst(_holding(host, "autoglm_gpu_verdict", "verdict", gpu)),
                "lost": _flag(_values(host, "autoglm_gpu_lost", gpu)),
                "hung": _flag(_values(host, "autoglm_gpu_hung", gpu)),
                "recovery_action": ", ".join(sorted(_holding(host, "autoglm_gpu_recovery_action", "action", gpu))),
            }
        )
    return gpus


def _replica(name: str, service: str, host: _Gathered, warnings: list[str]) -> dict[str, Any]:
    labels = host.replicas[service]
    for label in ("pool", "unit", "role"):
        if len(labels[label]) > 1:
            several = ", ".join(quoted(value) for value in sorted(labels[label])[:5])
            warnings.append(
                f"service {quoted(service)} on {name} has several {label}s ({several}): none of them counts"
            )
    word, why = _presence(host, service)
    out = {str(each.labels.get("service")) for each in _named(host, "autoglm_service_taken_out_timestamp_seconds")}
    all_known = _flag(_values(host, "autoglm_taken_out_readable"))
    return {
        "service": service,
        **{label: next(iter(labels[label])) if len(labels[label]) == 1 else "" for label in ("pool", "unit", "role")},
        "metrics_urls": sorted(labels["url"]),
        "presence": word,
        "presence_reason": why,
        # Not taken out is what an exporter says that can read all notes; without one nobody knows.
        "taken_out": True if service in out else (False if all_known else None),
    }


def _named(host: _Gathered, metric: str) -> Iterator[VectorSample]:
    return (sample for sample in host.metrics if sample.labels.get("__name__") == metric)


def _values(host: _Gathered, metric: str, gpu: str | None = None) -> list[float]:
    return [each.value for each in _named(host, metric) if gpu is None or each.labels.get("gpu") == gpu]


def _holding(host: _Gathered, metric: str, label: str, gpu: str | None = None) -> set[str]:
    """The values of a label that hold: those of samples that are 1."""
    return {
        str(each.labels.get(label))
        for each in _named(host, metric)
        if each.value == 1 and (gpu is None or each.labels.get("gpu") == gpu)
    }


def _flag(values: Iterable[float]) -> bool | None:
    """Whether any says yes; None where nobody says anything."""
    said = [value != 0 for value in values]
    return any(said) if said else None
