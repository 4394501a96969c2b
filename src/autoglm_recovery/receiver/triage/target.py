# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which one inventory host an alert is about.

The words in an alert were written by somebody else.  They select by equality among the names that the inventory holds,
or they select nothing: no pattern, no prefix, no default.  Which labels may select at all is ``subject``'s matter;
where two of them select different hosts, nothing is selected.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from autoglm_recovery.knowledge.host.plain import quoted
from autoglm_recovery.receiver.fleet.fleet import Fleet, Host
from autoglm_recovery.receiver.triage.subject import INSTANCE, NAMES, Subject, SubjectLabel, service_labels, subject_of
from autoglm_recovery.receiver.values.model import Target
from autoglm_recovery.receiver.values.refusal import RefusalReason

GPU_LABELS = ("gpu_uuid", "UUID", "gpu")

_PORT = re.compile(r":\d{1,5}\Z", re.ASCII)
_BRACKETED = re.compile(r"\[([0-9A-Fa-f:.]+)\](?::\d{1,5})?\Z", re.ASCII)
# With neither user nor backslash before the host, so that no two readers of addresses differ on which host it is.
_ADDRESS = re.compile(
    r"[a-z][a-z0-9+.-]*://(\[[0-9a-f:.]+\]|[a-z0-9._-]+)(?::\d{1,5})?(?:[/?#]\S*)?\Z", re.ASCII | re.IGNORECASE
)
# An Erlang node, as RabbitMQ's exporters tell it in the label node: rabbit@HOST.
_ERLANG = re.compile(r"[A-Za-z0-9_-]+@([A-Za-z0-9._-]+)\Z", re.ASCII)
_GPU = re.compile(
    r"(?:GPU-[0-9a-f-]{8,64}|[0-9a-f]{4,8}:[0-9a-f]{2}:[0-9a-f]{2}(?:\.[0-7])?)\Z", re.ASCII | re.IGNORECASE
)
_LONGEST_WORD = 2048  # an address of a page; a host name in full has 253 (RFC 1035)
# Grafana tells by these names that a rule could not be evaluated: grafana/grafana, pkg/services/ngalert/state.
_NOTHING_READ = ("DatasourceNoData", "DatasourceError")


class Refusal(ValueError):
    """An alert that has no target: ``why`` is the kind, ``advice`` what would make it acceptable."""

    def __init__(self, why: RefusalReason, text: str, advice: str) -> None:
        super().__init__(text)
        self.why = why
        self.advice = advice
        self.sender: str | None = None


@dataclass(frozen=True)
class NamedTarget:
    """A target, the label that named it, and what did not count, in words for people."""

    target: Target
    by: str
    sender: str
    ignored: tuple[str, ...]


def resolve(labels: Mapping[str, str], fleet: Fleet) -> NamedTarget:
    """Return the target of an alert and how it was found.

    Raises Refusal if the labels do not name exactly one host, or name a service of another one.
    """
    if labels.get("alertname") in _NOTHING_READ:
        raise Refusal(
            RefusalReason.nothing_read,
            f"{labels['alertname']}: Grafana could not evaluate a rule, which says nothing about a host",
            "nothing: repair the rule or its data source; or choose 'Keep Last State' for it in Grafana",
        )
    subject = subject_of(labels)
    try:
        host, claim = _host(subject, fleet)
        service, ignored = _service(labels, host, fleet)
    except Refusal as refusal:
        refusal.sender = subject.sender
        raise
    pool = next((s.pool for s in host.services if s.name == service), None)
    gpu = next((labels[name] for name in GPU_LABELS if _GPU.match(labels.get(name, ""))), None)
    told = [f"{one.label}={quoted(one.word)}: {one.why}" for one in subject.set_aside]
    return NamedTarget(
        Target(host=host.name, service=service, pool=pool, gpu=gpu),
        by=f"{claim.label}={quoted(claim.word)}",
        sender=subject.sender,
        ignored=(*told, *ignored),
    )


def named_host(labels: Mapping[str, str]) -> str | None:
    """Return the host that labels name, whoever has such a host: without the port of ``instance``."""
    claims = subject_of(labels).claims
    return list(_readings(claims[0]))[-1] if claims else None


def _host(subject: Subject, fleet: Fleet) -> tuple[Host, SubjectLabel]:
    if not subject.claims:
        raise _nothing_names(subject)
    claim = subject.claims[0]
    found = _hosts(claim, fleet)
    if not found:
        raise _no_such_host(claim, subject, fleet)
    if len(found) > 1:
        names = ", ".join(sorted(host.name for host in found)[:5])
        raise Refusal(
            RefusalReason.shared_name,
            f"label {claim.label}={quoted(claim.word)} is a name of {len(found)} hosts: {names}",
            "give each host names of its own in the inventory (ansible_host, autoglm_aliases): what two of them share"
            " names neither",
        )
    host = found[0]
    for other in (*subject.claims[1:], *subject.doubts):
        elsewhere = _hosts(other, fleet)
        if elsewhere and host not in elsewhere and not _is_loopback(other):
            raise _contradiction(claim, host, other, elsewhere[0])
    if not fleet.limitable(host.name):
        raise Refusal(
            RefusalReason.not_limitable,
            f"host {host.name!r} has a name that Ansible would read as a pattern or a group",
            "rename the host or the group in the inventory",
        )
    return host, claim


