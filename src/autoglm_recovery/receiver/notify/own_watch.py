# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The receiver as its own dead-man's switch: it tells people itself when alerts cannot get to it or it does not act.

A thread of its own, which needs neither the loop nor the outbox nor the database; what was told is kept in a file of
the state directory, so that a restart tells nothing twice.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import httpx
import sqlalchemy as sa
import structlog

from autoglm_recovery import bounded_http
from autoglm_recovery.knowledge.host import clocks, whole_file
from autoglm_recovery.policy.model import Policy
from autoglm_recovery.policy.own_watch import OwnWatch as Setting
from autoglm_recovery.receiver.fleet import fleet_http
from autoglm_recovery.receiver.notify import own_look, own_state
from autoglm_recovery.receiver.notify.letters import Letter
from autoglm_recovery.receiver.notify.notifier import LONGEST_SEND_S, pause_after
from autoglm_recovery.receiver.notify.own_state import OpenPage, OwnObservation
from autoglm_recovery.receiver.notify.paging import addresses, send_each
from autoglm_recovery.receiver.notify.recipients import digest
from autoglm_recovery.receiver.process.worker import Worker, Workers
from autoglm_recovery.receiver.store import engines, heard
from autoglm_recovery.receiver.store.database import Database
from autoglm_recovery.receiver.values.clock import Clock, wall

log = structlog.get_logger()

FILE = "told-of-itself.json"
EVERY_S = 5.0
_LARGEST_ANSWER = 1 << 20
# One time-out for the head of an answer with all that comes before it, one for its body, and as much again.
_TIMEOUTS = 4


@dataclass
class _ServerReach:
    """How a server stands: since when it fails, on the monotonic clock, and None while nothing is known."""

    asked_of: str | None = None
    failing_since: float | None = None

    def failing_for(self) -> float | None:
        return None if self.failing_since is None else time.monotonic() - self.failing_since

    def note(self, *, answers: bool) -> None:
        if answers:
            self.failing_since = None
        elif self.failing_since is None:
            self.failing_since = time.monotonic()


@dataclass(frozen=True)
class _AddressRetry:
    """How often an address has failed to take a page, and when it is tried again, on the monotonic clock."""

    attempts: int = 0
    again_at: float = 0.0

    def failed(self, now: float) -> _AddressRetry:
        return _AddressRetry(self.attempts + 1, now + pause_after(self.attempts + 1))


def _probes_of(policy: Policy) -> dict[str, tuple[str | None, str, fleet_http.Setting | None]]:
    """Return what is asked of each server that the policy names: its address, a path, and how it is asked."""
    prometheus, silences = policy.monitoring.prometheus, policy.guardrails.silences
    alertmanager = policy.monitoring.alertmanager
    asked_of = silences.alertmanager if silences else alertmanager.url if alertmanager else None
    return {
        "Prometheus": (prometheus.url if prometheus else None, "/api/v1/query?query=1", prometheus),
        "Alertmanager": (asked_of, "/api/v2/status", silences or alertmanager),
    }


