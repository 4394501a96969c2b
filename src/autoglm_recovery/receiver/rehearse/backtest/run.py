# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The whole of a backtest: a record in, a report out."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from autoglm_recovery.durations import format_duration
from autoglm_recovery.policy.model import Policy
from autoglm_recovery.receiver.fleet.fleet import Fleet, Host
from autoglm_recovery.receiver.fleet.own_playbooks import runnable
from autoglm_recovery.receiver.fleet.site_config import SiteConfig
from autoglm_recovery.receiver.rehearse.backtest.events import AlertRecord, events_of
from autoglm_recovery.receiver.rehearse.backtest.own import without_own
from autoglm_recovery.receiver.rehearse.backtest.replay import replaying
from autoglm_recovery.receiver.rehearse.backtest.report import report
from autoglm_recovery.receiver.triage.target import named_host

MOST_EVENTS = 50_000


class ReplayTooLong(ValueError):
    """More happened than is replayed in a time that anybody waits for."""


@dataclass(frozen=True)
class Assumptions:
    """What a replay cannot know, and takes to be so.  Durations in seconds."""

    run_takes: float = 60.0
    bridge: float = 0.0


def backtest(
    record: AlertRecord, config: SiteConfig | None, policy: Policy, assumed: Assumptions, told: Callable[[float], None]
) -> dict[str, Any]:
    """Replay a record and report on it.  Without ``config``, the fleet is the hosts that the alerts name.

    ``told`` hears how much is done, 0 to 1.

    Raises AnsibleError or ReplayTooLong if there is nothing to replay it with, or too much.
    """
    record, own = without_own(record, policy if config is None else config.policy)
    events = events_of(record, assumed.bridge)
    if len(events) > MOST_EVENTS:
        raise ReplayTooLong(
            f"{len(events)} times an alert fired or resolved; {MOST_EVENTS} are replayed at most: --since"
        )
    said = list(_assumptions_in_words(policy, assumed))
    if config is None:
        config = _config(record, policy)
        said.append(
            f"no inventory was given: the fleet is the {len(config.fleet.hosts)} hosts that alerts name, without"
            " services and pools; guardrails of pools cannot bite, those of the fleet bite sooner than in a larger one"
        )
    span = record.until - record.since
    with (
        tempfile.TemporaryDirectory(prefix="autoglm-backtest-") as directory,
        replaying(Path(directory), config, assumed.run_takes) as replay,
    ):
        replay.run(events, record.until, lambda now: told((now - record.since) / span))
        return report(record, events, replay, said, events_of(own, assumed.bridge))


def _config(record: AlertRecord, policy: Policy) -> SiteConfig:
    names = {named_host(dict(series.labels)) for series in record.series}
    limitable = Fleet().limitable
    hosts = {name: Host(name) for name in sorted(filter(None, names)) if limitable(name)}
    return SiteConfig(policy, Fleet(hosts), runnable(policy.actions), Path(os.devnull))


def _assumptions_in_words(policy: Policy, assumed: Assumptions) -> Iterator[str]:
    yield (
        f"a run takes {assumed.run_takes:g} s and says that it has repaired; if the record shows the alert gone within"
        " resolve_within of its end that counts as repaired, else as unverified, and the ladder goes on"
    )
    yield "the record shows what was done at the time: an alert that a person ended then counts for the run that is on"
    yield (
        "a service that is asked answers that it is healthy, and Watchdogs are heard all the time; what the record does"
        " not show to be over counts as assumed, and not as resolved or succeeded"
    )
    if assumed.bridge:
        yield f"an alert that is back within {assumed.bridge:g} s was never told as resolved"
    if any(strategy.expression for strategy in policy.recovery.strategies.values()):
        yield "verify is not asked of the past: it is taken to hold wherever the alert is gone, and proves nothing here"
    if policy.guardrails.silences is not None:
        yield "past silences are not in the record: none is taken into account"
    if policy.recovery.flapping is not None:
        window = format_duration(policy.recovery.flapping.window)
        yield f"flapping (within {window}) is seen only where an alert is away for a whole step"
    yield "nobody approves, rejects, retries, closes or pauses: what asks for a person waits until the alert resolves"