def _nothing_names(subject: Subject) -> Refusal:
    if not subject.set_aside:
        any_of = f"one of {', '.join(NAMES)}, {INSTANCE} must name it"
        return Refusal(
            RefusalReason.no_label,
            f"no label says which host this is about; {any_of}",
            "add a label host with the exact inventory name to the rule or to the scraped target, or keep the one that"
            " has it (node, host, instance) in the rule's expression",
        )
    aside = "; ".join(f"{one.label}={quoted(one.word)}: {one.why}" for one in subject.set_aside[:3])
    return Refusal(
        RefusalReason.messenger_only,
        f"no label names the failed thing's host ({aside})",
        "add a label host with the exact inventory name to the rule, or keep the one that has it (node, exported_node,"
        f" target) in the rule's expression; a label on the scraped target would name where {subject.sender} runs",
    )


def _no_such_host(claim: SubjectLabel, subject: Subject, fleet: Fleet) -> Refusal:
    word = list(_readings(claim))[-1] if len(claim.word) <= _LONGEST_WORD else ""
    text = f"label {claim.label}={quoted(claim.word)} is not the exact name, alias or address of one inventory host"
    of = "the host that has it"
    for other in subject.claims[1:]:
        if len(found := _hosts(other, fleet)) == 1:
            of = found[0].name
            text += f"; {other.label}={quoted(other.word)} names {of}, which does not make it right"
            break
    return Refusal(
        RefusalReason.no_such_host,
        text,
        f"if {quoted(word)} is another name of a host, add it to autoglm_aliases of {of} in the inventory; else add a"
        " label autoglm_host with the exact inventory name to the alert",
    )


def _contradiction(claim: SubjectLabel, host: Host, other: SubjectLabel, elsewhere: Host) -> Refusal:
    return Refusal(
        RefusalReason.contradiction,
        f"labels contradict each other: {claim.label}={quoted(claim.word)} names {host.name},"
        f" {other.label}={quoted(other.word)} names {elsewhere.name}",
        f"drop the one that is wrong from the rule or the scrape configuration (if {other.label} is only where it was"
        " scraped), or add a label autoglm_host with the exact inventory name, which decides",
    )


def _hosts(claim: SubjectLabel, fleet: Fleet) -> tuple[Host, ...]:
    """Return the hosts that have a name which a claim may mean; the first reading that any host has counts."""
    if len(claim.word) > _LONGEST_WORD:
        return ()
    return next((found for word in _readings(claim) if (found := fleet.named(word))), ())


def _readings(claim: SubjectLabel) -> Iterator[str]:
    """Yield what a word may name: itself, and the host of what has a port, is an address, or is an Erlang node."""
    word = claim.word
    yield word
    if address := _ADDRESS.match(word):
        yield address[1].strip("[]")
    elif bracketed := _BRACKETED.match(word):
        yield bracketed[1]
    elif word.count(":") == 1 and _PORT.search(word):
        yield word.rpartition(":")[0]
    elif claim.label.endswith("node") and (erlang := _ERLANG.match(word)):
        yield erlang[1]


def _is_loopback(claim: SubjectLabel) -> bool:
    """Tell whether a claim says "here": true of every host, and contradicting none."""
    if claim.label.removeprefix("exported_") != INSTANCE:
        return False
    here = list(_readings(claim))[-1]
    try:
        return ipaddress.ip_address(here).is_loopback
    except ValueError:
        return here.lower() == "localhost"


def _service(labels: Mapping[str, str], host: Host, fleet: Fleet) -> tuple[str | None, tuple[str, ...]]:
    """Return the service, and a word about each label of that name that is somebody else's."""
    there = service_labels(labels)
    known = [service.name for service in host.services]
    for label in there:
        named = labels[label]
        elsewhere = fleet.hosts_of_service.get(named, ())
        if elsewhere and named not in known:
            raise Refusal(
                RefusalReason.service_elsewhere,
                f"service {quoted(named)} is not among the services of {host.name} ({', '.join(known) or 'none'}), but"
                f" of {', '.join(elsewhere[:5])}",
                "correct the label service or the one that names the host; or the inventory, if the service has moved",
            )
    ours = next((labels[label] for label in there if labels[label] in known), None)
    foreign = [label for label in there if labels[label] not in known]
    told = tuple(f"{label}={quoted(labels[label])}: no host of the inventory has such a service" for label in foreign)
    return ours or (known[0] if len(known) == 1 else None), told
