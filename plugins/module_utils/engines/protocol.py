# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The protocol of every inference engine, and the types of its answers.

An adapter raises NotSupported for what its engine cannot do, and returns None with a reason for what it could not read.
Neither is ever turned into a success or a zero, because callers decide about production traffic.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar, Protocol

from .work import WorkSample


class NotSupported(Exception):
    """This engine, or its configuration, cannot do this. The text says what is missing, and what would help."""


class EngineError(Exception):
    """The engine failed to do what the adapter asked. C(kind) is a transport kind, C(answered) or C(not_proven)."""

    def __init__(self, kind: str, reason: str, status: int | None = None) -> None:
        super().__init__(reason)
        self.kind = kind
        self.reason = reason
        self.status = status


@dataclass(frozen=True)
class Reading:
    """The answer to a yes-or-no question. C(value) None means that it is unknown, and C(reason) says why.

    C(kind) is C(answered) when the server answered (C(status) is then its HTTP status), C(not_asked) when an earlier
    answer made the question pointless, C(not_supported) when this engine has no such answer, else the kind of the
    transport's error.
    """

    value: bool | None
    reason: str
    kind: str = "answered"
    status: int | None = None
    seconds: float | None = None


@dataclass(frozen=True)
class Stats:
    """Figures of one moment. A field that is None has its reason in C(unread), keyed by the field's name.

    running and waiting: requests.  kv_cache_usage: share from 0 to 1.  tokens_per_second: generated, as the engine
    itself averages it.  The two totals: tokens since the process started.
    """

    running: int | None = None
    waiting: int | None = None
    kv_cache_usage: float | None = None
    tokens_per_second: float | None = None
    prompt_tokens_total: int | None = None
    generation_tokens_total: int | None = None
    models: tuple[str, ...] | None = None
    version: str | None = None
    unread: Mapping[str, str] = field(default_factory=dict)

    @property
    def in_flight(self) -> int | None:
        """Requests that the engine has accepted and not finished: running + waiting. None unless both are known.

        An unread figure is not zero: in_flight_unread says which one is missing.
        """
        if self.running is None or self.waiting is None:
            return None
        return self.running + self.waiting

    @property
    def in_flight_unread(self) -> str | None:
        """Why in_flight is None, or None when it is known."""
        missing = [name for name in ("running", "waiting") if getattr(self, name) is None]
        reasons = [f"{name}: {self.unread.get(name) or self.unread.get('all') or 'not read'}" for name in missing]
        return "; ".join(reasons) or None


@dataclass(frozen=True)
class Generation:
    """A completion that was really produced: C(text) is not empty and C(tokens) is at least 1."""

    text: str
    tokens: int
    finish_reason: str
    seconds: float
    model: str | None = None


@dataclass(frozen=True)
class SavedState:
    """The files that save_state() wrote or load_state() read: C(parts) maps a file name to its number of tokens."""

    parts: Mapping[str, int]


class Engine(Protocol):
    """One running server. Every method that acts raises NotSupported or EngineError instead of pretending.

    C(cannot) names the acting methods that this kind of engine never has, and why. Other methods may still raise
    NotSupported, where the server was started without the option that they need.
    """

    name: str
    cannot: ClassVar[Mapping[str, str]]

    def live(self) -> Reading:
        """Whether the server process answers. False only when the server itself reports that its engine is dead."""

    def ready(self) -> Reading:
        """Whether the server would serve a request now: model loaded, not paused, not asleep."""

    def stats(self) -> Stats:
        """Figures for people and policies. Errors of the server end up in C(unread)."""

    def work(self) -> WorkSample:
        """The work in hand and done, by the server's counters. Errors of the server end up in C(unread)."""

    def patient(self, seconds: float) -> Engine:
        """The same server with another deadline: for each request, and at least that long for a completion."""

    def accepting(self) -> Reading:
        """Whether the server starts new requests: False after stop_accepting(), None where the engine does not say."""

    def awake(self) -> Reading:
        """Whether the model is in memory: False after sleep(), None where the engine does not say."""

    def generate(self, prompt: str, max_tokens: int, model: str | None = None) -> Generation:
        """Ask for a tiny completion. Raises EngineError for a missing answer, or one that proves nothing."""

    def stop_accepting(self) -> None:
        """Hold back new requests, and let those in flight finish."""

    def pause(self) -> None:
        """Hold back new requests and freeze those in flight, until resume_accepting().

        A drain must not use this, because frozen requests never finish.
        """

    def resume_accepting(self) -> None:
        """Undo stop_accepting() or pause()."""

    def abort_all(self) -> None:
        """End every request in flight."""

    def reset(self) -> None:
        """Drop cached state, so that the next request starts without a cache."""

    def clear(self) -> None:
        """End every request, running or waiting, drop cached state, and take new requests again.

        That the server answered proves nothing: an API process may answer while its engine core stands.
        """

    def sleep(self) -> None:
        """Free the accelerator's memory but keep the process. Requests are not served meanwhile."""

    def wake(self) -> None:
        """Undo sleep()."""

    def save_state(self, name: str) -> SavedState:
        """Save the generation state that the server can save, under a name that the caller chooses."""

    def load_state(self, name: str) -> SavedState:
        """Load what save_state() saved under this name."""
