# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What every inference engine is asked, and the shapes of the answers.

An engine that cannot do a thing raises NotSupported; an answer that could not be read is None with a reason.  Neither
is ever turned into a success or a zero, because what stands above decides over other people's traffic.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar, Protocol

from .work import WorkSample


class NotSupported(Exception):
    """This engine, or this configuration of it, cannot do what was asked. The text says which, and what would help."""


class EngineError(Exception):
    """The engine was asked and did not do it. C(kind) is a transport kind, C(answered) or C(not_proven)."""

    def __init__(self, kind: str, reason: str, status: int | None = None) -> None:
        super().__init__(reason)
        self.kind = kind
        self.reason = reason
        self.status = status


@dataclass(frozen=True)
class Reading:
    """One yes-or-no question. C(value) None means that it could not be read, and C(reason) says why.

    C(kind) is C(answered) when the server answered (C(status) is then its HTTP status), C(not_asked) when the
    question was pointless after an earlier one, C(not_supported) when this engine does not tell, else the kind of the
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
        """Requests that the engine has taken and not ended: running + waiting. None unless both are known.

        Half of a sum is not less work, and a figure that was not read is not zero: in_flight_unread says which one.
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
    """What save_state() or load_state() moved: C(parts) maps a file name to its number of tokens."""

    parts: Mapping[str, int]


class Engine(Protocol):
    """One running server. Every method that acts raises NotSupported or EngineError instead of pretending.

    C(cannot) names the acting methods that this kind of engine never has, and why. One that is not named there may
    still raise NotSupported, where the server was started without what it takes.
    """

    name: str
    cannot: ClassVar[Mapping[str, str]]

    def live(self) -> Reading:
        """Does the server process answer? False only when it says itself that its engine is dead."""

    def ready(self) -> Reading:
        """Would it take a request now: model loaded, not paused, not asleep?"""

    def stats(self) -> Stats:
        """Figures for people and policies. Does not raise."""

    def work(self) -> WorkSample:
        """What it has in hand and has done, by its counters. Does not raise: C(unread) says why there are none."""

    def patient(self, seconds: float) -> Engine:
        """The same server, with this deadline for each question and at least this one for a completion."""

    def accepting(self) -> Reading:
        """Does it start on new requests? False after stop_accepting(), None where the engine does not tell."""

    def awake(self) -> Reading:
        """Does it hold its model in memory? False after sleep(), None where the engine does not tell."""

    def generate(self, prompt: str, max_tokens: int, model: str | None = None) -> Generation:
        """Ask for a tiny completion. Raises EngineError when it does not come, or proves nothing."""

    def stop_accepting(self) -> None:
        """Hold back new requests, and let those in flight come to their end."""

    def pause(self) -> None:
        """Freeze: hold back new requests, and stop those in flight where they are, to go on after resume_accepting().

        A drain must not use it: what is frozen never ends.
        """

    def resume_accepting(self) -> None:
        """Undo stop_accepting() or pause()."""

    def abort_all(self) -> None:
        """End every request in flight."""

    def reset(self) -> None:
        """Drop cached state, so that the next request starts from nothing."""

    def sleep(self) -> None:
        """Give the accelerator's memory back, the process staying. Requests that come meanwhile are not served."""

    def wake(self) -> None:
        """Undo sleep()."""

    def save_state(self, name: str) -> SavedState:
        """Save what generation state the server can save, under a name of the caller's."""

    def load_state(self, name: str) -> SavedState:
        """Load what save_state() saved under this name."""
