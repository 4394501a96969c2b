# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Send what lies in the outbox, by Apprise, at least once.

A thread of its own, which waits for nobody: each address has another one (``calls.py``), and what they answer is
written down as it comes.  A notice is claimed for a while before it is sent: a receiver that is killed in the middle
leaves it to the next one, or to another replica, after that while.  Who is called is written down with the claim, so
that whatever happens, it is known who may have to hear that it is over.
"""

from __future__ import annotations

import logging
import math
import threading
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

import sqlalchemy as sa
import structlog

from autoglm_recovery.policy.model import Policy
from autoglm_recovery.receiver.notify.calls import Answer, Calls
from autoglm_recovery.receiver.notify.inert import inert, inert_line
from autoglm_recovery.receiver.notify.letters import Letter
from autoglm_recovery.receiver.notify.moot import look_again
from autoglm_recovery.receiver.notify.recipients import CallPlan, plan, reaches, scheme
from autoglm_recovery.receiver.process.worker import Worker
from autoglm_recovery.receiver.store import notices
from autoglm_recovery.receiver.store.database import Database

log = structlog.get_logger()

# Longer than an attempt is waited for, so that nobody else sends what is being sent.
CLAIM_S = 120.0
# How long an address may take to answer before the notice counts as not sent yet.  The call goes on.
LONGEST_SEND_S = 30.0
FIRST_PAUSE_S = 5.0
LONGEST_PAUSE_S = 600.0
GIVE_UP_AFTER_S = 3 * 86400.0
MOST_AT_ONCE = 500
_LONGEST_SLEEP_S = 30.0


def pause_after(attempts: int) -> float:
    """Return the seconds until the next attempt, after so many that failed."""
    return float(min(LONGEST_PAUSE_S, FIRST_PAUSE_S * 2 ** min(attempts - 1, 10)))


def send(url: str, letter: Letter) -> str | None:
    """Send one letter to one address; return what went wrong, or None.  The address itself is never told."""
    import apprise  # noqa: PLC0415 - a second of imports that only those pay who notify

    # What it logs may hold the address.
    logging.getLogger("apprise").disabled = True
    kind = scheme(url)
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


@dataclass(frozen=True)
class _Attempt:
    """An attempt to send a notice: from whom it waits for an answer, by digest, and what went wrong elsewhere."""

    notice: sa.Row[Any]
    waits_for: Mapping[str, str]
    errors: tuple[str, ...]
    # On the monotonic clock.
    until: float

    def after(self, answered: Mapping[str, str | None]) -> _Attempt:
        """Return what is left to wait for after answers."""
        wrong = [answered[address] for address in self.waits_for if answered.get(address) is not None]
        left = {address: url for address, url in self.waits_for.items() if address not in answered}
        return replace(self, waits_for=left, errors=(*self.errors, *(each for each in wrong if each is not None)))

    @property
    def lacks(self) -> list[str]:
        """Return what is wrong if nothing more is waited for."""
        slow = (f"{scheme(url)}: no answer in {LONGEST_SEND_S:.0f} s" for url in self.waits_for.values())
        return [*self.errors, *slow]


class Notifier:
    """The thread that empties the outbox."""

    def __init__(self, database: Database, policy: Callable[[], Policy]) -> None:
        self._database = database
        self._policy = policy
        self.worker = Worker(
            "notifier",
            self._step,
            stuck_after=lambda: CLAIM_S,
            first_pause_s=FIRST_PAUSE_S,
            longest_pause_s=_LONGEST_SLEEP_S,
        )
        self._calls = Calls(send, self.worker.wake)
        self._attempts: dict[int, _Attempt] = {}
        # What was not begun at an address because that was busy.
        self._put_off: dict[str, set[int]] = {}
        self._turn = threading.Lock()

    def start(self) -> None:
        """Begin, with what an earlier receiver left."""
        self.worker.start()

    def stop(self) -> None:
        """End after what is being sent; the rest stays in the outbox."""
        until = time.monotonic() + LONGEST_SEND_S
        self.worker.stop(LONGEST_SEND_S)
        # What cannot be written down any more is sent again: at least once.
        with suppress(sa.exc.SQLAlchemyError):
            self.finish(max(0.0, until - time.monotonic()))

    def wake(self) -> None:
        """Look into the outbox now."""
        self.worker.wake()

    def finish(self, within_s: float) -> None:
        """Wait for what is being sent, no longer than told, and write down what became of it."""
        self._calls.wait(within_s)
        self.write_down()

    def _step(self) -> float:
        # A batch a step: a long outbox does not look like a thread that is stuck.
        return 0.0 if self.send_due() else self._sleep()

    def _sleep(self) -> float:
        with self._database.reading() as connection:
            due = notices.next_due(connection)
        outbox = math.inf if due is None else due - time.time()
        slowest = min((each.until for each in self._attempts.values()), default=math.inf) - time.monotonic()
        return min(_LONGEST_SLEEP_S, max(0.05, min(outbox, slowest)))

    def send_due(self) -> int:
        """Write down what was answered, and begin to send what is due, up to a batch; return how many that were."""
        self.write_down()
        now = time.time()
        with self._database.reading() as connection:
            due = notices.next_due(connection)
        if due is None or due > now:
            return 0
        # Files are read before the transaction.
        reached, busy = reaches(self._policy()), self._calls.busy()
        with self._database.writing() as connection:
            claimed = notices.claim(connection, now, now + CLAIM_S, MOST_AT_ONCE)
            # What has become of the incident since the notice was written decides whether anybody needs it.
            standing = look_again(connection, claimed, now)
            called = notices.paged_about(connection, {each.incident_id for each in standing} - {None})
            plans = [plan(each, reached, called.get(each.incident_id, set()), busy, now) for each in standing]
            for each in plans:
                notices.attempt(connection, each.notice, each.begin, now + CLAIM_S)
        self._begin(plans)
        return len(claimed)

    def _begin(self, plans: Sequence[CallPlan]) -> None:
        until = time.monotonic() + LONGEST_SEND_S
        batches: dict[str, tuple[str, list[sa.Row[Any]]]] = {}
        for each in plans:
            self._attempts[each.notice.id] = _Attempt(each.notice, each.begin, each.errors, until)
            for address in each.busy:
                self._put_off.setdefault(address, set()).add(each.notice.id)
            for address, url in each.begin.items():
                batches.setdefault(address, (url, []))[1].append(each.notice)
        for address, (url, batch) in batches.items():
            self._calls.begin(url, address, batch)

    def write_down(self) -> None:
        """Write down what was answered, and settle what waits for nothing more, or has waited too long."""
        # Whoever stops us does it too, perhaps while the thread still waits for the database.
        with self._turn:
            answers, free = self._calls.answers()
            answered = _by_notice(answers)
            left = {number: each.after(answered.get(number, {})) for number, each in self._attempts.items()}
            over = time.monotonic()
            ended = [each for each in left.values() if not each.waits_for or over >= each.until]
            if not answers and not ended:
                return
            with self._database.writing() as connection:
                # Also what comes long after the attempt was settled: it is not sent there again.
                delivered = notices.answered(connection, answered)
                settled = [
                    _notice_columns(each, delivered.get(each.notice.id, each.notice.delivered)) for each in ended
                ]
                for each, values in zip(ended, settled, strict=True):
                    notices.settle(connection, each.notice.id, **values)
                notices.hurry(connection, self._to_hurry(answers, free), time.time())
            # Only now: what could not be written is written the next time.
            self._calls.forget(len(answers))
            for address in free:
                self._put_off.pop(address, None)
            gone = {each.notice.id for each in ended}
            self._attempts = {number: each for number, each in left.items() if number not in gone}
        for each, values in zip(ended, settled, strict=True):
            _log_attempt(each, values)

    def _to_hurry(self, answers: Sequence[Answer], free: Collection[str]) -> list[int]:
        """Return what need not wait for its pause: an address has taken something, and it was that alone that lacked.

        Where it has failed the pauses hold, or two notices would take turns at it without one.
        """
        took = {answer.address: answer.wrong is None for answer in answers}
        put_off = {number for address in free if took[address] for number in self._put_off.get(address, ())}
        late = {number for answer in answers if answer.wrong is None for number in answer.notices}
        return sorted(put_off | (late - self._attempts.keys()))[:MOST_AT_ONCE]


def _by_notice(answers: Sequence[Answer]) -> dict[int, dict[str, str | None]]:
    found: dict[int, dict[str, str | None]] = {}
    for answer in answers:
        for number in answer.notices:
            found.setdefault(number, {})[answer.address] = answer.wrong
    return found


def _notice_columns(attempt: _Attempt, delivered: Sequence[str]) -> dict[str, Any]:
    """Return what is written about a notice after an attempt."""
    now, notice, lacks = time.time(), attempt.notice, attempt.lacks
    if not delivered and not lacks and notice.occasion != "resolved":
        lacks = ["it went to nobody: no route of the policy in force wants it"]
    error = "; ".join(lacks)[:1000] or None
    if error is None:
        return {"error": None, "sent_at": now}
    if now - notice.created_at > GIVE_UP_AFTER_S:
        return {"error": error, "given_up_at": now}
    return {"error": error, "due_at": now + pause_after(notice.attempts)}


def _log_attempt(attempt: _Attempt, settled: Mapping[str, Any]) -> None:
    about = {"notice": attempt.notice.id, "incident": attempt.notice.incident_id}
    if "sent_at" in settled:
        log.info("notice sent", **about)
    elif "given_up_at" in settled:
        log.error("notice given up", wrong=settled["error"], **about)
    else:
        log.warning("notice not sent yet", wrong=settled["error"], **about)
