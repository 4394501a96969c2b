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
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from concurrent.futures import TimeoutError as TooSlow
from typing import Any

import sqlalchemy as sa
import structlog

from autoglm_recovery.policy.model import Policy
from autoglm_recovery.policy.notify import Route
from autoglm_recovery.receiver.store import notices
from autoglm_recovery.receiver.store.database import Database

log = structlog.get_logger()

# Longer than one attempt may take, so that nobody else sends what is being sent.
CLAIM_S = 120.0
LONGEST_SEND_S = 30.0
FIRST_PAUSE_S = 5.0
LONGEST_PAUSE_S = 600.0
GIVE_UP_AFTER_S = 3 * 86400.0
_LONGEST_SLEEP_S = 30.0


def pause_after(attempts: int) -> float:
    """Return the seconds until the next attempt, after so many that failed."""
    return float(min(LONGEST_PAUSE_S, FIRST_PAUSE_S * 2 ** min(attempts - 1, 10)))


def digest(url: str) -> str:
    """Name an address without telling what is in it."""
    return hashlib.sha256(url.encode()).hexdigest()[:16]


def send(url: str, title: str, body: str) -> str | None:
    """Send one notice to one address; return what went wrong, or None.  The address itself is never told."""
    import apprise  # noqa: PLC0415 - a second of imports that only those pay who notify

    # What it logs may hold the address.
    logging.getLogger("apprise").disabled = True
    kind = url.partition("://")[0][:40]
    try:
        service = apprise.Apprise.instantiate(url, suppress_exceptions=True)
        if service is None:
            return f"{kind}: Apprise cannot use this address"
        sent = service.notify(title=title, body=body, notify_type=apprise.NotifyType.FAILURE, body_format="text")
    except Exception as error:  # noqa: BLE001 - a plugin of a hundred; whatever it throws, the others must be sent
        return f"{kind}: {type(error).__name__}"
    return None if sent else f"{kind}: not accepted by the other side, or it cannot be reached"


class Notifier:
    """The thread that empties the outbox."""

    def __init__(self, database: Database, policy: Callable[[], Policy]) -> None:
        self._database = database
        self._policy = policy
        self._awake = threading.Event()
        self._stopping = threading.Event()
        self._senders = ThreadPoolExecutor(4, thread_name_prefix="notice")
        self._thread = threading.Thread(target=self._run, name="notifier", daemon=True)

    def start(self) -> None:
        """Begin, with what an earlier receiver left."""
        self._thread.start()

    def stop(self) -> None:
        """End after what is being sent; the rest stays in the outbox."""
        self._stopping.set()
        self._awake.set()
        self._thread.join(LONGEST_SEND_S)
        self._senders.shutdown(wait=False, cancel_futures=True)

    def wake(self) -> None:
        """Look into the outbox now."""
        self._awake.set()

    def _run(self) -> None:
        while not self._stopping.is_set():
            self._awake.clear()
            try:
                while not self._stopping.is_set() and self.send_next():
                    pass
                sleep = self._sleep()
            except Exception:  # the database may be away for a while; the notices are in it
                log.exception("notices could not be sent")
                sleep = FIRST_PAUSE_S
            self._awake.wait(sleep)

    def _sleep(self) -> float:
        with self._database.reading() as connection:
            due = notices.next_due(connection)
        return _LONGEST_SLEEP_S if due is None else min(_LONGEST_SLEEP_S, max(0.05, due - time.time()))

    def send_next(self) -> bool:
        """Send the notice that is due the longest; return whether there was one."""
        now = time.time()
        with self._database.reading() as connection:
            due = notices.next_due(connection)
        if due is None or due > now:
            return False
        with self._database.writing() as connection:
            notice = notices.claim(connection, now, now + CLAIM_S)
        if notice is None:
            return False
        delivered, errors = self._deliver(notice)
        self._settle(notice, delivered, errors)
        return True

    def _deliver(self, notice: sa.Row[Any]) -> tuple[list[str], list[str]]:
        """Send a notice to each address that lacks it; return who has it now, and what went wrong."""
        errors: list[str] = []
        wanted = _addresses(self._policy(), notice, errors)
        delivered = list(notice.delivered)
        todo = {digest(url): url for url in wanted if digest(url) not in delivered}
        # At least once: who reads the same number twice knows that it is one notice.
        written = time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(notice.created_at))
        text = f"{notice.body}\n\n(notice {notice.id}, written {written})"
        sending = {name: self._senders.submit(send, url, notice.title, text) for name, url in todo.items()}
        until = time.monotonic() + LONGEST_SEND_S
        for name, future in sending.items():
            try:
                wrong = future.result(max(0.0, until - time.monotonic()))
            except TooSlow:
                future.cancel()
                wrong = f"{todo[name].partition('://')[0][:40]}: no answer within {LONGEST_SEND_S:.0f} s"
            if wrong is None:
                delivered.append(name)
            else:
                errors.append(wrong)
        return delivered, errors

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
        if route.wants(notice.occasion, **notice.about):
            found.update(dict.fromkeys(_of_route(number, route, errors)))
    return list(found)


def _of_route(number: int, route: Route, errors: list[str]) -> list[str]:
    try:
        return route.addresses()
    except (OSError, UnicodeDecodeError) as error:
        errors.append(f"route {number}: urls_file cannot be read: {type(error).__name__}")
        return [url.get_secret_value() for url in route.urls]
