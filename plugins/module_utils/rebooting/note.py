# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The note of an ordered reboot, on the host itself: it outlives the reboot, and the run that has ordered it.

It says which boot was to end. A host with another boot id has been rebooted since, so that nobody orders that reboot a
second time. The note stays after the proof too: it says when the host was rebooted last, and for whom.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from ..host import clocks, note_file
from ..host.plain import one_line

PATH = "/var/lib/autoglm/reboot/note.json"
# What came of it: nobody knows yet, the host was proven to be well, or it was not.
ORDERED, PROVEN, UNPROVEN = "ordered", "proven", "unproven"
_STATES = (ORDERED, PROVEN, UNPROVEN)
_LONGEST_TEXT, _LONGEST_NAME, _MOST_NAMES = 600, 120, 256


@dataclass(frozen=True)
class RebootNote:
    """A reboot.

    boot: the id of the boot that was to end.  at: when it was ordered, in seconds since 1970.  gpus: those that were
    read before, by UUID.  gpu_count: how many there were at least, also those that could not be read.
    services: what ran.  words: what was found wrong afterwards.
    """

    boot: str
    at: float
    who: str
    why: str
    incident: str = ""
    gpus: tuple[str, ...] = ()
    gpu_count: int = 0
    services: tuple[str, ...] = ()
    state: str = ORDERED
    words: str = ""

    def said(self) -> str:
        """When, by whom and why, in one line."""
        return f"ordered {clocks.in_words(self.at)} by {self.who}: {self.why}"


class NoteUnreadable(Exception):
    """There is a note, or may be one, and what it says cannot be read."""


def make(told: Mapping[str, Any]) -> RebootNote:
    """A note of values that may come from anywhere. Raises KeyError, TypeError and ValueError for what is none."""
    at, count, state = told["at"], told["gpu_count"], told["state"]
    if isinstance(at, bool) or not isinstance(at, (int, float)) or not math.isfinite(at):
        raise TypeError("a moment is a number")
    if isinstance(count, bool) or not isinstance(count, int) or count < 0:
        raise TypeError("a count of GPUs is a number")
    if state not in _STATES:
        raise ValueError("it has a state that is none")
    texts = {name: told[name] for name in ("boot", "who", "why", "incident", "words")}
    if not all(isinstance(text, str) for text in texts.values()):
        raise TypeError("a field has another type than ours")
    names = {name: told[name] for name in ("gpus", "services")}
    if not all(isinstance(each, (list, tuple)) for each in names.values()):
        raise TypeError("a list is none")
    told_texts = {name: one_line(text, _LONGEST_TEXT) for name, text in texts.items()}
    told_names = {
        name: tuple(one_line(one, _LONGEST_NAME) for one in each[:_MOST_NAMES]) for name, each in names.items()
    }
    return RebootNote(
        boot=told_texts["boot"],
        at=float(at),
        who=told_texts["who"],
        why=told_texts["why"],
        incident=told_texts["incident"],
        gpus=told_names["gpus"],
        gpu_count=count,
        services=told_names["services"],
        state=state,
        words=told_texts["words"],
    )


def as_text(note: RebootNote) -> str:
    """What is written."""
    return json.dumps(asdict(note), sort_keys=True) + "\n"


def parse(text: str) -> RebootNote:
    """What was written. Raises ValueError for anything else."""
    try:
        return make(json.loads(text))
    except (KeyError, TypeError, OverflowError, RecursionError) as error:
        raise ValueError("it is no note of ours") from error


def read(path: str) -> RebootNote | None:
    """The note of the last reboot, None where there is none. Raises NoteUnreadable."""
    try:
        text = note_file.read(path)
        return None if text is None else parse(text)
    except OSError as error:
        raise NoteUnreadable(f"whether a reboot was ordered cannot be read: {path}: {error.strerror}") from error
    except ValueError as error:
        why = f"the note of the last reboot cannot be read: {path}: {error}"
        raise NoteUnreadable(f"{why}. Look when the host was rebooted, then remove it") from error


def put(path: str, note: RebootNote | None) -> None:
    """Write the note, or remove it where there is to be none. Raises OSError."""
    if note is None:
        note_file.remove(path)
    else:
        note_file.write(path, as_text(note))
