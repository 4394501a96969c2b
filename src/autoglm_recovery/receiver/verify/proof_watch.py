# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Asks Prometheus whether repairs hold, in a thread of its own, so that no decision waits for it."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import httpx
import sqlalchemy as sa
import structlog

from autoglm_recovery import bounded_http
from autoglm_recovery.durations import parse_duration
from autoglm_recovery.knowledge.host import clocks
from autoglm_recovery.policy.model import Policy
from autoglm_recovery.policy.proof import Prometheus
from autoglm_recovery.receiver.fleet import fleet_http
from autoglm_recovery.receiver.process.worker import Worker
from autoglm_recovery.receiver.store import incidents as store
from autoglm_recovery.receiver.store.database import Database
from autoglm_recovery.receiver.values.clock import wall
from autoglm_recovery.receiver.verify.proof import NOT_ASKED, Proof, question, read

log = structlog.get_logger()

LARGEST_ANSWER = 4 << 20
# How Prometheus answers to what is no PromQL, or cannot be worked out.
_REFUSED = (400, 422)
# Where no strategy asks for a proof, the policy is looked at again this often.
_NOT_SET_UP_S = 5.0
_SHORTEST_PAUSE_S = 0.5
_SHORTEST_LOOK_BACK_S = 0.001
# Prometheus' own default, for a server that does not tell how far it looks back.
_USUAL_LOOK_BACK_S = 300.0
_MOST_TIMEOUTS = 20


class ProofWatch:
    """Keeps the newest answer for each run whose repair waits for its proof."""

    def __init__(self, database: Database, policy: Callable[[], Policy], heard: Callable[[], None]) -> None:
        """``heard`` is called when an answer is another than before; its incident is due then."""
        self._database = database
        self._policy = policy
        self._heard = heard
        self.worker = Worker("proofs", self._step, stuck_after=self._longest_look, first_pause_s=_NOT_SET_UP_S)
        self._now: Mapping[int, Proof] = {}

    def of(self, run_id: int) -> Proof:
        """Return what is known of the repair that a run has made."""
        # What should have been asked again long ago proves nothing any more.
        return NOT_ASKED if self.worker.trouble else self._now.get(run_id, NOT_ASKED)

    def start(self) -> None:
        """Begin."""
        self.worker.start()

    def stop(self) -> None:
        """End."""
        self.worker.stop()

    def look(self) -> float:
        """Ask once for each incident that waits; return in how many seconds to ask again."""
        policy = self._policy()
        setting = policy.monitoring.prometheus
        if setting is None or not any(each.expression for each in policy.recovery.strategies.values()):
            self._now = {}
            return _NOT_SET_UP_S
        with self._database.reading() as connection:
            waiting = store.verifying(connection)
        before, self._now = self._now, self._answers_of(setting, policy, waiting)
        # Not at each new value: what people read is whether it holds, and why not.
        news = [row.id for row in waiting if _is_news(before.get(row.run), self._now.get(row.run))]
        if news:
            try:
                with self._database.noting() as connection:
                    store.look_again(connection, news, wall())
            except sa.exc.SQLAlchemyError:
                self._now = before  # so that it is news again
                raise
            self._heard()
        return setting.every.total_seconds()

    def _answers_of(self, setting: Prometheus, policy: Policy, waiting: Sequence[sa.Row[Any]]) -> dict[int, Proof]:
        found: dict[int, Proof] = {}
        wanted = [(row, policy.recovery.strategy(row.failure_class).expression) for row in waiting]
        try:
            with fleet_http.client(setting.url, setting) as client:
                within_s = setting.timeout.total_seconds() * 4
                looks_back = look_back(client, within_s) if any(expression for _row, expression in wanted) else 0.0
                for row, expression in wanted:
                    if expression is not None:
                        said = _ask_prometheus(client, expression, row, within_s)
                        counts_from = row.run_ended_at + looks_back if looks_back else 0.0
                        found[row.run] = counted(said, counts_from, wall())
        except (httpx.HTTPError, OSError, ValueError) as error:
            # One that cannot be reached need not be waited for by each.
            why = f"{type(error).__name__}: {error}"[:300]
            log.warning("proofs cannot be asked for", prometheus=setting.url, reason=why)
            unknown = Proof(None, f"Prometheus cannot be asked: {why}")
            found |= {row.run: unknown for row, expression in wanted if expression is not None and row.run not in found}
        return found

    def _step(self) -> float:
        begun = time.monotonic()
        try:
            pause = self.look()
        except BaseException:
            self._now = {}  # until the next look succeeds, nothing counts as proven
            raise
        return max(_SHORTEST_PAUSE_S, pause - (time.monotonic() - begun))

    def _longest_look(self) -> float:
        # One after the other, each with its own time-out.
        setting = self._policy().monitoring.prometheus
        return 60.0 + (_MOST_TIMEOUTS * setting.timeout.total_seconds() if setting else 0.0)


