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

NODE_JOB, INFERENCE_JOB, EXPORTER_JOB, RECEIVER_JOB = "node", "inference", "autoglm", "receiver"
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

    services = _TEMPLATES.get_template("autoglm.rules.yml.j2").render(
        interval=format_duration(interval),
        oom=at_least(OOM_EXPLAINS),
        loop=at_least(CRASH_LOOP_WINDOW),
        loop_restarts=CRASH_LOOP_RESTARTS,
        stopped=at_least(STOPPED_ON_PURPOSE),
        grace=format_duration(STARTUP_GRACE),
        grace_seconds=int(STARTUP_GRACE.total_seconds()),
        silence=format_duration(heartbeat.retries * heartbeat.interval),
        retries=heartbeat.retries,
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
    return services + gpus


def render_receiver_rules(policy: Policy) -> str:
    """Return the rules file about the receiver itself, for people."""
    interval = policy.monitoring.interval
    return _TEMPLATES.get_template("receiver.rules.yml.j2").render(
        interval=format_duration(interval),
        down=format_duration(max(RECEIVER_DOWN, 5 * interval)),
        watchdog_seconds=int((WATCHDOG_REPEAT * 5).total_seconds()),
    )


def render_prometheus(policy: Policy, *, alertmanager: str, targets_dir: str, rules_files: Sequence[str]) -> str:
    """Return a whole prometheus.yml that scrapes the targets of C(targets_dir) and evaluates C(rules_files)."""
    interval = policy.monitoring.interval
    answer_within = max(policy.monitoring.heartbeat.timeout, SHORTEST_SCRAPE_TIMEOUT)
    timeouts = {
        NODE_JOB: interval,
        INFERENCE_JOB: min(answer_within, interval),
        EXPORTER_JOB: interval,
        RECEIVER_JOB: interval,
    }
    return _dump(
        {
            "global": {
                "scrape_interval": format_duration(interval),
                "scrape_timeout": format_duration(interval),
                "evaluation_interval": format_duration(interval),
            },
            "alerting": {"alertmanagers": [{"static_configs": [{"targets": [alertmanager]}]}]},
            "rule_files": list(rules_files),
            "scrape_configs": [
                {
                    "job_name": job,
                    "scrape_timeout": format_duration(timeout),
                    "file_sd_configs": [{"files": [f"{targets_dir.rstrip('/')}/{job}.yml"], "refresh_interval": "30s"}],
                }
                for job, timeout in timeouts.items()
            ],
        }
    )


def render_alertmanager(policy: Policy, *, webhook_url: str, token_file: str | None) -> str:
    """Return a whole alertmanager.yml: our alerts to the receiver, everything else to nobody."""
    return _dump(
        {
            "route": {"receiver": "nobody", "routes": _routes(policy)},
            "receivers": [{"name": "nobody"}, _receiver(webhook_url, token_file)],
        }
    )


def render_alertmanager_fragment(policy: Policy, *, webhook_url: str, token_file: str | None) -> str:
    """Return what an existing alertmanager.yml needs: routes that leave its own routing as it was, and a receiver."""
    return _dump(
        {
            "route": {"routes": [{**route, "continue": True} for route in _routes(policy)]},
            "receivers": [_receiver(webhook_url, token_file)],
        },
        "# To be merged into alertmanager.yml: the routes before all others below `route.routes`, the receiver\n"
        "# to the others. `continue` lets every alert reach the people whom it reached before.\n",
    )


def _routes(policy: Policy) -> list[dict[str, Any]]:
    """Build a route for alerts with a class of ours, and one for each kind of alert that the policy classifies."""
    own = (Matcher("failure_class", "=~", ".+"),)
    watchdog = {
        "receiver": RECEIVER,
        "matchers": [_quote(Matcher("alertname", "=", WATCHDOG))],
        "group_wait": "0s",
        "repeat_interval": format_duration(WATCHDOG_REPEAT),
        # Alertmanager looks whether to repeat only when the group's interval has passed.
        "group_interval": format_duration(WATCHDOG_REPEAT),
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


def _receiver(webhook_url: str, token_file: str | None) -> dict[str, Any]:
    webhook: dict[str, Any] = {
        "url": webhook_url,
        "send_resolved": True,
        # With a limit, the payload's status is that of the alerts that fit, and the others are lost.
        "max_alerts": 0,
    }
    if token_file:
        # A redirect could carry the token elsewhere.
        webhook["http_config"] = {
            "authorization": {"type": "Bearer", "credentials_file": token_file},
            "follow_redirects": False,
        }
    return {"name": RECEIVER, "webhook_configs": [webhook]}


def _runbook(policy: Policy, failure_class: str) -> str:
    steps = [*policy.recovery.strategy(failure_class).ladder(failure_class), "a person is called"]
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
