# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who of the fleet is heard of, by Prometheus' word.  Pure.

That nothing is wrong with a host is no news of it: ``heard`` has answered a scrape a moment ago, ``silent`` was asked
and did not answer, and of ``unknown`` nobody has heard, because nobody asks it or nobody could ask Prometheus.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from autoglm_recovery.knowledge.prometheus import presence
from autoglm_recovery.knowledge.prometheus.answers import vector
from autoglm_recovery.knowledge.prometheus.presence import HEARD, INFERENCE_JOBS, NEWS_FOR_S, SILENT, UNKNOWN
from autoglm_recovery.receiver.fleet.fleet import Fleet, Host

QUERY = presence.query()

_Key = tuple[str, str | None]


@dataclass(frozen=True)
class Presence:
    """``word`` is heard, silent or unknown; ``at`` is when it was last heard of, as far as this receiver knows."""

    word: str
    at: float | None
    why: str


@dataclass(frozen=True)
class PresenceRoll:
    """What the last look found: for each host, and each service of it, whether it answered, and when it was asked.

    ``answered_at`` are the last answers of which this receiver knows, of now or before; ``why`` says why nothing is so.
    """

    asked_at: float = 0.0
    good_for: float = 0.0
    scraped: Mapping[_Key, tuple[bool, float]] = field(default_factory=dict)
    answered_at: Mapping[_Key, float] = field(default_factory=dict)
    why: str = "Prometheus has not been asked yet"

    def of(self, host: str, service: str | None, now: float) -> Presence:
        """Return how a host or a service of it stands."""
        key = (host, service)
        at = self.answered_at.get(key)
        if not self.scraped and self.why:
            return Presence(UNKNOWN, at, self.why)
        if now - self.asked_at > self.good_for:
            return Presence(UNKNOWN, at, "Prometheus was asked too long ago")
        found = self.scraped.get(key)
        if found is None:
            return Presence(UNKNOWN, at, "Prometheus has no target of it")
        answered, scraped_at = found
        if now - scraped_at > NEWS_FOR_S:
            return Presence(UNKNOWN, at, "Prometheus has not asked it lately")
        return Presence(HEARD, scraped_at, "") if answered else Presence(SILENT, at, "it does not answer Prometheus")


NOT_SET_UP = PresenceRoll(why="the policy's monitoring.prometheus names none to ask")


def cannot_ask(before: PresenceRoll, why: str, now: float) -> PresenceRoll:
    """Return what is known while Prometheus cannot be asked: when each was last heard of, and for a while the rest."""
    if before.scraped and now - before.asked_at <= before.good_for:
        return before
    return PresenceRoll(answered_at=before.answered_at, why=why)


def looked(before: PresenceRoll, answer: object, fleet: Fleet, now: float, good_for: float) -> PresenceRoll:
    """Read what Prometheus answers to ``QUERY``.

    Raises ValueError if it is not what Prometheus answers.
    """

    def subject(labels: Mapping[str, Any]) -> tuple[str | None, str | None]:
        host = _host(labels, fleet)
        service = labels.get("service") if labels.get("job") in INFERENCE_JOBS else None
        if host is None or not any(each.name == service for each in host.services):
            service = None
        return None if host is None else host.name, service

    scraped = presence.scraped(vector(answer), subject)
    fresh = {key: at for key, (answered, at) in scraped.items() if answered}
    return PresenceRoll(
        now, good_for, scraped, {**before.answered_at, **fresh}, "" if scraped else "Prometheus has no targets"
    )


def _host(labels: Mapping[str, Any], fleet: Fleet) -> Host | None:
    """Return whose target it is: by our label, else by the address that was scraped."""
    name = labels.get("host")
    if isinstance(name, str) and name:
        return fleet.find(name)
    instance = str(labels.get("instance", ""))
    return fleet.find(instance.rpartition(":")[0].strip("[]") or instance)