class ReceiverMonitor:
    """Looks every few seconds, and tells."""

    def __init__(
        self,
        database: Database,
        policy: Callable[[], Policy],
        workers: Workers,
        directory: Path,
        name: str,
        clock: Clock = wall,
    ) -> None:
        """``name`` is the receiver's, for people who have several.

        What was told before is read here; a file that cannot be read counts as empty.
        """
        self._database = database
        self._policy = policy
        self._workers = workers
        self._file = directory / FILE
        self._name = name
        self._clock = clock
        self._started_at = clock()
        self._servers = {key: _ServerReach() for key in ("Database", "Prometheus", "Alertmanager")}
        self._pages = self._load_pages()
        # By page and address, so that one that fails delays nothing else.
        self._waits: dict[tuple[str, str], _AddressRetry] = {}
        self.worker = Worker("own watch", self._step, stuck_after=self._longest_look, first_pause_s=EVERY_S)

    def start(self) -> None:
        """Begin."""
        self.worker.start()

    def stop(self) -> None:
        """End."""
        self.worker.stop(self._longest_look())

    def _step(self) -> float:
        now = self._clock()
        self._save_pages(own_state.looked(self._pages, self._observe_all(now), now))
        self._send_pages()
        return EVERY_S

    def _observe_all(self, now: float) -> list[OwnObservation]:
        policy = self._policy()
        setting = policy.monitoring.receiver
        found = [own_look.watchdog(setting, own_look.WatchdogHeard(self._watchdog_heard_at(), self._started_at), now)]
        found.append(self._observe_server("Database", engines.shown(self._database.url), setting))
        for name, (url, path, server) in _probes_of(policy).items():
            self._ask_server(name, url, path, server)
        found += [self._observe_server(name, reach.asked_of or "", setting) for name, reach in self._servers_asked()]
        troubles = {trouble.name: trouble for trouble in self._workers.troubles}
        others = [worker.name for worker in self._workers if worker is not self.worker]
        answers = self._servers["Database"].failing_since is None
        return [*found, *own_look.workers(others, troubles, setting, database=answers)]

    def _longest_look(self) -> float:
        """Return how long two servers and the sending of each page may take."""
        asked = [server for _, _, server in _probes_of(self._policy()).values() if server is not None]
        servers = sum(_TIMEOUTS * server.timeout.total_seconds() for server in asked)
        return 60.0 + servers + LONGEST_SEND_S * max(1, len(self._pages))

    def _servers_asked(self) -> list[tuple[str, _ServerReach]]:
        return [(name, reach) for name, reach in self._servers.items() if name != "Database"]

    def _observe_server(self, name: str, address: str, setting: Setting) -> OwnObservation:
        reach = self._servers[name]
        if name != "Database" and reach.asked_of is None:
            return OwnObservation(name.lower(), wrong=False)  # the policy names none, or none any more
        return own_look.reached(name, address, reach.failing_for(), setting)

    def _watchdog_heard_at(self) -> float | None:
        try:
            with self._database.reading() as connection:
                at = heard.last(connection)
        except (sa.exc.SQLAlchemyError, OSError):
            self._servers["Database"].note(answers=False)
            return None
        self._servers["Database"].note(answers=True)
        return at

    def _ask_server(self, name: str, url: str | None, path: str, setting: fleet_http.Setting | None) -> None:
        reach = self._servers[name]
        if url != reach.asked_of:
            reach.asked_of, reach.failing_since = url, None
        if url is None or setting is None:
            return
        try:
            with fleet_http.client(url, setting) as client, client.stream("GET", path) as answer:
                bounded_http.whole(answer, _LARGEST_ANSWER, setting.timeout.total_seconds())
                answer.raise_for_status()
            reach.note(answers=True)
        except (httpx.HTTPError, OSError, ValueError):
            reach.note(answers=False)

    def _send_pages(self) -> None:
        """Send what somebody lacks; after a failure not at once again."""
        now = time.monotonic()
        urls, unread = addresses(self._policy().notify.routes)
        by_digest = {digest(url): url for url in urls}
        if not unread:
            self._save_pages(own_state.without_gone(self._pages, by_digest))
        lacking = {(page.key, each) for page in self._pages.values() for each in own_state.to_tell(page, by_digest)}
        # What cannot be read of a route may be somebody who is to be told.
        lacking |= {(page.key, each) for page in self._pages.values() if page.over_at is None for each in unread}
        waits = {pair: self._waits.get(pair, _AddressRetry()) for pair in lacking}
        due = sorted((wait.again_at, pair) for pair, wait in waits.items() if now >= wait.again_at)
        failed = {pair: pair[1] for _, pair in due if pair[1] in unread}
        for key in dict.fromkeys(key for _, (key, _) in due):
            # One that has failed in this look is tried in another one with what else there is: it may have hung.
            left = {each for _, each in failed}
            failed |= self._send(key, {by_digest[to]: to for _, (of, to) in due if of == key and to not in left})
        self._waits = waits | {pair: waits[pair].failed(now) for pair in failed}
        if failed:
            log.error("people could not be told about the receiver", wrong=sorted(set(failed.values())))

    def _send(self, key: str, to: Mapping[str, str]) -> dict[tuple[str, str], str]:
        """Send a page to addresses, given with their digests; return which failed, and why."""
        page = self._pages[key]
        sent = send_each(dict.fromkeys(to, self._letter(page)))
        took = [to[each.url] for each in sent if each.wrong is None]
        # At once, so that whatever comes next, nobody hears it twice.
        self._save_pages({**self._pages, key: own_state.delivered(page, took)})
        if took:
            log.warning("people were told about the receiver", what=key, over=page.over_at is not None, told=len(took))
        return {(key, to[each.url]): each.wrong for each in sent if each.wrong is not None}

    def _letter(self, page: OpenPage) -> Letter:
        since = clocks.in_words(page.since)
        if page.over_at is not None:
            over = clocks.in_words(page.over_at)
            body = f"Over since {over}. It was:\n\n{page.text}\n\n(first seen {since})"
            return Letter(f"[autoglm] receiver {self._name}: {page.key} is well again", body, "success", ())
        body = f"{page.text}\n\n(first seen {since}; you are told once, and again when it is over)"
        return Letter(f"[autoglm] receiver {self._name} needs you: {page.key}", body, "failure", ())

    def _save_pages(self, pages: dict[str, OpenPage]) -> None:
        if pages == self._pages:
            return
        self._pages = pages
        try:
            whole_file.write(self._file, own_state.written(pages))
        except OSError as error:  # a full disk is among what is to be told
            log.warning("what people were told is not kept over a restart", file=str(self._file), error=str(error))

    def _load_pages(self) -> dict[str, OpenPage]:
        try:
            return own_state.read(self._file.read_text("utf-8"))
        except FileNotFoundError:
            return {}
        except (OSError, ValueError) as error:
            log.warning("what people were told before cannot be read", file=str(self._file), error=str(error))
            return {}
