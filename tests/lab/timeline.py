# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What happened, from all who saw it: the kernel, Alertmanager, the receiver and our own questions to the node."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

import httpx

from . import engine
from .errors import LabError
from .faults import KernelKill
from .laboratory import Lab
from .receiver import Json, Receiver

# Events are shown this late, so that those who tell of theirs a little later still come in order.
REORDER_SECONDS = 0.7


@dataclass(frozen=True, order=True)
class Event:
    """One line of the story; ``kind`` is a short word, ``text`` is for people."""

    at: float
    kind: str
    text: str


def moment(iso: str) -> float:
    """Read an ISO-8601 time, also with the nanoseconds that Go writes."""
    head, dot, rest = iso.replace("Z", "+00:00").partition(".")
    digits = rest[: len(rest) - len(rest.lstrip("0123456789"))]
    return datetime.fromisoformat(
        f"{head}.{digits[:6].ljust(6, '0')}{rest[len(digits) :]}" if dot else head
    ).timestamp()


class Timeline:
    """Collects events about one fault and hands them out in the order in which they happened."""

    def __init__(self, lab: Lab, receiver: Receiver, fault: KernelKill) -> None:
        """Begin with the fault."""
        self.fault = fault
        self.incident: Json | None = None
        self.events = [Event(fault.at, "fault", f"kernel: {fault.line}")]
        self._lab = lab
        self._receiver = receiver
        self._shown = 0
        self._receiver_events = 0
        self._firing: set[str] = set()
        self._generates = True

    def poll(self) -> None:
        """Ask everybody what is new."""
        for event in (*self._alerts(), *self._node(), *self._receiver_lines()):
            self.events.append(event)

    def due(self, everything: bool = False) -> Iterator[Event]:
        """Hand out the events that are old enough to be in their final order."""
        settled = sorted(self.events[self._shown :])
        self.events[self._shown :] = settled
        for event in settled:
            if not everything and event.at > time.time() - REORDER_SECONDS:
                return
            self._shown += 1
            yield event

    def first(self, kind: str, said: str = "") -> float | None:
        """Say when something of this kind first happened, with these words in what was said about it."""
        times = (event.at for event in self.events if event.kind == kind and said in event.text)
        return min(times, default=None)

    def _alerts(self) -> Iterator[Event]:
        try:
            answer = httpx.get(f"{self._lab.alertmanager}/api/v2/alerts", timeout=2, trust_env=False)
            alerts = answer.raise_for_status().json()
        except httpx.HTTPError:
            return
        firing = {}
        for alert in alerts:
            labels = alert["labels"]
            named = ", ".join(f"{key}={labels[key]}" for key in ("failure_class", "host", "service") if key in labels)
            firing[f"{labels['alertname']} ({named})"] = moment(alert["startsAt"])
        for name in firing.keys() - self._firing:
            yield Event(max(firing[name], self.fault.at), "firing", f"Prometheus: {name} is firing")
        for name in self._firing - firing.keys():
            yield Event(time.time(), "quiet", f"Alertmanager: {name} is over")
        self._firing = set(firing)

    def _node(self) -> Iterator[Event]:
        text = engine.generates(self._lab.node_a, seconds=1)
        if (text is not None) != self._generates:
            self._generates = not self._generates
            if text is None:
                yield Event(time.time(), "down", "node-a answers no more (asked directly)")
            else:
                yield Event(time.time(), "up", f"node-a generates again (asked directly): “{text[:48]}…”")

    def _receiver_lines(self) -> Iterator[Event]:
        try:
            self.incident = self._receiver.newest(self._lab.node_a)
        except LabError:
            return
        if self.incident is None:
            return
        lines = self.incident["timeline"]
        for line in lines[self._receiver_events :]:
            yield Event(moment(line["at"]), line["kind"], line["text"])
        self._receiver_events = len(lines)
