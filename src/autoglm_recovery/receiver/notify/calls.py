# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Calls to the addresses of people: one at a time to each, and each in a thread of its own.

An address that hangs keeps its own thread and nobody else's.  What was answered lies here until it was written down,
and so long its address counts as busy: nobody is called again with what he has taken, however late he said so.
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from autoglm_recovery.receiver.notify.letters import Letter, letters


@dataclass(frozen=True)
class Answer:
    """What became of notices at one address, which is given by its digest; ``wrong`` is None where it took them."""

    address: str
    notices: tuple[int, ...]
    wrong: str | None


class Calls:
    """The calls that go on, and what was answered and is not written down yet."""

    def __init__(self, send: Callable[[str, Letter], str | None], answered: Callable[[], None]) -> None:
        """Begin none yet.  ``send`` returns what went wrong; ``answered`` is called after each answer."""
        self._send = send
        self._answered = answered
        self._changed = threading.Condition()
        self._running: set[str] = set()
        self._answers: list[Answer] = []

    def begin(self, url: str, address: str, batch: Sequence[sa.Row[Any]]) -> None:
        """Send notices to an address that is not busy."""
        with self._changed:
            assert address not in self._running  # noqa: S101 - the caller has asked which are busy
            self._running.add(address)
        # A daemon: the receiver ends also while somebody never answers.
        name = f"notice to {address[:8]}"
        thread = threading.Thread(target=self._call, args=(url, address, batch), name=name, daemon=True)
        try:
            thread.start()
        except RuntimeError as error:  # no more threads are to be had; it is tried again
            self._note(Answer(address, tuple(notice.id for notice in batch), f"not begun: {error}"), ends=True)

    def busy(self) -> set[str]:
        """Return the addresses that must not be called now."""
        with self._changed:
            return self._running | {answer.address for answer in self._answers}

    def answers(self) -> tuple[list[Answer], set[str]]:
        """Return what was answered and is not written down yet, and which addresses are free once it is."""
        with self._changed:
            return list(self._answers), {answer.address for answer in self._answers} - self._running

    def forget(self, written: int) -> None:
        """Drop so many answers, the oldest: they are written down."""
        with self._changed:
            del self._answers[:written]

    def wait(self, within_s: float) -> None:
        """Wait until no call goes on, or for so long."""
        with self._changed:
            self._changed.wait_for(lambda: not self._running, within_s)

    def _call(self, url: str, address: str, batch: Sequence[sa.Row[Any]]) -> None:
        left = [notice.id for notice in batch]
        try:
            for letter in letters(batch):
                wrong = self._send(url, letter)
                left = [number for number in left if number not in letter.notices]
                # Letter by letter: what was taken is known also where the next one hangs.
                self._note(Answer(address, letter.notices, wrong), ends=not left)
        except BaseException as error:  # noqa: BLE001 - also what a plugin throws to end a thread: the address is freed
            self._note(Answer(address, tuple(left), f"the call broke off: {type(error).__name__}"), ends=True)

    def _note(self, answer: Answer, *, ends: bool) -> None:
        # Both at once, so that an address whose answers are all written down is free.
        with self._changed:
            self._answers.append(answer)
            if ends:
                self._running.discard(answer.address)
                self._changed.notify_all()
        self._answered()


def call_each(
    send: Callable[[str, Letter], str | None], letters: Mapping[str, Letter], within_s: float
) -> dict[str, str | None]:
    """Call all addresses at once; return what those answered that did within so many seconds: None, or what was wrong.

    Whoever hangs is left behind in a daemon thread, so that nobody waits for him and the process can end.
    """
    answered: queue.SimpleQueue[tuple[str, str | None]] = queue.SimpleQueue()

    def call(url: str, letter: Letter) -> None:
        try:
            answered.put((url, send(url, letter)))
        except BaseException as error:  # noqa: BLE001 - also what a plugin throws to end a thread
            answered.put((url, f"the call broke off: {type(error).__name__}"))

    for url, letter in letters.items():
        try:
            threading.Thread(target=call, args=(url, letter), name="page", daemon=True).start()
        except RuntimeError as error:  # no more threads are to be had
            answered.put((url, f"not begun: {error}"))
    until, found = time.monotonic() + within_s, dict[str, str | None]()
    while len(found) < len(letters):
        try:
            url, wrong = answered.get(timeout=max(0.0, until - time.monotonic()))
        except queue.Empty:
            break
        found[url] = wrong
    return found
