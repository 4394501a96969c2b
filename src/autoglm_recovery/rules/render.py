# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Renders the alert rules from a policy.

They are templates, because operators read them, including the comments.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

import jinja2

from autoglm_recovery.durations import format_duration
from autoglm_recovery.exporter.alerts import IDENTITY, KERNEL_ALERTS
from autoglm_recovery.policy import Policy
from autoglm_recovery.policy.monitoring import METRICS
from autoglm_recovery.policy.thresholds import ratio
from autoglm_recovery.rules.configuration import PROBE, SLOW_SCRAPE, heartbeat_timeout
from autoglm_recovery.rules.engine_metrics import (
    CACHE,
    FAILED,
    LATENCIES,
    NEEDED,
    PACE_SECONDS,
    PACE_TOKENS,
    REQUESTS,
    WAITING,
    WORK,
    pattern,
    slow,
)
from autoglm_recovery.rules.targets import PROBE_JOB

# An OOM kill may precede the failure that it explains by the unit's stop time-out, 90 s by default.
OOM_EXPLAINS = timedelta(minutes=2)
CRASH_LOOP_WINDOW = timedelta(minutes=5)
CRASH_LOOP_RESTARTS = 3
# A unit that is `inactive` for this long was stopped on purpose; a restart is in that state only briefly.
STOPPED_ON_PURPOSE = timedelta(seconds=30)
STARTUP_GRACE = timedelta(minutes=10)
RECEIVER_DOWN = timedelta(seconds=30)
# Longer than the longest snapshot of a hung driver, plus the next one that may have begun.
GPU_UNREADABLE = timedelta(seconds=30)
# GPU clocks dip briefly when a kernel starts; a lasting slowdown has a cause such as a fan, a rack or a power supply.
GPU_SUSTAINED = timedelta(minutes=1)
GPU_SETTLES = timedelta(seconds=10)
LINK_ERROR_WINDOW = timedelta(minutes=5)
LINK_ERRORS_TOLERATED = 10
# With one more evaluation, a stalled engine is found within 15 s at an interval of 2 s.
STALLED = timedelta(seconds=10)
# An engine that counts nothing while it reads a batch of a prompt gets the time of four batches at its average pace,
# because late batches of a long prompt take longer than early ones; half a minute before its first prompt was read.
# A PromQL range has a fixed length, so there are three ranges.
BATCH_TOKENS = 2048
BATCHES_ALLOWED = 4
UNKNOWN_PACE = timedelta(seconds=30)
STALLED_AT_LENGTH = timedelta(minutes=1)
STALLED_AT_GREAT_LENGTH = timedelta(minutes=5)
PACE_REMEMBERED = timedelta(minutes=10)
# Scrapes of one host come one after the other: only after this time is one service silent and the others not.
SILENT_ALONE = timedelta(seconds=10)
# A reload or a gap in service discovery must not call a person at night.
VANISHED = timedelta(minutes=1)
# A person who takes a server out works on it; a server that is still out after this time was forgotten.
LEFT_DRAINED = timedelta(minutes=15)
# The run has released the host, so no run will bring the server back any more.
LEFT_OUT = timedelta(minutes=2)
# The receiver may be about to shed once more, or to climb: both take the host within this time.
LEFT_SHED = timedelta(minutes=15)
FORGET = timedelta(days=1)
# What thresholds are held against: a moment's peak of a CPU or a queue is none, and of few requests one is no share.
LOAD_OVER, QUEUE_OVER, LATENCY_OVER = timedelta(seconds=30), timedelta(minutes=1), timedelta(minutes=2)
FAILED_OVER = timedelta(minutes=2)
# For the documentation: a policy by which every rule is rendered that there is.
EVERYTHING = Policy.model_validate({"monitoring": {"metrics": METRICS}})

_KINDS = {"requests": REQUESTS, "work": WORK, "cache": CACHE, "needed": NEEDED}


@dataclass(frozen=True)
class _Windows:
    """Lengths of ranges by the policy's interval: a range with one or two samples proves nothing."""

    interval: timedelta

    def wide(self, window: timedelta) -> timedelta:
        """Widen a window until it holds several samples."""
        return max(window, 5 * self.interval)

    def at_least(self, window: timedelta) -> str:
        """Return a widened window as Prometheus reads it."""
        return format_duration(self.wide(window))

    def at_least_seconds(self, window: timedelta) -> int:
        """Return a widened window in seconds."""
        return int(self.wide(window).total_seconds())


def render_rules(policy: Policy) -> str:
    """Return the Prometheus rules file: recording rules, and an alert per failure class that they can see."""
    windows = _Windows(policy.monitoring.interval)
    return "".join(part(policy, windows) for part in (_services, _progress, _presence, _gpus, _loads))


def render_receiver_rules(policy: Policy) -> str:
    """Return the rules file about the receiver itself, for people."""
    interval, watchdog = policy.monitoring.interval, policy.monitoring.receiver.watchdog
    return _TEMPLATES.get_template("receiver.rules.yml.j2").render(
        interval=format_duration(interval),
        down=_Windows(interval).at_least(RECEIVER_DOWN),
        watchdog_seconds=int(watchdog.total_seconds()) if watchdog else None,
    )


def _rendered(policy: Policy, template: str, **given: object) -> str:
    """Render a template with what all of them need, and more."""

    def runbook(failure_class: str) -> str:
        return _runbook(policy, failure_class)

    interval = format_duration(policy.monitoring.interval)
    return _TEMPLATES.get_template(template).render(interval=interval, runbook=runbook, **given)


