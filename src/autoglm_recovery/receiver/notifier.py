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
from collections.abc import Callable, Sequence
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
MOST_AT_ONCE = 500
MOST_SINGLY = 3
MOST_LINES = 100
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
    kind = _kind(url)
    try:
        service = apprise.Apprise.instantiate(url, suppress_exceptions=True)
        if service is None:
            return f"{kind}: Apprise cannot use this address"
        sent = service.notify(title=title, body=body, notify_type=apprise.NotifyType.FAILURE, body_format="text")
    except Exception as error:  # noqa: BLE001 - a plugin of a hundred; whatever it throws, the others must be sent
        return f"{kind}: {type(error).__name__}"
    return None if sent else f"{kind}: not accepted by the other side, or it cannot be reached"


def send_all(url: str, batch: Sequence[sa.Row[Any]]) -> dict[int, str]:
    """Send notices to one address; return what went wrong, by the notice's number.

    Many at once become one: a person who is called a thousand times hears nothing any more.
    """
    if len(batch) > MOST_SINGLY:
        wrong = send(url, *_together(batch))
        return {} if wrong is None else dict.fromkeys((notice.id for notice in batch), wrong)
    found = {notice.id: send(url, notice.title, _numbered(notice)) for notice in batch}
    return {number: wrong for number, wrong in found.items() if wrong is not None}


def _numbered(notice: sa.Row[Any]) -> str:
    """Return the text with its number: at least once means that a second copy must be known as one."""
    written = time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(notice.created_at))
    return f"{notice.body}\n\n(notice {notice.id}, written {written})"


def _together(batch: Sequence[sa.Row[Any]]) -> tuple[str, str]:
    """Make one notice of many: a line for each, and the first one whole."""
    lines = [f"  {notice.title.removeprefix('[autoglm] ')}  (notice {notice.id})" for notice in batch]
    shown = lines[:MOST_LINES] + ([f"  ... and {len(lines) - MOST_LINES} more"] if len(lines) > MOST_LINES else [])
    text = "\n".join([*shown, "", "autoglm incidents list --state escalated", "autoglm incidents list --state held"])
    return f"[autoglm] {len(batch)} incidents need people", f"{text}\n\nThe first of them:\n\n{_numbered(batch[0])}"


def _kind(url: str) -> str:
    return url.partition("://")[0][:40]


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
                while not self._stopping.is_set() and self.send_due():
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

    def send_due(self) -> int:
        """Send the notices that are due, up to a batch; return how many there were."""
        now = time.time()
        with self._database.reading() as connection:
            due = notices.next_due(connection)
        if due is None or due > now:
            return 0
        with self._database.writing() as connection:
            claimed = notices.claim(connection, now, now + CLAIM_S, MOST_AT_ONCE)
        self._deliver(claimed)
        return len(claimed)

    def _deliver(self, claimed: Sequence[sa.Row[Any]]) -> None:
        """Send to each address what it lacks, and note what became of each notice."""
        policy = self._policy()
        delivered = {notice.id: list(notice.delivered) for notice in claimed}
        errors: dict[int, list[str]] = {notice.id: [] for notice in claimed}
        todo: dict[str, list[sa.Row[Any]]] = {}
        for notice in claimed:
            for url in _addresses(policy, notice, errors[notice.id]):
                if digest(url) not in notice.delivered:
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
            self._settle(notice, delivered[notice.id], errors[notice.id])

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
