# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Alertmanager's silences: read from its API now and then, and asked of by decisions without waiting."""

from __future__ import annotations

import json
import ssl
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import httpx
import structlog

from autoglm_recovery.policy.guardrails import Silences as Setting
from autoglm_recovery.policy.matchers import Matcher, compile_matcher
from autoglm_recovery.receiver.situation import Silence

log = structlog.get_logger()

MOST_BYTES = 16 << 20
_NOT_SET_UP_S = 5.0


@dataclass(frozen=True)
class Known:
    """One silence.  C(matchers) must all fit; one that cannot be read (None) is taken to fit, which only holds more."""

    silence: Silence
    starts_at: float
    matchers: tuple[Matcher | None, ...]

    def fits(self, labels: Mapping[str, str], now: float) -> bool:
        """Tell whether an alert is silenced by this."""
        if not self.starts_at <= now < self.silence.until:
            return False
        return all(matcher is None or matcher.matches(labels) for matcher in self.matchers)


@dataclass(frozen=True)
class Silences:
    """What was known at the last look.  C(unknown) says that Alertmanager could not be asked then."""

    known: tuple[Known, ...] = ()
    unknown: bool = False

    def covering(self, labels: Sequence[Mapping[str, str]], now: float) -> tuple[Silence | None, bool]:
        """Return a silence where every alert is silenced (the one that ends first), and whether the look failed."""
        ends = []
        for each in labels:
            fitting = [known.silence for known in self.known if known.fits(each, now)]
            if not fitting:
                return None, self.unknown
            ends.append(max(fitting, key=lambda silence: silence.until))
        return min(ends, key=lambda silence: silence.until, default=None), self.unknown


NONE_ASKED = Silences()


def read_silences(answer: object) -> tuple[Known, ...]:
    """Read what C(GET /api/v2/silences) answers.

    :raises ValueError: if it is not what Alertmanager's API v2 says.
    """
    if not isinstance(answer, list):
        raise ValueError("the answer is no list of silences")  # noqa: TRY004 - what came over the wire is wrong
    try:
        return tuple(_known(entry) for entry in answer if entry["status"]["state"] in ("active", "pending"))
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"a silence in the answer cannot be read: {error!r}") from error


def _known(entry: Mapping[str, Any]) -> Known:
    until = datetime.fromisoformat(entry["endsAt"]).timestamp()
    by, comment = str(entry.get("createdBy", ""))[:200], " ".join(str(entry.get("comment", "")).split())[:300]
    starts_at = datetime.fromisoformat(entry["startsAt"]).timestamp()
    matchers = tuple(_matcher(matcher) for matcher in entry["matchers"])
    if not matchers:
        raise ValueError("a silence in the answer has no matchers")
    return Known(Silence(str(entry["id"])[:100], by, comment, until), starts_at, matchers)


def _matcher(entry: Mapping[str, Any]) -> Matcher | None:
    operators = {(False, True): "=", (False, False): "!=", (True, True): "=~", (True, False): "!~"}
    operator = operators[bool(entry["isRegex"]), bool(entry.get("isEqual", True))]
    try:
        return compile_matcher(str(entry["name"]), operator, str(entry["value"]))
    except ValueError:  # Go's expressions know a few things that Python's do not
        return None


class SilenceWatch:
    """Looks at Alertmanager every now and then, in a thread of its own, so that no decision waits for it."""

    def __init__(self, setting: Callable[[], Setting | None]) -> None:
        self._setting = setting
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="silences", daemon=True)
        self._asked_of: str | None = None
        self.now = NONE_ASKED

    def start(self) -> None:
        """Look once, for a moment at most, then go on in the background."""
        self.look()
        self._thread.start()

    def stop(self) -> None:
        """End."""
        self._stopping.set()
        self._thread.join()

    def look(self) -> float:
        """Ask once; return in how many seconds to ask again."""
        setting = self._setting()
        if setting is None:
            self.now, self._asked_of = NONE_ASKED, None
            return _NOT_SET_UP_S
        if setting.alertmanager != self._asked_of:
            self.now, self._asked_of = Silences(unknown=True), setting.alertmanager
        try:
            known = read_silences(_ask(setting))
        except (httpx.HTTPError, OSError, ValueError) as error:
            if not self.now.unknown or not self.now.known:
                log.warning("silences cannot be asked for", alertmanager=setting.alertmanager, reason=_why(error))
            # What was known counts on: a silence is a person's word up to its end.
            self.now = Silences(self.now.known, unknown=True)
        else:
            self.now = Silences(known)
        return setting.every.total_seconds()

    def _run(self) -> None:
        while not self._stopping.is_set():
            begun = time.monotonic()
            pause = self.look()
            self._stopping.wait(max(0.5, pause - (time.monotonic() - begun)))


def _ask(setting: Setting) -> object:
    headers = {"Accept": "application/json"}
    if setting.token_file is not None:
        headers["Authorization"] = f"Bearer {setting.token_file.read_text('ascii').strip()}"
    verify: ssl.SSLContext | bool = ssl.create_default_context(cafile=setting.ca_path) if setting.ca_path else True
    timeout = setting.timeout.total_seconds()
    # Inside the fleet: no business of a proxy's.
    with (
        httpx.Client(timeout=timeout, verify=verify, trust_env=False) as client,
        client.stream("GET", f"{setting.alertmanager}/api/v2/silences", headers=headers) as answer,
    ):
        answer.raise_for_status()
        body, until = bytearray(), time.monotonic() + timeout * 4
        for chunk in answer.iter_bytes():
            body += chunk
            if len(body) > MOST_BYTES or time.monotonic() > until:
                raise ValueError(f"the answer is longer than {MOST_BYTES} bytes or takes too long")
        return json.loads(body)


def _why(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"[:300]