def _silence(policy: Policy) -> timedelta:
    """Return the time without an answer after which a service counts as silent."""
    return policy.monitoring.heartbeat.retries * policy.monitoring.heartbeat.interval


def _services(policy: Policy, windows: _Windows) -> str:
    interval, silence = policy.monitoring.interval, _silence(policy)
    return _rendered(
        policy,
        "autoglm.rules.yml.j2",
        oom=windows.at_least(OOM_EXPLAINS),
        oom_seconds=windows.at_least_seconds(OOM_EXPLAINS),
        loop=windows.at_least(CRASH_LOOP_WINDOW),
        loop_restarts=CRASH_LOOP_RESTARTS,
        stopped=windows.at_least(STOPPED_ON_PURPOSE),
        grace=format_duration(STARTUP_GRACE),
        grace_seconds=int(STARTUP_GRACE.total_seconds()),
        silence=format_duration(silence),
        retries=policy.monitoring.heartbeat.retries,
        work=pattern(WORK),
        grew=format_duration(max(silence, 3 * interval)),
        patience=format_duration(2 * max(SLOW_SCRAPE, interval)),
        slow_seconds=heartbeat_timeout(policy).total_seconds() / 2,
        drained=windows.at_least(LEFT_DRAINED),
        prober=PROBE_JOB,
        probed=format_duration(policy.monitoring.heartbeat.retries * max(PROBE, interval)),
        left_out=windows.at_least(LEFT_OUT),
    )


def _progress(policy: Policy, windows: _Windows) -> str:
    interval = policy.monitoring.interval
    # Three scrapes of the job with the longer time-out, and the time that the last one may take.
    slow_stalled = 3 * max(SLOW_SCRAPE, interval) + 5 * interval
    return _rendered(
        policy,
        "progress.rules.yml.j2",
        **{kind: pattern(names) for kind, names in _KINDS.items()},
        **{f"slow_{kind}": pattern(slow(names)) for kind, names in _KINDS.items()},
        stalled=windows.at_least(STALLED),
        stretches=[
            # A few of many scrapes may fail.
            (prefix, format_duration(window), window * share // interval, int(window.total_seconds()))
            for prefix, first in (("", windows.wide(STALLED)), ("slow_", slow_stalled))
            for window, share in (
                (first, 1.0),
                (max(STALLED_AT_LENGTH, first), 0.8),
                (max(STALLED_AT_GREAT_LENGTH, first), 0.8),
            )
        ],
        longest=int(max(STALLED_AT_GREAT_LENGTH, slow_stalled).total_seconds()),
        pace_seconds=pattern((*PACE_SECONDS, *slow(PACE_SECONDS))),
        pace_tokens=pattern((*PACE_TOKENS, *slow(PACE_TOKENS))),
        pace_remembered=windows.at_least(PACE_REMEMBERED),
        unknown_pace=int(UNKNOWN_PACE.total_seconds()),
        tokens_allowed=BATCHES_ALLOWED * BATCH_TOKENS,
    )


def _presence(policy: Policy, windows: _Windows) -> str:
    return _rendered(
        policy,
        "presence.rules.yml.j2",
        silence=format_duration(_silence(policy)),
        retries=policy.monitoring.heartbeat.retries,
        alone=windows.at_least(SILENT_ALONE),
        vanished=windows.at_least(VANISHED),
        forget=format_duration(FORGET),
        forget_seconds=int(FORGET.total_seconds()),
    )


def _gpus(policy: Policy, windows: _Windows) -> str:
    return _rendered(
        policy,
        "gpu.rules.yml.j2",
        identity=", ".join(IDENTITY),
        kernel_alerts=KERNEL_ALERTS,
        at_least=windows.at_least,
        at_least_seconds=windows.at_least_seconds,
        unreadable=windows.at_least(GPU_UNREADABLE),
        unreadable_seconds=windows.at_least_seconds(GPU_UNREADABLE),
        sustained=format_duration(GPU_SUSTAINED),
        settle=format_duration(GPU_SETTLES),
        stale=windows.at_least(GPU_SUSTAINED),
        errors=windows.at_least(LINK_ERROR_WINDOW),
        errors_most=LINK_ERRORS_TOLERATED,
        left_shed=windows.at_least(LEFT_SHED),
    )


def _loads(policy: Policy, windows: _Windows) -> str:
    """Return the group of what the policy wants to be watched beside health; nothing where that is nothing."""
    watched, limits = policy.monitoring.metrics, policy.monitoring.thresholds
    if not watched:
        return ""
    return _rendered(
        policy,
        "load.rules.yml.j2",
        watched=watched,
        limits=limits,
        duration=format_duration,
        ratio=ratio,
        load_over=windows.at_least(LOAD_OVER),
        queue_over=windows.at_least(QUEUE_OVER),
        latency_over=windows.at_least(LATENCY_OVER),
        failed_over=windows.at_least(FAILED_OVER),
        waiting=pattern(WAITING),
        buckets=pattern(LATENCIES[limits.latency.of]),
        failed=FAILED,
    )


def _runbook(policy: Policy, failure_class: str) -> str:
    steps = [*policy.ladder(failure_class), "a person is called"]
    return f"autoglm.recovery acts by the policy, one step after the other until one helps - {', '.join(steps)}."


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
