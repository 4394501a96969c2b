# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Asks Prometheus whether repairs hold, in a thread of its own, so that no decision waits for it."""

from __future__ import annotations

import json
import ssl
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import httpx
import sqlalchemy as sa
import structlog

from autoglm_recovery.policy.model import Policy
from autoglm_recovery.policy.proof import Prometheus
from autoglm_recovery.receiver.clock import wall
from autoglm_recovery.receiver.proof import NOT_ASKED, Proof, question, read
from autoglm_recovery.receiver.store import incidents as store
from autoglm_recovery.receiver.store.database import Database

log = structlog.get_logger()

LARGEST_ANSWER = 4 << 20
# How Prometheus answers to what is no PromQL, or cannot be worked out.
_REFUSED = (400, 422)
# Where no strategy asks for a proof, the policy is looked at again this often.
_NOT_SET_UP_S = 5.0
_SHORTEST_PAUSE_S = 0.5


class ProofWatch:
    """Keeps the newest answer for each run whose repair waits for its proof."""

    def __init__(self, database: Database, policy: Callable[[], Policy], heard: Callable[[], None]) -> None:
        """C(heard) is called when an answer is another than before; its incident is due then."""
        self._database = database
        self._policy = policy
        self._heard = heard
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="proofs", daemon=True)
        self._now: Mapping[int, Proof] = {}

    def of(self, run_id: int) -> Proof:
        """Return what is known of the repair that a run has made."""
        return self._now.get(run_id, NOT_ASKED)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """End."""
        self._stopping.set()
        self._thread.join()

    def look(self) -> float:
        """Ask once for each incident that waits; return in how many seconds to ask again."""
        policy = self._policy()
        setting = policy.monitoring.prometheus
        if setting is None or not any(each.expression for each in policy.recovery.strategies.values()):
            self._now = {}
            return _NOT_SET_UP_S
        with self._database.reading() as connection:
            waiting = store.verifying(connection)
        before, self._now = self._now, self._answers(setting, policy, waiting)
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

    def _answers(self, setting: Prometheus, policy: Policy, waiting: Sequence[sa.Row[Any]]) -> dict[int, Proof]:
        found: dict[int, Proof] = {}
        wanted = [(row, policy.recovery.strategy(row.failure_class).expression) for row in waiting]
        try:
            with _client(setting) as client:
                for row, expression in wanted:
                    if expression is not None:
                        found[row.run] = _ask(client, expression, row)
        except (httpx.HTTPError, OSError, ValueError) as error:
            # One that cannot be reached need not be waited for by each.
            why = f"{type(error).__name__}: {error}"[:300]
            log.warning("proofs cannot be asked for", prometheus=setting.url, reason=why)
            unknown = Proof(None, f"Prometheus cannot be asked: {why}")
            found |= {row.run: unknown for row, expression in wanted if expression is not None and row.run not in found}
        return found

    def _run(self) -> None:
        while not self._stopping.is_set():
            begun = time.monotonic()
            try:
                pause = self.look()
            except Exception as error:  # noqa: BLE001 - until the next look succeeds, nothing counts as proven
                log.warning("proofs cannot be asked for", reason=f"{type(error).__name__}: {error}"[:300])
                pause = _NOT_SET_UP_S
            self._stopping.wait(max(_SHORTEST_PAUSE_S, pause - (time.monotonic() - begun)))


def _is_news(before: Proof | None, now: Proof | None) -> bool:
    return now is not None and (before is None or before.holds != now.holds)


def _client(setting: Prometheus) -> httpx.Client:
    headers = {"Accept": "application/json"}
    if setting.token_file is not None:
        headers["Authorization"] = f"Bearer {setting.token_file.read_text('ascii').strip()}"
    verify: ssl.SSLContext | bool = ssl.create_default_context(cafile=setting.ca_path) if setting.ca_path else True
    # Inside the fleet: no business of a proxy's.
    return httpx.Client(
        base_url=setting.url, headers=headers, timeout=setting.timeout.total_seconds(), verify=verify, trust_env=False
    )


def _ask(client: httpx.Client, expression: str, row: sa.Row[Any]) -> Proof:
    """:raises httpx.HTTPError: if there is no answer."""
    try:
        query = question(expression, row._asdict())
        with client.stream("POST", "/api/v1/query", data={"query": query}) as answer:
            told = json.loads(_bounded(answer))
        if answer.status_code in _REFUSED:
            return Proof(None, f"Prometheus does not take the expression: {str(told['error'])[:300]}")
        answer.raise_for_status()
        return read(told)
    except (KeyError, RecursionError, TypeError, ValueError) as error:
        # About this incident or its expression: the others have answers of their own.
        return Proof(None, str(error)[:300])


def _bounded(answer: httpx.Response) -> bytes:
    body = bytearray()
    for part in answer.iter_bytes():
        body += part
        if len(body) > LARGEST_ANSWER:
            raise ValueError(f"the answer has more than {LARGEST_ANSWER >> 20} MiB")
    return bytes(body)
