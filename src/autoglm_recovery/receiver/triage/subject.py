# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which labels of an alert name the failed thing, and which its messenger.  Knows no inventory."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from autoglm_recovery.receiver.triage.senders import Instance, SenderKind, port_of, sender_of

# Decides alone: whoever writes it has looked at all the others.
LAST_WORD = "autoglm_host"
# Labels that name a host, in this order; the first that is there decides, and a later one never rescues a wrong one.
# host.name and k8s.node.name: OpenTelemetry's semantic conventions, as they arrive where names are not translated.
NAMES = (
    "host",
    "node",
    "hostname",
    "Hostname",
    "nodename",
    "host_name",
    "host.name",
    "node_name",
    "kubernetes_node",
    "k8s_node_name",
    "k8s.node.name",
    "kubernetes_io_hostname",
    "fqdn",
)
INSTANCE = "instance"
# Labels by which balancers, probers and clients tell of somebody else.  They name nothing unless their sender is known
# for it; but where nothing better than instance names a host, one that names another host makes that doubtful.
OF_OTHERS = ("server", "url", "api_base", "backend", "peer", "address", "remote", "destination")
# What Kubernetes service discovery commonly attaches to a scraped target: where the scraped pod runs.  As of
# prometheus-community/helm-charts, charts/prometheus (jobs kubernetes-service-endpoints, kubernetes-pods, ...), for
# which kubernetes/kube-state-metrics#1927 shows node naming the wrong one; Rancher's monitoring had the same.
_ATTACHED = ("node", "nodename", "kubernetes_node", "node_name", "kubernetes_io_hostname")
_ATTACHING_JOB = re.compile(r"kubernetes-|expose-kubernetes")
# A name that a container runtime gave: no host has it.
_OF_A_CONTAINER = re.compile(r"[0-9a-f]{12}(?:[0-9a-f]{52})?\Z", re.ASCII)
# Labels of kube-state-metrics that only metrics of nodes have: kube_node_status_condition, kube_node_spec_taint.
_OF_A_NODE = ("condition", "effect")


@dataclass(frozen=True)
class SubjectLabel:
    """A label that names the failed thing, as far as its sender is known."""

    label: str
    word: str


@dataclass(frozen=True)
class IgnoredLabel:
    """A label that looks as if it named something, and why it does not count."""

    label: str
    word: str
    why: str


@dataclass(frozen=True)
class Subject:
    """What an alert is about, in the words of its labels; ``claims`` begin with the one that decides.

    ``doubts`` name nothing, but must not name another host than the claim that decides.
    """

    sender: str
    claims: tuple[SubjectLabel, ...]
    set_aside: tuple[IgnoredLabel, ...]
    doubts: tuple[SubjectLabel, ...] = ()


def subject_of(labels: Mapping[str, str]) -> Subject:
    """Sort the labels of an alert into those that name the failed thing and those of its messenger."""
    sender = sender_of(labels)
    there = [*_candidates(sender, labels)]
    if labels.get(LAST_WORD):
        others = tuple(IgnoredLabel(label, labels[label], f"{LAST_WORD} decides") for label in there)
        return Subject(sender.name, (SubjectLabel(LAST_WORD, labels[LAST_WORD]),), others)
    why_not = {label: _why_not(label, sender, labels) for label in there}
    claims = tuple(SubjectLabel(label, labels[label]) for label, why in why_not.items() if why is None)
    aside = tuple(IgnoredLabel(label, labels[label], why) for label, why in why_not.items() if why is not None)
    only_scraped = bool(claims) and claims[0].label.endswith(INSTANCE)
    doubts = tuple(
        SubjectLabel(label, labels[label])
        for label in OF_OTHERS
        if only_scraped and label not in why_not and labels.get(label)
    )
    return Subject(sender.name, claims, aside, doubts)


def service_labels(labels: Mapping[str, str]) -> tuple[str, ...]:
    """Return the labels that may hold the name of a service: what the metric says of itself before its target's."""
    return _exported_variants("service", labels)


def _candidates(sender: SenderKind, labels: Mapping[str, str]) -> Iterator[str]:
    """Yield the labels that are there and may name a host, the one that decides first."""
    of_sender = _present(sender.subject, labels) if sender.subject and sender.beside else ()
    for name in dict.fromkeys((*of_sender, *NAMES, *sender.subject, "target", INSTANCE)):
        yield from _exported_variants(name, labels)


def _exported_variants(name: str, labels: Mapping[str, str]) -> tuple[str, ...]:
    """Return a label and what became of it where another scrape put its own in its place, the oldest first.

    Prometheus renames what collides with ``exported_``, and that again where it collides (scrape/scrape.go).
    """
    return tuple(label for times in (3, 2, 1, 0) if labels.get(label := "exported_" * times + name))


def _present(names: tuple[str, ...], labels: Mapping[str, str]) -> tuple[str, ...]:
    return tuple(name for name in names if _exported_variants(name, labels))


def _why_not(label: str, sender: SenderKind, labels: Mapping[str, str]) -> str | None:
    """Say why a label does not count, or None if it does."""
    word = labels[label]
    if labels.get(f"exported_{label}"):
        return f"exported_{label} is the metric's own, {label} is where it was scraped"
    if _OF_A_CONTAINER.match(word) or (label != "pod" and word in (labels.get("pod"), labels.get("exported_pod"))):
        return "it is the name of a container or a pod"
    if label in sender.beside and _present(sender.subject, labels):
        return f"it is where {sender.name} runs"
    if label == INSTANCE:
        return _why_no_instance(sender, labels)
    if label in _ATTACHED and sender.instance is not Instance.own and _is_attached(sender, labels):
        return f"it is where {sender.name} runs, by the job that scraped it"
    return None


def _why_no_instance(sender: SenderKind, labels: Mapping[str, str]) -> str | None:
    if sender.instance is Instance.messenger:
        return f"it is where {sender.name} runs"
    if _present((*sender.subject, "target"), labels):
        return "target says what it is about"
    if sender.instance is Instance.probed and port_of(labels[INSTANCE]) in sender.ports:
        return f"its port is that of {sender.name}, whose target no label tells"
    return None


def _is_attached(sender: SenderKind, labels: Mapping[str, str]) -> bool:
    """Tell whether node is the scraped pod's: in the jobs that attach it, but for metrics that are about nodes."""
    if not _ATTACHING_JOB.match(labels.get("job", "")):
        return False
    of_a_node = any(labels.get(label) for label in _OF_A_NODE)
    return not (sender.name == "kube-state-metrics" and of_a_node)
