# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who sends alerts about whom: a table of programs whose metrics speak of something else than of where they run.

``instance`` is where a metric was scraped.  For an exporter on the host that it watches, that is the host.  A prober, a
relay or a reader of somebody's API runs elsewhere, and its ``instance`` (in Kubernetes its ``node``, ``pod``,
``service`` as well) is the messenger's.  A sender that is not in the table speaks for itself, and everything that it
says has to agree.

Each entry names the public source of what it says.  Values are compared in lower case.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache

# Prometheus' own word for what was scraped is the best evidence.  The other labels that may carry a program's name
# (Prometheus Operator's container and service, charts' app labels, OpenTelemetry's service_name) are the scraped
# program's or, with honor_labels, the failed thing's: they only tell of senders that speak for others.
_JOB = "job"
_PROGRAM = (
    "exported_job",
    "container",
    "exported_container",
    "service",
    "app",
    "k8s_app",
    "app_kubernetes_io_name",
    "service_name",
    "pod",
)


# Of a value, so much is looked at.
_LONGEST = 300


class Instance(StrEnum):
    """What a sender's ``instance`` says: where it runs, or what it probed unless the port is its own."""

    own = "own"
    messenger = "messenger"
    probed = "probed"


@dataclass(frozen=True)
class SenderKind:
    """A kind of sender.

    ``program`` is looked for in the labels that carry names of programs, ``job`` is a whole ``job``, ``alert`` begins
    ``alertname``, ``ports`` are looked for at the end of ``instance``, ``marks`` among the names of the labels; one of
    them is enough, and what the ``job`` says goes before the others.  ``subject`` are its own labels that name the
    failed thing; where one of them is there, ``beside`` are the messenger's.
    """

    name: str
    instance: Instance
    program: str = ""
    job: str = ""
    alert: str = ""
    ports: frozenset[int] = frozenset()
    marks: frozenset[str] = frozenset()
    subject: tuple[str, ...] = ()
    beside: tuple[str, ...] = ()

    def is_job(self, job: str) -> bool:
        """Tell whether the name of a scrape job is this sender's."""
        whole = bool(self.job) and re.fullmatch(self.job, job) is not None
        return whole or (bool(self.program) and _contains_program(self.program, job))

    def speaks(self, seen: SenderTraits) -> bool:
        """Tell whether anything but the job says that this sender speaks for others."""
        if self.alert and re.match(self.alert, seen.alertname):
            return True
        if self.instance is Instance.own:
            return False
        if seen.port in self.ports or not self.marks.isdisjoint(seen.marks):
            return True
        return bool(self.program) and any(_contains_program(self.program, value) for value in seen.programs)


@dataclass(frozen=True)
class SenderTraits:
    """What labels say of their sender: values in lower case, the port of ``instance``, names of marks."""

    job: str
    alertname: str
    port: int | None
    programs: tuple[str, ...]
    marks: frozenset[str]


def _contains_program(program: str, value: str) -> bool:
    return bool(value) and re.search(rf"(?:\A|[^a-z0-9])(?:{program})(?:\Z|[^a-z0-9])", value) is not None


def port_of(word: str) -> int | None:
    """Return the port at the end of a host and port; an address of a page has none of its own."""
    found = None if "/" in word[:_LONGEST] else re.search(r":(\d{1,5})\Z", word[:_LONGEST], re.ASCII)
    return int(found[1]) if found else None


# Target labels of a proxy: where it runs.
_OF_A_PROXY = ("host", "hostname", "node", "nodename", "kubernetes_node")

OWN = SenderKind("itself", Instance.own)

