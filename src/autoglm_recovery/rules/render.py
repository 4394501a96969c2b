# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Renders the alert rules and the configuration of Prometheus and Alertmanager from a policy.

The rules are a template, because they are made to be read; their comments reach the operator. The
configurations are data structures, because they carry addresses and paths that must be quoted right.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import jinja2
import yaml

from autoglm_recovery.exporter.alerts import IDENTITY, KERNEL_ALERTS
from autoglm_recovery.policy import Policy
from autoglm_recovery.policy.durations import format_duration
from autoglm_recovery.policy.matchers import Matcher, parse_matchers
from autoglm_recovery.rules.engine_metrics import ALL, CACHE, NEEDED, PACE_SECONDS, PACE_TOKENS, REQUESTS, WORK, pattern
from autoglm_recovery.rules.targets import HAPROXY_JOB, PROXY, REPLICA_HOST, REPLICA_SERVICE, SERVER

NODE_JOB, INFERENCE_JOB, EXPORTER_JOB, RECEIVER_JOB = "node", "inference", "autoglm", "receiver"
# The same targets as of INFERENCE_JOB, asked with more patience.
SLOW_JOB = "inference_slow"
SLOW_PREFIX = "autoglm_slow:"
RECEIVER = "autoglm"
WATCHDOG = "Watchdog"

# A kill comes before the failure that it explains by as long as systemd lets the rest of the unit stop,
# which is 90 s unless the unit says otherwise.
OOM_EXPLAINS = timedelta(minutes=2)
CRASH_LOOP_WINDOW = timedelta(minutes=5)
CRASH_LOOP_RESTARTS = 3
# A unit that is `inactive` for this long was stopped on purpose; a restart passes through that state too.
STOPPED_ON_PURPOSE = timedelta(seconds=30)
STARTUP_GRACE = timedelta(minutes=10)
# Shorter scrapes of a busy host fail although it is well (measured; 200 ms gave false alerts).
SHORTEST_SCRAPE_TIMEOUT = timedelta(milliseconds=450)
REPEAT_INTERVAL = timedelta(minutes=5)
RECEIVER_DOWN = timedelta(seconds=30)
# How often Alertmanager says again that the Watchdog fires.
WATCHDOG_REPEAT = timedelta(minutes=1)
# Longer than the longest look at a driver that hangs; a new look may just have begun.
GPU_UNREADABLE = timedelta(seconds=30)
# Clocks dip for a moment when a kernel begins; what lasts is a fan, a rack or a supply.
GPU_SUSTAINED = timedelta(minutes=1)
GPU_SETTLES = timedelta(seconds=10)
LINK_ERROR_WINDOW = timedelta(minutes=5)
LINK_ERRORS_TOLERATED = 10
# A saturated engine may take seconds for its page, which a heartbeat does not wait for.
SLOW_SCRAPE = timedelta(seconds=10)
# With one evaluation more a stalled engine is found within 15 s at an interval of 2 s.
STALLED = timedelta(seconds=10)
# An engine that counts nothing while it reads a batch of a prompt has the time of four batches at its own pace so far,
# because a late batch of a long prompt takes longer than an early one; half a minute before its first prompt was read.
# A range has one length, so there are three of them.
BATCH_TOKENS = 2048
BATCHES_ALLOWED = 4
UNKNOWN_PACE = timedelta(seconds=30)
STALLED_AT_LENGTH = timedelta(minutes=1)
STALLED_AT_GREAT_LENGTH = timedelta(minutes=5)
PACE_REMEMBERED = timedelta(minutes=10)
# Scrapes of one host come one after the other: so long a service must be silent for it to be silent alone.
SILENT_ALONE = timedelta(seconds=10)
# A reload, or service discovery that blinks, is not worth a person's night.
VANISHED = timedelta(minutes=1)
# A person who takes a server out has something to do there; who is out after this was forgotten.
LEFT_DRAINED = timedelta(minutes=15)
# A run that was at work there has given the host back: nobody else will bring the server back by himself.
LEFT_OUT = timedelta(minutes=2)
FORGET = timedelta(days=1)
# A person who drains has a quarter of an hour.
HAPROXY_SCRAPE = timedelta(seconds=30)

_KINDS = {"requests": REQUESTS, "work": WORK, "cache": CACHE, "needed": NEEDED}
_WRITTEN_BY = "# Written by `autoglm rules` from the policy; change the policy, not this file.\n"


