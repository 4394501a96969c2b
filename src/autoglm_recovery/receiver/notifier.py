# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Send what lies in the outbox, by Apprise, at least once.

A thread of its own, so that an address that hangs stops nothing else.  A notice is claimed for a while before it is
sent: a receiver that is killed in the middle leaves it to the next one, or to another replica, after that while.
"""

from __future__ import annotations

import hashlib
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from concurrent.futures import TimeoutError as TooSlow
from typing import Any

import sqlalchemy as sa
import structlog

from autoglm_recovery.policy.model import Policy
from autoglm_recovery.policy.notify import Route
from autoglm_recovery.receiver.inert import inert, inert_line
from autoglm_recovery.receiver.letters import Letter, letters
from autoglm_recovery.receiver.moot import look_again
from autoglm_recovery.receiver.store import notices
from autoglm_recovery.receiver.store.database import Database
from autoglm_recovery.receiver.worker import Worker

log = structlog.get_logger()

# Longer than one attempt may take, so that nobody else sends what is being sent.
CLAIM_S = 120.0
LONGEST_SEND_S = 30.0
FIRST_PAUSE_S = 5.0
LONGEST_PAUSE_S = 600.0
GIVE_UP_AFTER_S = 3 * 86400.0
MOST_AT_ONCE = 500
_LONGEST_SLEEP_S = 30.0


def pause_after(attempts: int) -> float:
    """Return the seconds until the next attempt, after so many that failed."""
    return float(min(LONGEST_PAUSE_S, FIRST_PAUSE_S * 2 ** min(attempts - 1, 10)))


def digest(url: str) -> str:
    """Name an address without telling what is in it."""
    return hashlib.sha256(url.encode()).hexdigest()[:16]


def send(url: str, letter: Letter) -> str | None:
    """Send one letter to one address; return what went wrong, or None.  The address itself is never told."""
    import apprise  # noqa: PLC0415 - a second of imports that only those pay who notify

    # What it logs may hold the address.
    logging.getLogger("apprise").disabled = True
    kind = _kind(url)
    try:
        service = apprise.Apprise.instantiate(url, suppress_exceptions=True)
        if service is None:
            return f"{kind}: Apprise cannot use this address"
        sent = service.notify(
            title=inert_line(letter.title),
            body=inert(letter.body),
            notify_type=apprise.NotifyType(letter.tone),
            body_format=apprise.NotifyFormat.TEXT,
        )
    except Exception as error:  # noqa: BLE001 - a plugin of a hundred; whatever it throws, the others must be sent
        return f"{kind}: {type(error).__name__}"
    return None if sent else f"{kind}: not accepted by the other side, or it cannot be reached"


def send_all(url: str, batch: Sequence[sa.Row[Any]]) -> dict[int, str]:
    """Send notices to one address; return what went wrong, by the notice's number."""
    found = [(letter, send(url, letter)) for letter in letters(batch)]
    return {number: wrong for letter, wrong in found if wrong is not None for number in letter.notices}


def _kind(url: str) -> str:
    return url.partition("://")[0][:40]


