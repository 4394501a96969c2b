# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Renders the configuration of Prometheus and of Alertmanager from a policy.

Both are built as data structures and not by templates, because addresses and paths in them must be quoted correctly.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import yaml

from autoglm_recovery.durations import format_duration
from autoglm_recovery.policy import Policy
from autoglm_recovery.policy.matchers import Matcher, parse_matchers
from autoglm_recovery.rules.engine_metrics import ALL, SLOW_PREFIX, pattern
from autoglm_recovery.rules.targets import HAPROXY_JOB, PROBE_JOB, PROXY, REPLICA_HOST, REPLICA_SERVICE, SERVER

NODE_JOB, INFERENCE_JOB, EXPORTER_JOB, RECEIVER_JOB = "node", "inference", "autoglm", "receiver"
# The targets of INFERENCE_JOB again, with a longer time-out.
SLOW_JOB = "inference_slow"
RECEIVER = "autoglm"
WATCHDOG = "Watchdog"

# A shorter time-out fails on a busy but healthy host (measured; 200 ms gave false alerts).
SHORTEST_SCRAPE_TIMEOUT = timedelta(milliseconds=450)
# A saturated engine may take seconds for its page, longer than a heartbeat waits.
SLOW_SCRAPE = timedelta(seconds=10)
# A person who drains a server has a quarter of an hour before an alert.
HAPROXY_SCRAPE = timedelta(seconds=30)
# It shows people what a user of the service sees, and the rules what a service says of itself.
PROBE = timedelta(seconds=15)
REPEAT_INTERVAL = timedelta(minutes=5)
# How often Alertmanager says again that the Watchdog fires.
WATCHDOG_REPEAT = timedelta(minutes=1)

_WRITTEN_BY = "# Written by `autoglm rules` from the policy; change the policy, not this file.\n"


def render_prometheus(
    policy: Policy,
    *,
    alertmanager: str,
    targets_dir: str,
    rules_files: Sequence[str],
    webhook_url: str = "",
    ca_file: str | None = None,
    prober: str | None = None,
) -> str:
    """Return a whole prometheus.yml that scrapes the targets of ``targets_dir`` and evaluates ``rules_files``.

    The receiver is scraped as ``webhook_url`` says: over TLS or not.  ``ca_file`` holds the authorities of its
    certificate; without it, those of the system count.  ``prober`` is HOST:PORT of a blackbox_exporter that asks each
    service whether it lives; without it, nobody does.
    """
    interval = format_duration(policy.monitoring.interval)
    return _dump(
        {
            "global": {"scrape_interval": interval, "scrape_timeout": interval, "evaluation_interval": interval},
            "alerting": {"alertmanagers": [{"static_configs": [{"targets": [alertmanager]}]}]},
            "rule_files": list(rules_files),
            "scrape_configs": _jobs(policy, targets_dir, webhook_url, ca_file, prober),
        }
    )


def render_prometheus_fragment(
    policy: Policy,
    *,
    targets_dir: str,
    rules_files: Sequence[str],
    webhook_url: str = "",
    ca_file: str | None = None,
    prober: str | None = None,
) -> str:
    """Return what an existing prometheus.yml needs: rules, and jobs with the policy's interval."""
    interval = format_duration(policy.monitoring.interval)
    jobs = [{"scrape_interval": interval, **job} for job in _jobs(policy, targets_dir, webhook_url, ca_file, prober)]
    return _dump(
        {"rule_files": list(rules_files), "scrape_configs": jobs},
        "# To be merged into prometheus.yml: these rules and jobs to those that are there.\n",
    )