def render_rules(policy: Policy) -> str:
    """Return the Prometheus rules file: recording rules, and an alert per failure class that they can see."""
    interval = policy.monitoring.interval
    heartbeat = policy.monitoring.heartbeat

    def at_least(window: timedelta) -> str:
        """Widen a window until it holds several samples; a range with one or two says nothing."""
        return format_duration(max(window, 5 * interval))

    def at_least_seconds(window: timedelta) -> int:
        return int(max(window, 5 * interval).total_seconds())

    def runbook(failure_class: str) -> str:
        return _runbook(policy, failure_class)

    silence = heartbeat.retries * heartbeat.interval

    services = _TEMPLATES.get_template("autoglm.rules.yml.j2").render(
        interval=format_duration(interval),
        oom=at_least(OOM_EXPLAINS),
        oom_seconds=at_least_seconds(OOM_EXPLAINS),
        loop=at_least(CRASH_LOOP_WINDOW),
        loop_restarts=CRASH_LOOP_RESTARTS,
        stopped=at_least(STOPPED_ON_PURPOSE),
        grace=format_duration(STARTUP_GRACE),
        grace_seconds=int(STARTUP_GRACE.total_seconds()),
        silence=format_duration(silence),
        retries=heartbeat.retries,
        work=pattern(WORK),
        grew=format_duration(max(silence, 3 * interval)),
        patience=format_duration(2 * max(SLOW_SCRAPE, interval)),
        slow_seconds=_heartbeat_timeout(policy).total_seconds() / 2,
        drained=format_duration(max(LEFT_DRAINED, 5 * interval)),
        left_out=at_least(LEFT_OUT),
        runbook=runbook,
    )
    # Three looks of the patient job, and the time that the last one may take.
    slow_stalled = 3 * max(SLOW_SCRAPE, interval) + 5 * interval
    slow = {f"slow_{kind}": pattern(_slow(names)) for kind, names in _KINDS.items()}
    progress = _TEMPLATES.get_template("progress.rules.yml.j2").render(
        interval=format_duration(interval),
        **{kind: pattern(names) for kind, names in _KINDS.items()},
        **slow,
        stalled=at_least(STALLED),
        stretches=[
            # Of many looks a few may miss.
            (prefix, format_duration(window), window * share // interval, int(window.total_seconds()))
            for prefix, first in (("", max(STALLED, 5 * interval)), ("slow_", slow_stalled))
            for window, share in (
                (first, 1.0),
                (max(STALLED_AT_LENGTH, first), 0.8),
                (max(STALLED_AT_GREAT_LENGTH, first), 0.8),
            )
        ],
        longest=int(max(STALLED_AT_GREAT_LENGTH, slow_stalled).total_seconds()),
        pace_seconds=pattern((*PACE_SECONDS, *_slow(PACE_SECONDS))),
        pace_tokens=pattern((*PACE_TOKENS, *_slow(PACE_TOKENS))),
        pace_remembered=at_least(PACE_REMEMBERED),
        unknown_pace=int(UNKNOWN_PACE.total_seconds()),
        tokens_allowed=BATCHES_ALLOWED * BATCH_TOKENS,
        runbook=runbook,
    )
    presence = _TEMPLATES.get_template("presence.rules.yml.j2").render(
        interval=format_duration(interval),
        silence=format_duration(silence),
        retries=heartbeat.retries,
        alone=at_least(SILENT_ALONE),
        vanished=at_least(VANISHED),
        forget=format_duration(FORGET),
        forget_seconds=int(FORGET.total_seconds()),
        runbook=runbook,
    )
    gpus = _TEMPLATES.get_template("gpu.rules.yml.j2").render(
        interval=format_duration(interval),
        identity=", ".join(IDENTITY),
        kernel_alerts=KERNEL_ALERTS,
        at_least=at_least,
        at_least_seconds=at_least_seconds,
        unreadable=at_least(GPU_UNREADABLE),
        unreadable_seconds=at_least_seconds(GPU_UNREADABLE),
        sustained=format_duration(GPU_SUSTAINED),
        settle=format_duration(GPU_SETTLES),
        stale=at_least(GPU_SUSTAINED),
        errors=at_least(LINK_ERROR_WINDOW),
        errors_most=LINK_ERRORS_TOLERATED,
        runbook=runbook,
    )
    return services + progress + presence + gpus


def render_receiver_rules(policy: Policy) -> str:
    """Return the rules file about the receiver itself, for people."""
    interval, watchdog = policy.monitoring.interval, policy.monitoring.receiver.watchdog
    return _TEMPLATES.get_template("receiver.rules.yml.j2").render(
        interval=format_duration(interval),
        down=format_duration(max(RECEIVER_DOWN, 5 * interval)),
        watchdog_seconds=int(watchdog.total_seconds()) if watchdog else None,
    )


def render_prometheus(
    policy: Policy,
    *,
    alertmanager: str,
    targets_dir: str,
    rules_files: Sequence[str],
    webhook_url: str = "",
    ca_file: str | None = None,
) -> str:
    """Return a whole prometheus.yml that scrapes the targets of ``targets_dir`` and evaluates ``rules_files``.

    The receiver is scraped as ``webhook_url`` says: over TLS or not.  ``ca_file`` holds the authorities of its
    certificate; without it, those of the system count.
    """
    interval = format_duration(policy.monitoring.interval)
    return _dump(
        {
            "global": {"scrape_interval": interval, "scrape_timeout": interval, "evaluation_interval": interval},
            "alerting": {"alertmanagers": [{"static_configs": [{"targets": [alertmanager]}]}]},
            "rule_files": list(rules_files),
            "scrape_configs": _jobs(policy, targets_dir, webhook_url, ca_file),
        }
    )


def render_prometheus_fragment(
    policy: Policy, *, targets_dir: str, rules_files: Sequence[str], webhook_url: str = "", ca_file: str | None = None
) -> str:
    """Return what an existing prometheus.yml needs: rules, and jobs with the policy's interval."""
    interval = format_duration(policy.monitoring.interval)
    jobs = [{"scrape_interval": interval, **job} for job in _jobs(policy, targets_dir, webhook_url, ca_file)]
    return _dump(
        {"rule_files": list(rules_files), "scrape_configs": jobs},
        "# To be merged into prometheus.yml: these rules and jobs to those that are there.\n",
    )


def _jobs(policy: Policy, targets_dir: str, webhook_url: str, ca_file: str | None) -> list[dict[str, Any]]:
    interval = policy.monitoring.interval
    timeouts = {
        NODE_JOB: interval,
        INFERENCE_JOB: _heartbeat_timeout(policy),
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
    ] + [_slow_job(policy, targets_dir), _haproxy_job(policy, targets_dir)]


def _tls(ca_file: str | None) -> dict[str, Any]:
    return {"tls_config": {"ca_file": ca_file}} if ca_file else {}


def _heartbeat_timeout(policy: Policy) -> timedelta:
    return min(max(policy.monitoring.heartbeat.timeout, SHORTEST_SCRAPE_TIMEOUT), policy.monitoring.interval)


def _slow_job(policy: Policy, targets_dir: str) -> dict[str, Any]:
    """Scrape the engines once more, with patience: a time-out may not be longer than the interval between scrapes."""
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
    """Scrape each HAProxy once for each replica behind it, and keep what it says of that one, as said of that one.

    A server's name is the balancer's own; whose it is says the inventory, in the labels of the target.
    """
    every = format_duration(max(HAPROXY_SCRAPE, policy.monitoring.interval))
    return {
        "job_name": HAPROXY_JOB,
        "scrape_interval": every,
        "scrape_timeout": format_duration(max(SLOW_SCRAPE, policy.monitoring.interval)),
        # Nothing of frontends, backends and the process.
        "params": {"scope": ["server"]},
        "file_sd_configs": [{"files": [f"{targets_dir.rstrip('/')}/{HAPROXY_JOB}.yml"], "refresh_interval": "30s"}],
        "metric_relabel_configs": [
            {"source_labels": ["__name__"], "regex": "haproxy_server_status", "action": "keep"},
            {"source_labels": ["proxy"], "target_label": PROXY, "action": "keepequal"},
            {"source_labels": ["server"], "target_label": SERVER, "action": "keepequal"},
            {"source_labels": [REPLICA_HOST], "target_label": "host"},
            {"source_labels": [REPLICA_SERVICE], "target_label": "service"},
            {"regex": "replica_.+", "action": "labeldrop"},
        ],
    }


def _slow(names: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(f"{SLOW_PREFIX}{name}" for name in names)


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
        "# to the others. `continue` lets every alert reach the people whom it reached before.\n",
    )


def _routes(policy: Policy) -> list[dict[str, Any]]:
    """Build a route for alerts with a class of ours, and one for each kind of alert that the policy classifies."""
    own = (Matcher("failure_class", "=~", ".+"),)
    silent_for = policy.monitoring.receiver.watchdog or 5 * WATCHDOG_REPEAT
    # Several within the time after which it counts as silent; Alertmanager knows no fractions of a second here.
    repeat = max(min(WATCHDOG_REPEAT, silent_for // 5), timedelta(seconds=1))
    watchdog = {
        "receiver": RECEIVER,
        "matchers": [_quote(Matcher("alertname", "=", WATCHDOG))],
        "group_wait": "0s",
        "repeat_interval": format_duration(repeat),
        # Alertmanager looks whether to repeat only when the group's interval has passed.
        "group_interval": format_duration(repeat),
    }
    foreign = [parse_matchers(entry.match) for entry in policy.classify]
    return [watchdog] + [
        {
            "receiver": RECEIVER,
            "matchers": [_quote(matcher) for matcher in matchers],
            # One incident is about one host, so its alerts travel together.
            "group_by": ["host"],
            # Waiting for company delays the repair; the receiver joins alerts by itself.
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
        # With a limit, the payload's status is that of the alerts that fit, and the others are lost.
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


def _runbook(policy: Policy, failure_class: str) -> str:
    steps = [*policy.ladder(failure_class), "a person is called"]
    return f"autoglm.recovery acts by the policy, one step after the other until one helps - {', '.join(steps)}."


def _dump(document: dict[str, Any], head: str = _WRITTEN_BY) -> str:
    return head + yaml.safe_dump(document, sort_keys=False, width=120)


# autoescape is for HTML; nothing of this reaches a browser.
_TEMPLATES = jinja2.Environment(
    loader=jinja2.PackageLoader("autoglm_recovery.rules", ""),
    variable_start_string="<<",
    variable_end_string=">>",
    block_start_string="<%",
    block_end_string="%>",
    comment_start_string="<#",
    comment_end_string="#>",
    undefined=jinja2.StrictUndefined,
    keep_trailing_newline=True,
    autoescape=False,  # noqa: S701
)