class Notifier:
    """The thread that empties the outbox."""

    def __init__(self, database: Database, policy: Callable[[], Policy]) -> None:
        self._database = database
        self._policy = policy
        self._senders = ThreadPoolExecutor(4, thread_name_prefix="notice")
        self.worker = Worker(
            "notifier",
            self._step,
            stuck_after=lambda: CLAIM_S,
            first_pause_s=FIRST_PAUSE_S,
            longest_pause_s=_LONGEST_SLEEP_S,
        )

    def start(self) -> None:
        """Begin, with what an earlier receiver left."""
        self.worker.start()

    def stop(self) -> None:
        """End after what is being sent; the rest stays in the outbox."""
        self.worker.stop(LONGEST_SEND_S)
        self._senders.shutdown(wait=False, cancel_futures=True)

    def wake(self) -> None:
        """Look into the outbox now."""
        self.worker.wake()

    def _step(self) -> float:
        # A batch a step: a long outbox does not look like a thread that is stuck.
        return 0.0 if self.send_due() else self._sleep()

    def _sleep(self) -> float:
        with self._database.reading() as connection:
            due = notices.next_due(connection)
        return _LONGEST_SLEEP_S if due is None else min(_LONGEST_SLEEP_S, max(0.05, due - time.time()))

    def send_due(self) -> int:
        """Send the notices that are due, up to a batch; return how many there were."""
        now = time.time()
        with self._database.reading() as connection:
            due = notices.next_due(connection)
        if due is None or due > now:
            return 0
        with self._database.writing() as connection:
            claimed = notices.claim(connection, now, now + CLAIM_S, MOST_AT_ONCE)
            # What has become of the incident since the notice was written decides whether anybody needs it.
            standing = look_again(connection, claimed, now)
            told = notices.paged_about(connection, {each.incident_id for each in standing} - {None})
        if standing:
            self._deliver(standing, told)
        return len(claimed)

    def _deliver(self, claimed: Sequence[sa.Row[Any]], called: Mapping[int, set[str]]) -> None:
        """Send to each address what it lacks, and note what became of each notice.

        C(called) are the digests of those who were called, by incident: nobody else has to hear that it is over.
        """
        policy = self._policy()
        delivered = {notice.id: list(notice.delivered) for notice in claimed}
        errors: dict[int, list[str]] = {notice.id: [] for notice in claimed}
        todo: dict[str, list[sa.Row[Any]]] = {}
        for notice in claimed:
            for url in _addresses(policy, notice, errors[notice.id]):
                concerned = notice.occasion != "resolved" or digest(url) in called[notice.incident_id]
                if concerned and digest(url) not in notice.delivered:
                    todo.setdefault(url, []).append(notice)
        sending = {url: self._senders.submit(send_all, url, batch) for url, batch in todo.items()}
        until = time.monotonic() + LONGEST_SEND_S
        for url, future in sending.items():
            try:
                wrong = future.result(max(0.0, until - time.monotonic()))
            except TooSlow:
                future.cancel()
                wrong = dict.fromkeys((n.id for n in todo[url]), f"{_kind(url)}: no answer in {LONGEST_SEND_S:.0f} s")
            for notice in todo[url]:
                if notice.id in wrong:
                    errors[notice.id].append(wrong[notice.id])
                else:
                    delivered[notice.id].append(digest(url))
        for notice in claimed:
            told, lacks = delivered[notice.id], errors[notice.id]
            if not told and not lacks and notice.occasion != "resolved":
                lacks = ["it went to nobody: no route of the policy in force wants it"]
            self._settle(notice, told, lacks)

    def _settle(self, notice: sa.Row[Any], delivered: list[str], errors: list[str]) -> None:
        now = time.time()
        values: dict[str, Any] = {"delivered": delivered, "error": "; ".join(errors)[:1000] or None}
        if not errors:
            values["sent_at"] = now
            log.info("notice sent", notice=notice.id, incident=notice.incident_id, addresses=len(delivered))
        elif now - notice.created_at > GIVE_UP_AFTER_S:
            values["given_up_at"] = now
            log.error("notice given up", notice=notice.id, incident=notice.incident_id, wrong=errors)
        else:
            values["due_at"] = now + pause_after(notice.attempts)
            log.warning("notice not sent yet", notice=notice.id, incident=notice.incident_id, wrong=errors)
        with self._database.writing() as connection:
            notices.settle(connection, notice.id, **values)


def _addresses(policy: Policy, notice: sa.Row[Any], errors: list[str]) -> list[str]:
    """Return the addresses that want a notice, each once, by the policy in force."""
    found: dict[str, None] = {}
    for number, route in enumerate(policy.notify.routes, 1):
        about = {name: notice.about[name] for name in ("failure_class", "pool", "severities")}
        if route.wants(notice.occasion, **about):
            # Who was called and is no address any more need not hear that it is over.
            found.update(dict.fromkeys(of_route(number, route, errors, may_be_empty=notice.occasion == "resolved")))
    return list(found)


def of_route(number: int, route: Route, errors: list[str], *, may_be_empty: bool = False) -> list[str]:
    """Return a route's addresses; why those of its file are missing is added to C(errors)."""
    in_policy = [url.get_secret_value() for url in route.urls]
    try:
        found = route.addresses()
    except (OSError, UnicodeDecodeError) as error:
        errors.append(f"route {number}: urls_file cannot be read: {type(error).__name__}")
        return in_policy
    if route.urls_file is not None and found == in_policy and not may_be_empty:
        errors.append(f"route {number}: urls_file holds no address")
    return found