def _jobs(
    policy: Policy, targets_dir: str, webhook_url: str, ca_file: str | None, prober: str | None
) -> list[dict[str, Any]]:
    interval = policy.monitoring.interval
    timeouts = {
        NODE_JOB: interval,
        INFERENCE_JOB: heartbeat_timeout(policy),
        EXPORTER_JOB: interval,
        RECEIVER_JOB: interval,
    }
    over_tls = {"scheme": "https", **_tls(ca_file)} if webhook_url.startswith("https://") else {}
    return [
        {
            "job_name": job,
            "scrape_timeout": format_duration(timeout),
            "file_sd_configs": [{"files": [f"{targets_dir.rstrip('/')}/{job}.yml"], "refresh_interval": "30s"}],
            **(over_tls if job == RECEIVER_JOB else {}),
        }
        for job, timeout in timeouts.items()
    ] + [
        _slow_job(policy, targets_dir),
        _haproxy_job(policy, targets_dir),
        *([_probe_job(policy, targets_dir, prober)] if prober else []),
    ]


def _tls(ca_file: str | None) -> dict[str, Any]:
    return {"tls_config": {"ca_file": ca_file}} if ca_file else {}


def heartbeat_timeout(policy: Policy) -> timedelta:
    """Return the time-out of a heartbeat."""
    return min(max(policy.monitoring.heartbeat.timeout, SHORTEST_SCRAPE_TIMEOUT), policy.monitoring.interval)


def _slow_job(policy: Policy, targets_dir: str) -> dict[str, Any]:
    """Scrape the engines again with a longer time-out, which needs a longer interval between scrapes too."""
    patience = format_duration(max(SLOW_SCRAPE, policy.monitoring.interval))
    name = ["__name__"]
    return {
        "job_name": SLOW_JOB,
        "scrape_interval": patience,
        "scrape_timeout": patience,
        "file_sd_configs": [{"files": [f"{targets_dir.rstrip('/')}/{INFERENCE_JOB}.yml"], "refresh_interval": "30s"}],
        "metric_relabel_configs": [
            {"source_labels": name, "regex": pattern(ALL), "action": "keep"},
            {"source_labels": name, "target_label": "__name__", "replacement": f"{SLOW_PREFIX}$1"},
        ],
    }


def _haproxy_job(policy: Policy, targets_dir: str) -> dict[str, Any]:
    """Scrape each HAProxy once for each replica behind it, and keep only that replica's samples, under its labels.

    The inventory maps the balancer's name of a server to a replica, in the labels of the target.
    """
    every = format_duration(max(HAPROXY_SCRAPE, policy.monitoring.interval))
    return {
        "job_name": HAPROXY_JOB,
        "scrape_interval": every,
        "scrape_timeout": format_duration(max(SLOW_SCRAPE, policy.monitoring.interval)),
        # Drop the samples of frontends, backends and the process.
        "params": {"scope": ["server"]},
        "file_sd_configs": [{"files": [f"{targets_dir.rstrip('/')}/{HAPROXY_JOB}.yml"], "refresh_interval": "30s"}],
        "metric_relabel_configs": [
            {"source_labels": ["__name__"], "regex": "haproxy_server_status", "action": "keep"},
            {"source_labels": ["proxy"], "target_label": PROXY, "action": "keepequal"},
            {"source_labels": ["server"], "target_label": SERVER, "action": "keepequal"},
            *_of_the_replica(),
        ],
    }


def _of_the_replica() -> list[dict[str, Any]]:
    """Give samples the labels of a replica. ``up`` of the target stays without: it tells of the page that was read."""
    return [
        {"source_labels": [REPLICA_HOST], "target_label": "host"},
        {"source_labels": [REPLICA_SERVICE], "target_label": "service"},
        {"regex": "replica_.+", "action": "labeldrop"},
    ]


def _probe_job(policy: Policy, targets_dir: str, prober: str) -> dict[str, Any]:
    """Have a blackbox_exporter ask each service whether it lives, from where it stands."""
    every = format_duration(max(PROBE, policy.monitoring.interval))
    return {
        "job_name": PROBE_JOB,
        "metrics_path": "/probe",
        "params": {"module": ["http_2xx"]},
        "scrape_interval": every,
        "scrape_timeout": every,
        "file_sd_configs": [{"files": [f"{targets_dir.rstrip('/')}/{PROBE_JOB}.yml"], "refresh_interval": "30s"}],
        "relabel_configs": [
            {"source_labels": ["__address__"], "target_label": "__param_target"},
            {"source_labels": ["__address__"], "target_label": "target"},
            {"target_label": "__address__", "replacement": prober},
        ],
        "metric_relabel_configs": _of_the_replica(),
    }


