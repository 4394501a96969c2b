# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The note that a service was isolated, on the host itself: it is there before the first rule, and outlives the run.

While it is there nobody but a person brings the service back.  Its state says only what was ordered; whether that holds
is read anew each time.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from ..host import clocks, note_file
from ..host.plain import one_line
from .plan import CUT, FREEZE

DIRECTORY = "/var/lib/autoglm/isolation"
_LONGEST = 600
_NAME = re.compile(r"[0-9a-f]{64}\Z")  # as path_of() makes it; whole_file writes beside it first
_TEXTS = ("label", "how", "namespace", "who", "why", "incident")


@dataclass(frozen=True)
class IsolationNote:
    """label: the service, for people.  how: CUT or FREEZE.  namespace: where the rules are, empty for FREEZE.
    pid: its main process then.  since: seconds since 1970."""

    label: str
    how: str
    namespace: str
    pid: int
    since: float
    who: str
    why: str
    incident: str = ""

    def said(self) -> str:
        """How, since when, by whom and why, in one line."""
        how = "cut off from the network" if self.how == CUT else "frozen"
        return f"{how} since {clocks.in_words(self.since)} by {self.who or 'nobody knows'}: {self.why}"


class IsolationNoteUnreadable(Exception):
    """There is a note, or may be one, and what it says cannot be read."""


def path_of(directory: str, kind: str, name: str) -> str:
    """The file of a service's note: its name may hold what no file name does."""
    return os.path.join(directory, hashlib.sha256(f"{kind}:{name}".encode("utf-8", "surrogatepass")).hexdigest())


def make(told: Mapping[str, Any]) -> IsolationNote:
    """A note of values that may come from anywhere. Raises KeyError, TypeError and ValueError for what is none."""
    pid, since = told["pid"], told["since"]
    if isinstance(pid, bool) or not isinstance(pid, int) or pid < 1:
        raise TypeError("a process is a number")
    if isinstance(since, bool) or not isinstance(since, (int, float)) or not math.isfinite(since):
        raise TypeError("a moment is a number")
    texts = {name: told[name] for name in _TEXTS}
    if not all(isinstance(text, str) for text in texts.values()):
        raise TypeError("a field has another type than ours")
    if texts["how"] not in (CUT, FREEZE):
        raise ValueError("it says no way of ours")
    said = {name: one_line(text, _LONGEST) for name, text in texts.items()}
    return IsolationNote(pid=pid, since=float(since), **said)


def as_text(note: IsolationNote) -> str:
    """What is written."""
    return json.dumps(asdict(note), sort_keys=True) + "\n"


def read(path: str) -> IsolationNote | None:
    """The note, None where there is none. Raises IsolationNoteUnreadable."""
    try:
        text = note_file.read(path)
        return None if text is None else make(json.loads(text))
    except OSError as error:
        why = f"whether it was isolated cannot be read: {path}: {error.strerror}"
        raise IsolationNoteUnreadable(why) from error
    except (ValueError, KeyError, TypeError, OverflowError, RecursionError) as error:
        why = f"the note of its isolation cannot be read: {path}: {error}"
        raise IsolationNoteUnreadable(why) from error


def namespaces_of_others(path: str) -> frozenset[str]:
    """In which network namespaces other services are isolated. Raises IsolationNoteUnreadable."""
    directory, own = os.path.split(path)
    try:
        names = [name for name in os.listdir(directory) if name != own and _NAME.match(name)]
    except FileNotFoundError:
        return frozenset()
    except OSError as error:
        raise IsolationNoteUnreadable(f"which others are isolated: {directory}: {error.strerror}") from error
    found = [read(os.path.join(directory, name)) for name in names]
    return frozenset(each.namespace for each in found if each is not None and each.namespace)


def put(path: str, note: IsolationNote) -> None:
    """Write the note. Raises OSError."""
    note_file.write(path, as_text(note))


def remove(path: str) -> None:
    """Remove the note, if there is one. Raises OSError."""
    note_file.remove(path)