def _is_news(before: Proof | None, now: Proof | None) -> bool:
    return now is not None and (before is None or before.holds != now.holds)


def look_back(client: httpx.Client, within_s: float) -> float:
    """Return how many seconds old a sample may be for this server's answers, or 0 where each query may say so itself.

    ``lookback_delta`` came into Prometheus' query API in 2023 (prometheus/prometheus, pull request 12088); a server
    without it passes over it in silence.  One that reads it refuses what is no duration, which no version number has to
    tell, nor the names of those who speak the same API.

    Raises httpx.HTTPError if there is no answer.
    """
    with client.stream("POST", "/api/v1/query", data={"query": "1", "lookback_delta": "none"}) as answer:
        told = bounded_http.whole(answer, LARGEST_ANSWER, within_s)
    if answer.status_code == httpx.codes.BAD_REQUEST and b"lookback" in told:
        return 0.0
    if answer.status_code not in _REFUSED:
        answer.raise_for_status()
    try:
        with client.stream("GET", "/api/v1/status/flags") as answer:
            flags = bounded_http.document(bounded_http.whole(answer, LARGEST_ANSWER, within_s))
        answer.raise_for_status()
        return parse_duration(flags["data"]["query.lookback-delta"]).total_seconds()
    except (httpx.HTTPStatusError, KeyError, RecursionError, TypeError, ValueError):
        return _USUAL_LOOK_BACK_S


def counted(proof: Proof, counts_from: float, now: float) -> Proof:
    """Return what an answer is worth: what may be about a sample from before the repair proves nothing."""
    if not proof.holds or now >= counts_from:
        return proof
    clock = clocks.time_of_day(counts_from)
    why = f"{proof.said}; this may be from before the repair, as this Prometheus cannot be asked to look back less"
    return Proof(None, f"{why}: it counts from {clock} on", counts_from)


def _ask_prometheus(client: httpx.Client, expression: str, row: sa.Row[Any], within_s: float) -> Proof:
    """Raises httpx.HTTPError if there is no answer."""
    try:
        # What was measured before the run ended is no proof: for instant vectors Prometheus does not look back so far.
        since = max(_SHORTEST_LOOK_BACK_S, wall() - row.run_ended_at)
        query = {"query": question(expression, row._asdict()), "lookback_delta": f"{since:.3f}s"}
        with client.stream("POST", "/api/v1/query", data=query) as answer:
            told = bounded_http.whole(answer, LARGEST_ANSWER, within_s)
        if answer.status_code in _REFUSED:
            said = str(bounded_http.document(told)["error"])[:300]
            return Proof(None, f"Prometheus does not take the expression: {said}")
        # Before the body is read: one that starts or stops answers with a word of plain text.
        answer.raise_for_status()
        return read(bounded_http.document(told))
    except (KeyError, RecursionError, TypeError, ValueError) as error:
        # About this incident or its expression: the others have answers of their own.
        return Proof(None, str(error)[:300])
