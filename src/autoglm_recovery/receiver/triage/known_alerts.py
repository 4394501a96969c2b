# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Alerts that people already have, and what class each is.

Only names and labels that a public source defines, and only where the class is beyond doubt; everything else stays
unknown, which calls a person.  Left out on purpose, because they may mean several things:
- up == 0 in general (InstanceDown, TargetDown): an exporter that is down is no host that is down;
- NvidiaGpuExporterCollectionFailing and ...Stale (nvidia_gpu_exporter's chart): "check that the node has a GPU, the
  driver works and the pod runs with the NVIDIA runtime";
- latencies of an LLM server, whose threshold is somebody's own;
- DCGM_FI_DEV_XID_ERRORS > 0 without its code, GPU temperatures of any threshold, CPU use, full disks.

A rule on an Xid metric passes the code on as a label; the class is then the catalogue's, or the policy's own word.
"""

from __future__ import annotations

from functools import lru_cache

from autoglm_recovery.knowledge.faults.catalogue.numbers import KNOWN_XIDS, CatalogueEntry, lookup_xid
from autoglm_recovery.policy.faults import Faults
from autoglm_recovery.policy.model import Classification

# Labels that carry an Xid, and what else has to be there so that nobody else's label of that name is meant.
XID_LABELS = (
    # dcgm-exporter, DCGM_EXP_XID_ERRORS_COUNT{gpu, UUID, ..., xid}: internal/pkg/collector
    # nvidia_gpu_exporter, nvidia_smi_xid_errors_total{uuid, xid} and ..._last_timestamp_seconds: docs/METRICS.md
    ("xid", "", "event"),
    # dcgm-exporter, DCGM_FI_DEV_XID_ERRORS{gpu, UUID, ..., err_code, err_msg}: internal/pkg/collector
    # ... and keeps the last Xid until it restarts
    ("err_code", 'err_msg!="",UUID!=""', "sticky"),
)

# alertname -> class and nature.  A state's expression is true while the fault lasts; an event's looks back over a
# window (HostOomKillDetected: increase(node_vmstat_oom_kill[1m]); KubernetesPodCrashLooping:
# increase(...restarts_total[1m]); KubernetesContainerOomKiller: restarts against those of 10 minutes ago); what is
# sticky stands until a driver or an exporter restarts.
NAMED = {
    # kubernetes-monitoring/kubernetes-mixin, alerts/apps_alerts.libsonnet and kube_app; in kube-prometheus
    "KubePodCrashLooping": ("crash", "state"),
    "KubePodNotReady": ("not_ready", "state"),
    # kubernetes-mixin, alerts/kubelet.libsonnet
    "KubeNodeNotReady": ("node_down", "state"),
    "KubeNodeUnreachable": ("node_down", "state"),
    # prometheus/node_exporter, docs/node-mixin/alerts/alerts.libsonnet
    "NodeMemoryHighUtilization": ("overload", "state"),
    "NodeSystemSaturation": ("overload", "state"),
    # samber/awesome-prometheus-alerts, dist/rules/host-and-hardware/node-exporter.yml
    "HostOomKillDetected": ("oom", "event"),
    "HostOutOfMemory": ("overload", "state"),
    # samber/awesome-prometheus-alerts, dist/rules/kubernetes/kubestate-exporter.yml
    "KubernetesContainerOomKiller": ("oom", "event"),
    "KubernetesPodCrashLooping": ("crash", "event"),
    "KubernetesNodeReady": ("node_down", "state"),  # so called of old, for a node that is not
    "KubernetesNodeNotReady": ("node_down", "state"),
    # Amazon SageMaker HyperPod, observability add-on, pre-configured alerts: DCGM_FI_DEV_ECC_DBE_VOL_TOTAL > 0
    "GPUMemoryErrorDetected": ("gpu_fault", "sticky"),
}


# alertname as a pattern -> class and nature.  vLLM publishes metrics and dashboards but no rules; these are the forms
# in which many public rule files, independent of one another, name the same three conditions.
PATTERNED = {
    # up{job="vllm"} == 0: VLLMDown, VLLMServiceDown, vLLMServiceDown, VLLMMetricsDown
    "(?i:vllm(service|server|metrics)?down)": ("unresponsive", "state"),
    # vllm:num_requests_waiting above a number: VLLMHighQueueWait, VLLMQueueBacklog, VllmRequestsWaitingHigh
    "(?i:vllm.*(queue|waiting).*)": ("overload", "state"),
    # vllm:kv_cache_usage_perc near 1: VllmKvCacheNearFull, VLLMKVCacheHigh
    "(?i:vllm.*kv_?cache.*)": ("overload", "state"),
}


def known_alerts(faults: Faults | None = None) -> tuple[Classification, ...]:
    """Return the entries, first match first, in the form of ``classify`` in a policy."""
    own = (faults or Faults()).overrides()
    return _entries(
        tuple(sorted((code, word.get("failure_class"), word.get("action")) for code, word in own["xid"].items()))
    )


@lru_cache(maxsize=8)
def _entries(own: tuple[tuple[int, str | None, str | None], ...]) -> tuple[Classification, ...]:
    overrides = {"xid": {code: {"failure_class": name, "action": action} for code, name, action in own}}
    codes: dict[str, list[int]] = {}
    for code in sorted(KNOWN_XIDS.union(code for code, _name, _action in own)):
        entry = lookup_xid(code, overrides)
        if _number_names_class(entry) and entry.failure_class is not None:
            codes.setdefault(entry.failure_class, []).append(code)
    by_code = [
        Classification(
            match=",".join(filter(None, (f'{label}=~"{"|".join(map(str, numbers))}"', besides))),
            failure_class=failure_class,
            nature=nature,
        )
        for label, besides, nature in XID_LABELS
        for failure_class, numbers in codes.items()
    ]
    by_name = [_entry(f'alertname="{name}"', *what) for name, what in NAMED.items()]
    by_pattern = [_entry(f'alertname=~"{form}"', *what) for form, what in PATTERNED.items()]
    return (*by_code, *by_name, *by_pattern)


def _entry(match: str, failure_class: str, nature: str) -> Classification:
    return Classification(match=match, failure_class=failure_class, nature=nature)


def _number_names_class(entry: CatalogueEntry) -> bool:
    """Whether the number alone names a class: not if it is only observed, and not if the line's words decide."""
    undecided = entry.rule in ("nvlink5", "follow_driver") and not entry.overridden
    return entry.needs_action and entry.failure_class != "unknown" and not undecided
