# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""``monitoring`` in the policy file: what is measured and how often, and who is asked."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Any

from pydantic import Field, model_validator

from autoglm_recovery.durations import parse_duration
from autoglm_recovery.policy.alertmanager import Alertmanager
from autoglm_recovery.policy.own_watch import OwnWatch
from autoglm_recovery.policy.proof import Prometheus
from autoglm_recovery.policy.section import Duration, Section, choices, known
from autoglm_recovery.policy.thresholds import Thresholds

METRICS = tuple(Thresholds.model_fields)

Metric = Annotated[str, known(METRICS), choices(METRICS)]


class Heartbeat(Section):
    """When a silent service counts as unresponsive: ``retries`` intervals without an answer in ``timeout``."""

    interval: Duration = timedelta(seconds=2)
    timeout: Duration = timedelta(seconds=1)
    retries: int = Field(default=3, ge=1, le=1000)


class Monitoring(Section):
    """What is measured, and how often."""

    interval: Duration = timedelta(seconds=2)
    metrics: tuple[Metric, ...] = ()
    thresholds: Thresholds = Thresholds()
    heartbeat: Heartbeat = Heartbeat()
    prometheus: Prometheus | None = None
    alertmanager: Alertmanager | None = None
    receiver: OwnWatch = OwnWatch()

    @model_validator(mode="before")
    @classmethod
    def _heartbeat_follows_interval(cls, data: Any) -> Any:
        """A heartbeat without an interval of its own beats at the monitoring interval."""
        if not isinstance(data, dict) or "interval" not in data:
            return data
        beat = data.get("heartbeat", {})
        if not isinstance(beat, dict) or "interval" in beat:
            return data
        try:
            parse_duration(data["interval"])
        except ValueError:
            return data  # said once, of the interval itself
        return {**data, "heartbeat": {**beat, "interval": data["interval"]}}

    @property
    def unwatched_thresholds(self) -> list[str]:
        """Return the thresholds that are said of metrics that nobody watches."""
        return sorted(self.thresholds.model_fields_set - set(self.metrics))

    @model_validator(mode="after")
    def _positive(self) -> Monitoring:
        if self.interval < timedelta(milliseconds=500):
            raise ValueError("interval below 500ms makes a busy host look dead; use 500ms or more")
        return self
