# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The base class of the adapters: every method that acts raises NotSupported.

An adapter overrides what its engine can do, and gives a reason for each of the other methods in C(cannot).
"""

from __future__ import annotations

import copy
import time
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, ClassVar, NoReturn

from .options import Option, read_options
from .protocol import Generation, NotSupported, Reading, SavedState, Stats
from .scraped import Scraped
from .server import EngineServer
from .watched import WatchedMetrics, look
from .work import WorkSample

# Methods that act on the server. Each is either overridden or explained; a unit test holds every adapter to it.
ACTS = (
    "stop_accepting",
    "pause",
    "resume_accepting",
    "abort_all",
    "reset",
    "clear",
    "sleep",
    "wake",
    "save_state",
    "load_state",
)


class Adapter(ABC):
    """One server of one kind of engine. C(options): the engine's options beside the address of a server.

    watched: the metrics that show its work; None where there are none.  scraped: how Prometheus reads its metrics.
    requests_path: where it lists its open requests one by one, None where it only counts them.  state_format: the
    checkpoint format that save_state writes.
    """

    name = ""
    cannot: ClassVar[Mapping[str, str]] = {}
    options: ClassVar[Mapping[str, Option]] = {}
    watched: ClassVar[WatchedMetrics | None] = None
    scraped: ClassVar[Scraped] = Scraped()
    requests_path: ClassVar[str | None] = None
    state_format: ClassVar[str | None] = None

    def __init__(self, server: EngineServer, given: Mapping[str, Any] | None = None) -> None:
        """Raises ValueError for options that the engine does not accept."""
        self._server = server
        self._options = read_options(self.name, self.options, given or {})

    @abstractmethod
    def live(self) -> Reading:
        """Ask whether the process answers at all."""

    @abstractmethod
    def ready(self) -> Reading:
        """Ask whether it takes requests."""

    @abstractmethod
    def stats(self) -> Stats:
        """Read what runs and waits."""

    @abstractmethod
    def generate(self, prompt: str, max_tokens: int, model: str | None = None) -> Generation:
        """Have it generate, as a user would."""

    def work(self) -> WorkSample:
        at = time.monotonic()
        if self.watched is None:
            return WorkSample(at, unread=f"{self.name} has no counters of its work")
        return look(self._server, "/metrics", self.watched, at)[0]

    def patient(self, seconds: float) -> Adapter:
        other = copy.copy(self)
        other._server = replace(self._server, timeout=seconds, generate_timeout=max(seconds, self._server.patience))
        return other

    def accepting(self) -> Reading:
        return self._untold("whether it holds new requests back")

    def awake(self) -> Reading:
        return self._untold("whether it sleeps")

    def stop_accepting(self) -> None:
        self._refuse("stop_accepting")

    def pause(self) -> None:
        self._refuse("pause")

    def resume_accepting(self) -> None:
        self._refuse("resume_accepting")

    def abort_all(self) -> None:
        self._refuse("abort_all")

    def reset(self) -> None:
        self._refuse("reset")

    def clear(self) -> None:
        self._refuse("clear")

    def sleep(self) -> None:
        self._refuse("sleep")

    def wake(self) -> None:
        self._refuse("wake")

    def save_state(self, name: str) -> SavedState:  # noqa: ARG002  # the protocol's signature
        self._refuse("save_state")

    def load_state(self, name: str) -> SavedState:  # noqa: ARG002  # the protocol's signature
        self._refuse("load_state")

    def _refuse(self, act: str) -> NoReturn:
        raise NotSupported(self.cannot[act])

    def _untold(self, what: str) -> Reading:
        return Reading(None, f"{self.name} does not tell {what}", kind="not_supported")