def render_alertmanager(policy: Policy, *, webhook_url: str, token_file: str | None, ca_file: str | None = None) -> str:
    """Return a whole alertmanager.yml: our alerts to the receiver, everything else to nobody."""
    return _dump(
        {
            "route": {"receiver": "nobody", "routes": _routes(policy)},
            "receivers": [{"name": "nobody"}, _receiver(webhook_url, token_file, ca_file)],
        }
    )


def render_alertmanager_fragment(
    policy: Policy, *, webhook_url: str, token_file: str | None, ca_file: str | None = None
) -> str:
    """Return what an existing alertmanager.yml needs: routes that leave its own routing as it was, and a receiver."""
    return _dump(
        {
            "route": {"routes": [{**route, "continue": True} for route in _routes(policy)]},
            "receivers": [_receiver(webhook_url, token_file, ca_file)],
        },
        "# To be merged into alertmanager.yml: the routes before all others below `route.routes`, the receiver\n"
        "# to the others. `continue` lets every alert reach the routes of yours that it reached before. What none of\n"
        "# them takes went to your default receiver; for that to go on, repeat the matchers of the routes below,\n"
        "# without receiver and `continue`, as the last ones of `route.routes` (the role alertmanager_route does).\n",
    )


def _routes(policy: Policy) -> list[dict[str, Any]]:
    """Build a route for alerts with a class of ours, and one for each kind of alert that the policy classifies."""
    own = (Matcher("failure_class", "=~", ".+"),)
    silent_for = policy.monitoring.receiver.watchdog or 5 * WATCHDOG_REPEAT
    # Several repeats within the time after which it counts as silent, in whole seconds for Alertmanager.
    repeat = max(min(WATCHDOG_REPEAT, silent_for // 5), timedelta(seconds=1))
    watchdog = {
        "receiver": RECEIVER,
        "matchers": [_quote(Matcher("alertname", "=", WATCHDOG))],
        "group_wait": "0s",
        "repeat_interval": format_duration(repeat),
        # Alertmanager checks for repeats only after each group interval.
        "group_interval": format_duration(repeat),
    }
    foreign = [parse_matchers(entry.match) for entry in policy.classify]
    return [watchdog] + [
        {
            "receiver": RECEIVER,
            "matchers": [_quote(matcher) for matcher in matchers],
            # One incident is about one host, so its alerts travel together.
            "group_by": ["host"],
            # Waiting for more alerts of a group delays the repair; the receiver joins alerts by itself.
            "group_wait": "0s",
            "group_interval": format_duration(max(policy.monitoring.interval, timedelta(seconds=1))),
            "repeat_interval": format_duration(REPEAT_INTERVAL),
        }
        for matchers in [own, *foreign]
    ]


def _quote(matcher: Matcher) -> str:
    value = matcher.value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'{matcher.label}{matcher.operator}"{value}"'


def _receiver(webhook_url: str, token_file: str | None, ca_file: str | None) -> dict[str, Any]:
    webhook: dict[str, Any] = {
        "url": webhook_url,
        "send_resolved": True,
        # No limit: with one, Alertmanager would leave alerts out, and the status would not cover them.
        "max_alerts": 0,
    }
    http: dict[str, Any] = _tls(ca_file)
    if token_file:
        http["authorization"] = {"type": "Bearer", "credentials_file": token_file}
        # A redirect could carry the token elsewhere.
        http["follow_redirects"] = False
    if http:
        webhook["http_config"] = http
    return {"name": RECEIVER, "webhook_configs": [webhook]}


def _dump(document: dict[str, Any], head: str = _WRITTEN_BY) -> str:
    return head + yaml.safe_dump(document, sort_keys=False, width=120)
