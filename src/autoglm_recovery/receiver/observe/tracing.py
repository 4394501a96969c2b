# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Incidents as traces: which spans there are, and when they are exported.  How is ``tracing_otlp``'s business.

A trace is written once its incident has ended, out of what the database holds: nothing on the way of an alert waits
for a collector, and what is traced is what people read.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from autoglm_recovery.receiver.process.worker import Worker
from autoglm_recovery.receiver.store import views
from autoglm_recovery.receiver.store.database import Database
from autoglm_recovery.receiver.store.schema import incidents

EVERY_S = 5.0
MOST_AT_ONCE = 100

Attributes = Mapping[str, str | int]


@dataclass(frozen=True)
class SpanPlan:
    """One span: times in seconds since the epoch; ``events`` are (time, name, text)."""

    name: str
    start: float
    end: float
    attributes: Attributes
    failed: bool = False
    events: tuple[tuple[float, str, str], ...] = ()
    children: tuple[SpanPlan, ...] = field(default=())


def plan(incident: Mapping[str, Any]) -> SpanPlan:
    """Turn an ended incident, as the API shows it, into the spans of its trace."""
    began, ended = _time(incident["first_starts_at"]), _time(incident["ended_at"])
    committed = next((_time(line["at"]) for line in incident["timeline"] if line["kind"] == "committed"), began)
    events = tuple((_time(line["at"]), str(line["kind"]), str(line["text"])) for line in incident["timeline"])
    target = {f"autoglm.target.{key}": incident[key] for key in ("host", "service", "pool", "gpu") if incident.get(key)}
    attributes: dict[str, str | int] = {
        "autoglm.incident.id": incident["id"],
        "autoglm.failure_class": incident["failure_class"],
        "autoglm.fault_mode": incident["fault_mode"],
        "autoglm.root_cause": incident["root_cause"],
        "autoglm.state": incident["state"],
        **target,
    }
    runs = tuple(_run(run) for run in incident["runs"] if run.get("ended_at"))
    detection = SpanPlan("detection", began, max(began, committed), {})
    return SpanPlan(
        f"incident {incident['failure_class']}",
        min(began, committed),
        ended,
        attributes,
        failed=incident["state"] != "resolved",
        events=events,
        children=(detection, *runs),
    )


def _run(run: Mapping[str, Any]) -> SpanPlan:
    attributes: dict[str, str | int] = {
        "autoglm.run.id": run["id"],
        "autoglm.action": run["action"],
        "autoglm.attempt": run["attempt"],
        "autoglm.run.state": run["state"],
    }
    failed = run["state"] != "succeeded"
    return SpanPlan(f"run {run['action']}", _time(run["started_at"]), _time(run["ended_at"]), attributes, failed)


def _time(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()


class Tracer:
    """Looks for incidents that have ended, in a thread of its own, and exports their traces."""

    def __init__(self, database: Database, export: Callable[[int, SpanPlan], None]) -> None:
        self._database = database
        self._export = export
        self._since = time.time()
        self.worker = Worker("tracer", self._step, first_after_s=EVERY_S, first_pause_s=EVERY_S)

    def start(self) -> None:
        """Begin; incidents that ended before are not exported."""
        self.worker.start()

    def stop(self) -> None:
        """Export what has ended, then end."""
        self.worker.stop()
        self.worker.attempt()

    def _step(self) -> float:
        for incident_id, spans in self._ended():
            self._export(incident_id, spans)
        return EVERY_S

    def _ended(self) -> Iterable[tuple[int, SpanPlan]]:
        with self._database.reading() as connection:
            query = (
                sa.select(incidents.c.id, incidents.c.ended_at)
                .where(incidents.c.ended_at > self._since)
                .order_by(incidents.c.ended_at)
                .limit(MOST_AT_ONCE)
            )
            for incident_id, ended_at in connection.execute(query).all():
                shown = views.show_incident(connection, incident_id)
                if shown is not None:
                    yield incident_id, plan(shown)
                self._since = ended_at
