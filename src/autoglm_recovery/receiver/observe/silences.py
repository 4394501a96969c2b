# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Alertmanager's silences: read from its API now and then, and asked of by decisions without waiting."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import repeat
from typing import Any

import structlog

from autoglm_recovery.knowledge.host.plain import one_line
from autoglm_recovery.policy.guardrails import Silences as Setting
from autoglm_recovery.policy.matchers import LONGEST_MATCHED_VALUE, Matcher, compile_matcher
from autoglm_recovery.receiver.observe.alertmanager import AlertmanagerClient, Unanswered
from autoglm_recovery.receiver.process.worker import Worker
from autoglm_recovery.receiver.values.situation import Silence

log = structlog.get_logger()

_NOT_SET_UP_S = 5.0
_SHORTEST_PAUSE_S = 0.5
# An answer that is older than so many looks should have been is no answer any more.
_LOOKS_MISSED = 4


@dataclass(frozen=True)
class KnownSilence:
    """One silence.  ``matchers`` must all fit.

    One that cannot be read (None), or has too long a text to match, is taken to fit, which only holds more.
    """

    silence: Silence
    starts_at: float
    matchers: tuple[Matcher | None, ...]

    def fits(self, labels: Mapping[str, str], now: float) -> bool:
        """Tell whether an alert is silenced by this."""
        if not self.starts_at <= now < self.silence.until:
            return False
        return all(map(_may_match, self.matchers, repeat(labels)))


def _may_match(matcher: Matcher | None, labels: Mapping[str, str]) -> bool:
    """Tell whether a matcher fits, or nobody can say."""
    if matcher is None:
        return True
    value = labels.get(matcher.label, "")
    return (matcher.pattern is not None and len(value) > LONGEST_MATCHED_VALUE) or matcher.matches(labels)


@dataclass(frozen=True)
class SilenceSnapshot:
    """What was known at the last look.  ``unknown`` says that Alertmanager could not be asked then.

    ``own`` is who stands in those that a receiver made itself: they keep nobody from acting.
    """

    known: tuple[KnownSilence, ...] = ()
    unknown: bool = False
    own: str | None = None

    def covering(self, labels: Sequence[Mapping[str, str]], now: float) -> tuple[Silence | None, bool]:
        """Return a silence where every alert is silenced (the one that ends first), and whether the look failed."""
        ends = []
        for each in labels:
            others = [known for known in self.known if known.silence.by != self.own]
            fitting = [known.silence for known in others if known.fits(each, now)]
            if not fitting:
                return None, self.unknown
            ends.append(max(fitting, key=lambda silence: silence.until))
        return min(ends, key=lambda silence: silence.until, default=None), self.unknown


NONE_ASKED = SilenceSnapshot()


def read_silences(answer: object) -> tuple[KnownSilence, ...]:
    """Read what ``GET /api/v2/silences`` answers.

    Raises ValueError if it is not what Alertmanager's API v2 says.
    """
    if not isinstance(answer, list):
        raise ValueError("the answer is no list of silences")  # noqa: TRY004 - what came over the wire is wrong
    try:
        return tuple(_known(entry) for entry in answer if entry["status"]["state"] in ("active", "pending"))
    except (KeyError, TypeError, AttributeError, OverflowError, ValueError) as error:
        raise ValueError(f"a silence in the answer cannot be read: {error!r:.200}") from error


def _known(entry: Mapping[str, Any]) -> KnownSilence:
    until = datetime.fromisoformat(entry["endsAt"]).timestamp()
    by, comment = one_line(entry.get("createdBy", ""), 200), one_line(entry.get("comment", ""), 300)
    starts_at = datetime.fromisoformat(entry["startsAt"]).timestamp()
    matchers = tuple(_matcher(matcher) for matcher in entry["matchers"])
    if not matchers:
        raise ValueError("a silence in the answer has no matchers")
    return KnownSilence(Silence(str(entry["id"])[:100], by, comment, until), starts_at, matchers)


def _matcher(entry: Mapping[str, Any]) -> Matcher | None:
    operators = {(False, True): "=", (False, False): "!=", (True, True): "=~", (True, False): "!~"}
    operator = operators[bool(entry["isRegex"]), bool(entry.get("isEqual", True))]
    try:
        return compile_matcher(str(entry["name"]), operator, str(entry["value"]))
    except ValueError:  # larger than we match
        return None


class SilenceWatch:
    """Looks at Alertmanager every now and then, in a thread of its own, so that no decision waits for it."""

    def __init__(self, setting: Callable[[], Setting | None], own: str | None = None) -> None:
        """``own`` is who stands in the silences that this installation makes."""
        self._setting = setting
        self._own = own
        self.worker = Worker("silences", self._step, stuck_after=self._longest_look, first_after_s=_SHORTEST_PAUSE_S)
        self._asked_of: str | None = None
        self._known = NONE_ASKED
        self._known_until = math.inf

    def start(self) -> None:
        """Look once, for a moment at most, then go on in the background."""
        self.worker.attempt()
        self.worker.start()

    def stop(self) -> None:
        """End."""
        self.worker.stop()

    @property
    def now(self) -> SilenceSnapshot:
        """Return what is known.  What should have been asked again long ago is not known."""
        late = time.monotonic() > self._known_until
        return replace(self._known, unknown=late or self._known.unknown, own=self._own)

    def look(self) -> float:
        """Ask once; return in how many seconds to ask again."""
        try:
            return self._ask_for_silences()
        except BaseException:
            # Whatever it was: what was not read is not known, and nobody may take it for "no silence".
            self._known = replace(self._known, unknown=True)
            raise

    def _ask_for_silences(self) -> float:
        setting = self._setting()
        if setting is None:
            self._known, self._known_until, self._asked_of = NONE_ASKED, math.inf, None
            return _NOT_SET_UP_S
        if setting.alertmanager != self._asked_of:
            self._known, self._asked_of = SilenceSnapshot(unknown=True), setting.alertmanager
        every = setting.every.total_seconds()
        try:
            known = read_silences(_ask(setting))
        except (Unanswered, ValueError) as error:
            if not self._known.unknown or not self._known.known:
                log.warning("silences cannot be asked for", alertmanager=setting.alertmanager, reason=str(error)[:300])
            # What was known counts on: a silence is a person's word up to its end.
            self._known = SilenceSnapshot(self._known.known, unknown=True)
        else:
            self._known = SilenceSnapshot(known)
            self._known_until = time.monotonic() + _LOOKS_MISSED * (every + setting.timeout.total_seconds())
        return every

    def _step(self) -> float:
        begun = time.monotonic()
        pause = self.look()
        return max(_SHORTEST_PAUSE_S, pause - (time.monotonic() - begun))

    def _longest_look(self) -> float:
        setting = self._setting()
        return _LOOKS_MISSED * (setting.timeout.total_seconds() if setting else 0.0) + 60.0


def _ask(setting: Setting) -> object:
    with AlertmanagerClient(setting.alertmanager, setting) as client:
        return client.silences()