SENDERS = (
    # kubernetes/kubelet and cAdvisor: kubernetes-monitoring/kubernetes-mixin, alerts/kubelet.libsonnet: node and
    # instance are the node's own.
    SenderKind("kubelet", Instance.own, program="kubelet|cadvisor|kube-proxy", alert=r"Kubelet[A-Z]|KubeProxyDown\Z"),
    # node_exporter, DaemonSets included: its host is what it speaks of.  prometheus/node_exporter, docs/node-mixin.
    SenderKind("node_exporter", Instance.own, program="node[-_]?exporter"),
    # kubernetes/kube-state-metrics, docs/README.md: one for a cluster, and all that it says is about others.  Alerts by
    # kubernetes-mixin (alerts/apps_alerts.libsonnet, kube-state-metrics) and samber/awesome-prometheus-alerts
    # (kubestate-exporter.yml), whose expressions are on kube_* metrics.
    SenderKind(
        "kube-state-metrics",
        Instance.messenger,
        program="kube-state-metrics|ksm",
        alert=r"Kube(?:rnetes)?(?:Node|Pod|Deployment|Stateful|Daemon|Replica|Job|Cron|Container|Hpa|Pdb|Memory|Disk"
        r"|Network|Out|Persistent|Volume)",
    ),
    # prometheus/blackbox_exporter (README: __param_target to instance), prometheus/snmp_exporter,
    # prometheus-community/json_exporter, ribbybibby/ssl_exporter, czerwonk/ping_exporter (label target),
    # SuperQ/smokeping_prober (label host), redfish and iDRAC exporters; the Probe of prometheus-operator has the job
    # probe/NAMESPACE/NAME.
    SenderKind(
        "a prober",
        Instance.probed,
        program="blackbox|smokeping|(?:blackbox|snmp|ssl|json|ping|redfish|idrac|domain|dns)[-_]?(?:exporter|probe[rs]?)",
        job=r"probe/.*|.*(?:\A|[-_/])(?:probe[rs]?|snmp|ssl|json|icmp|ping|redfish|idrac|domain|dns|http_2xx)(?:[-_/].*)?",
        alert=r"(?:Blackbox|Probe|Ssl|SSL|Snmp|SNMP|Smokeping)[A-Z]|.*Probe(?:Failed|Slow)",
        ports=frozenset({9115, 9116, 7979, 9219, 9374, 9427}),
        subject=("target", "probe_target", "param_target"),
    ),
    # prometheus/prometheus, documentation of federation: without honor_labels the scraped server is in instance and the
    # metric's own target in exported_instance.
    SenderKind("a federating Prometheus", Instance.messenger, program="federat[a-z]*"),
    # prometheus/pushgateway, README, on the job and instance labels: without honor_labels instance is the gateway's.
    SenderKind("Pushgateway", Instance.messenger, program="push-?gateway", ports=frozenset({9091})),
    # open-telemetry/opentelemetry-collector-contrib, exporter/prometheusexporter: scraped at the collector;
    # resource attributes become labels (host_name, or host.name where names are not translated).
    SenderKind(
        "an OpenTelemetry collector",
        Instance.messenger,
        program="otel|otelcol|otelcollector|opentelemetry",
        marks=frozenset({"otel_scope_name", "otel_scope_version"}),
    ),
    # influxdata/telegraf: the tag host is where Telegraf runs; inputs/http_response has the probed address in server,
    # inputs/ping in url; outputs/prometheus_client listens on 9273.
    SenderKind(
        "Telegraf",
        Instance.messenger,
        program="telegraf",
        ports=frozenset({9273}),
        subject=("server", "url"),
        beside=("host", "hostname", "node", "nodename"),
    ),
    # haproxy/haproxy, addons/promex (labels proxy and server) and prometheus/haproxy_exporter (backend and server):
    # that a server is down is told by the balancer, from where the balancer runs.
    SenderKind(
        "HAProxy",
        Instance.messenger,
        program="haproxy",
        alert=r"H[Aa][Pp]roxy",
        ports=frozenset({8404, 9101}),
        subject=("server",),
        beside=_OF_A_PROXY,
    ),
    # nginx/nginx-prometheus-exporter (labels upstream and server) and vozlt/nginx-module-vts (upstream and backend).
    SenderKind(
        "nginx",
        Instance.messenger,
        marks=frozenset({"upstream"}),
        subject=("server", "backend"),
        beside=_OF_A_PROXY,
    ),
    # traefik/traefik, traefik_service_server_up{service, url}.
    SenderKind("Traefik", Instance.messenger, program="traefik", subject=("url",), beside=_OF_A_PROXY),
    # envoyproxy/envoy, envoy_cluster_*: what it sees of its upstreams, by cluster and not by host.
    SenderKind("Envoy", Instance.messenger, marks=frozenset({"envoy_cluster_name"})),
    # BerriAI/litellm, docs prometheus: litellm_deployment_state{api_base, ...} is about the server behind the proxy.
    SenderKind(
        "LiteLLM",
        Instance.messenger,
        program="litellm",
        alert=r"(?i:litellm)",
        subject=("api_base",),
        beside=_OF_A_PROXY,
    ),
    # Relays and readers of somebody's API: statsd_exporter, graphite_exporter, collectd_exporter, influxdb_exporter;
    # cloudwatch, stackdriver and azure exporters; prometheus-slurm-exporter and consul_exporter (label node);
    # prometheus-pve-exporter, vmware_exporter, openstack-exporter.
    SenderKind(
        "a relay",
        Instance.messenger,
        program="(?:statsd|graphite|collectd|influxdb|cloudwatch|stackdriver|azure|slurm|consul|pve|vmware|openstack"
        "|ufm)[-_]?(?:exporter|metrics)",
        job="statsd|graphite|collectd|influxdb|cloudwatch|stackdriver|azure|slurm|slurmctld|consul|pve|vmware|openstack",
    ),
)


_MARKS = frozenset().union(*(sender.marks for sender in SENDERS))


def sender_of(labels: Mapping[str, str]) -> SenderKind:
    """Return the first sender of the table that labels look like, or the one that speaks for itself."""
    return _sender(
        SenderTraits(
            job=labels.get(_JOB, "")[:_LONGEST].lower(),
            alertname=labels.get("alertname", "")[:_LONGEST],
            port=port_of(labels.get("instance", "")),
            programs=tuple(labels[name][:_LONGEST].lower() for name in _PROGRAM if labels.get(name)),
            marks=frozenset(name for name in _MARKS if labels.get(name)),
        )
    )


@lru_cache(maxsize=4096)
def _sender(seen: SenderTraits) -> SenderKind:
    """A storm has few senders, and is judged alert by alert."""
    by_job = next((sender for sender in SENDERS if sender.is_job(seen.job)), None)
    return by_job or next((sender for sender in SENDERS if sender.speaks(seen)), OWN)
