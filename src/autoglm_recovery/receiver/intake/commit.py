# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Commit alerts before they are acknowledged, many deliveries to one disk write.

A thread of its own gathers all deliveries that wait and commits them in one transaction.  While one commit is on its
way to the disk the next batch gathers, so that a storm costs few fsyncs and a single alert waits for nobody.
"""

from __future__ import annotations

import queue
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from autoglm_recovery.receiver.intake.payload import Rejected, redelivery_key
from autoglm_recovery.receiver.process.worker import Worker
from autoglm_recovery.receiver.store import heard, refusals, schema
from autoglm_recovery.receiver.store.database import Database
from autoglm_recovery.receiver.values.clock import Clock, wall
from autoglm_recovery.receiver.values.model import Alert
from autoglm_recovery.receiver.values.watchdog import is_watchdog

MOST_DELIVERIES_IN_A_COMMIT = 256
MOST_WAITING = 2048
_MOST_KEYS = 1000
# A sender waits while this thread pauses after an error.
_FIRST_PAUSE_S = 0.05
_LONGEST_PAUSE_S = 1.0
# So that a thread with nothing to do is seen to come round.
_LONGEST_WAIT_S = 10.0


class Overloaded(RuntimeError):
    """More deliveries wait than will be taken; the sender should try again."""


@dataclass(frozen=True)
class Delivery:
    """One webhook POST."""

    group_key: str
    alerts: tuple[Alert, ...]
    rejected: tuple[Rejected, ...] = ()
    # A digest of who sent it: triage/news.py compares the senders of what is told of one alert.
    sender: str = ""


@dataclass(frozen=True)
class DeliveryReceipt:
    """What became of a delivery, once it is on disk."""

    committed_at: float
    new: int
    duplicates: int
    rejected: int


class Intake:
    """The writer of deliveries."""

    def __init__(self, database: Database, on_commit: Callable[[], None], clock: Clock = wall) -> None:
        self._database = database
        self._on_commit = on_commit
        self._clock = clock
        self._waiting: queue.Queue[tuple[Delivery, Future[DeliveryReceipt]] | None] = queue.Queue(MOST_WAITING)
        self._failed = False
        self.worker = Worker(
            "intake", self._write, first_pause_s=_FIRST_PAUSE_S, longest_pause_s=_LONGEST_PAUSE_S, vital=True
        )

    def start(self) -> None:
        """Begin to write."""
        self.worker.start()

    def stop(self) -> None:
        """Commit what waits, then end."""
        with suppress(queue.Full):
            self._waiting.put_nowait(None)
        self.worker.stop()
        while not self._waiting.empty():
            self.worker.attempt()

    def submit(self, delivery: Delivery) -> Future[DeliveryReceipt]:
        """Hand over a delivery.  The future ends when it is on disk, or with the reason why it is not.

        Raises Overloaded if too much waits already.
        """
        done: Future[DeliveryReceipt] = Future()
        try:
            self._waiting.put_nowait((delivery, done))
        except queue.Full as error:
            raise Overloaded(f"{MOST_WAITING} deliveries wait to be written") from error
        return done

    def can_store(self) -> bool:
        """Tell whether the next delivery is likely to be stored.  After a failure this is tried, not hoped."""
        if (trouble := self.worker.trouble) is not None and trouble.stuck:
            return False
        if not self._failed:
            return True
        try:
            with self._database.appending() as connection:
                connection.exec_driver_sql("UPDATE alembic_version SET version_num = version_num")
        except sa.exc.SQLAlchemyError:
            return False
        self._failed = False
        return True

    def _write(self) -> float:
        batch = self._gather()
        if not batch:
            return 0.0
        try:
            receipts = self._commit([delivery for delivery, _ in batch])
        except BaseException as error:
            # Every sender must hear of it, and the next batch must go on.
            self._failed = True
            for _, done in batch:
                if not done.cancelled():
                    done.set_exception(error)
            raise
        self._failed = False
        for (_, done), receipt in zip(batch, receipts, strict=True):
            if not done.cancelled():
                done.set_result(receipt)
        self._on_commit()
        return 0.0

    def _gather(self) -> list[tuple[Delivery, Future[DeliveryReceipt]]]:
        try:
            first = self._waiting.get(timeout=_LONGEST_WAIT_S)
        except queue.Empty:
            return []
        if first is None:
            return []
        # From here on a sender that waits no longer cannot cancel; one that has done so before is stored all the same.
        first[1].set_running_or_notify_cancel()
        batch = [first]
        while len(batch) < MOST_DELIVERIES_IN_A_COMMIT:
            try:
                following = self._waiting.get_nowait()
            except queue.Empty:
                break
            if following is None:
                continue
            following[1].set_running_or_notify_cancel()
            batch.append(following)
        return batch

    def _commit(self, deliveries: Sequence[Delivery]) -> list[DeliveryReceipt]:
        now = self._clock()
        set_aside = [
            {"received_at": now, "reason": rejected.reason, "raw": rejected.raw}
            for delivery in deliveries
            for rejected in delivery.rejected
        ]
        with self._database.appending() as connection:
            rounds = _Rounds(connection, [alert for delivery in deliveries for alert in delivery.alerts])
            rows = [[_row(delivery, alert, rounds, now) for alert in delivery.alerts] for delivery in deliveries]
            fresh = self._store(connection, [row for of_one in rows for row in of_one], rounds)
            if set_aside:
                connection.execute(schema.rejects.insert(), set_aside)
                refusals.note(connection, [_unreadable(str(one["reason"]), str(one["raw"])) for one in set_aside], now)
            told = (alert for delivery in deliveries for alert in delivery.alerts)
            watchdogs = {alert.status for alert in told if is_watchdog(alert.labels)}
            if "firing" in watchdogs:
                heard.note(connection, now)
            if "resolved" in watchdogs:
                heard.broken(connection)
            if fresh:
                self._database.notify(connection)
        receipts = []
        for delivery, of_one in zip(deliveries, rows, strict=True):
            # Of news that came twice at once, the first delivery brought it.
            mine = {row["redelivery_key"] for row in of_one} & fresh
            fresh -= mine
            receipts.append(DeliveryReceipt(now, len(mine), len(of_one) - len(mine), len(delivery.rejected)))
        return receipts

    def _store(self, connection: sa.Connection, rows: Sequence[dict[str, object]], rounds: _Rounds) -> set[object]:
        """Insert the news among the rows, count the rest, and return the keys of the news.

        In an order that is the same for all, so that two receivers that are told the same at once never wait for each
        other in a circle, and in which what fires comes before its end, as it is taken in.
        """
        if not rows:
            return set()
        told = Counter(str(row["redelivery_key"]) for row in rows)
        first = {row["redelivery_key"]: row for row in reversed(rows)}
        ordered = [{**first[key], "deliveries": told[key]} for key in sorted(told, key=rounds.place)]
        insert = postgresql.insert if self._database.shared else sqlite.insert
        statement = insert(schema.alerts).on_conflict_do_nothing(index_elements=["redelivery_key"])
        fresh = set(connection.execute(statement.returning(schema.alerts.c.redelivery_key), ordered).scalars())
        again: dict[int, list[str]] = {}
        for key in sorted(told.keys() - fresh):
            again.setdefault(told[key], []).append(key)
        for times, keys in again.items():
            self._count(connection, keys, times)
        return fresh

    def _count(self, connection: sa.Connection, keys: Sequence[str], times: int) -> None:
        """Count more deliveries of the same news.  It is only a figure, and waits for no alert that is looked at."""
        for at in range(0, len(keys), _MOST_KEYS):
            some = schema.alerts.c.redelivery_key.in_(keys[at : at + _MOST_KEYS])
            free = sa.select(schema.alerts.c.id).where(some).with_for_update(skip_locked=True)
            counted = schema.alerts.update().where(schema.alerts.c.id.in_(free))
            connection.execute(counted.values(deliveries=schema.alerts.c.deliveries + times))


def _unreadable(reason: str, raw: str) -> refusals.RefusedAlert:
    """Return what is told of an entry that is no alert; ``reason`` begins with where in it that was seen."""
    return refusals.RefusedAlert(
        refused_as=refusals.UNREADABLE,
        alert=f"what cannot be read as an alert, at {reason.partition(':')[0][:100]}",
        sender="",
        failure_class="unknown",
        reason=reason,
        advice="an alert as Alertmanager's webhook has it: status, labels and annotations that are texts, startsAt",
        labels={"received": raw[:1000]},
    )


class _Rounds:
    """Counts, for each firing and each end, what was told of the opposite before it."""

    def __init__(self, connection: sa.Connection, alerts: Sequence[Alert]) -> None:
        self._known: dict[tuple[str, float, str], set[str]] = {}
        self._places: dict[str, tuple[str, float, int, str]] = {}
        identities = sorted({alert.identity for alert in alerts})
        table = schema.alerts.c
        first = min((alert.starts_at for alert in alerts), default=0.0)
        for at in range(0, len(identities), _MOST_KEYS):
            some = table.identity.in_(identities[at : at + _MOST_KEYS]) & (table.starts_at >= first)
            query = sa.select(table.identity, table.starts_at, table.status, table.redelivery_key).where(some)
            for identity, starts_at, status, key in connection.execute(query):
                self._keys_of(identity, starts_at, status).add(key)

    def key(self, group_key: str, alert: Alert) -> str:
        """Return the redelivery key of what comes next."""
        over = alert.status == "resolved"
        round_ = len(self._keys_of(alert.identity, alert.starts_at, "firing" if over else "resolved"))
        key = redelivery_key(group_key, alert, round_)
        self._keys_of(alert.identity, alert.starts_at, alert.status).add(key)
        # Fires, ends (after one firing), fires again (after one end), ends again: 0, 1, 2, 3.
        self._places[key] = (alert.identity, alert.starts_at, 2 * round_ - over, key)
        return key

    def place(self, key: str) -> tuple[str, float, int, str]:
        """Return by what a key is ordered: what is told of an alert as it happened."""
        return self._places[key]

    def _keys_of(self, identity: str, starts_at: float, status: str) -> set[str]:
        return self._known.setdefault((identity, starts_at, status), set())


def _row(delivery: Delivery, alert: Alert, rounds: _Rounds, now: float) -> dict[str, object]:
    return {
        "redelivery_key": rounds.key(delivery.group_key, alert),
        "deliveries": 1,
        "group_key": delivery.group_key,
        "sender": delivery.sender,
        "fingerprint": alert.fingerprint,
        "identity": alert.identity,
        "status": alert.status,
        "starts_at": alert.starts_at,
        "ends_at": alert.ends_at,
        "labels": alert.labels,
        "annotations": alert.annotations,
        "generator_url": alert.generator_url,
        "committed_at": now,
        "outcome": "new",
    }
