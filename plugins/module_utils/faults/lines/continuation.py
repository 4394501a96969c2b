# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Lines that continue a message whose name a user chose.

The kernel prints names of files in its messages (C(segfault at ... in NAME[...]), C(process 'PATH' started with ...)),
and a name may hold a line break.  C(dmesg) gives the whole message one prefix: what follows the break reads like a line
of its own, and says whatever the user likes.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from itertools import islice

from .framing import Framed, unframe
from .pci import Event
from .reading import event_of, unreadable

# So many lines without a prefix may follow one message.
MOST_LINES = 16
_WHY = "it continues a message whose text holds a name that a user chose, and may be that user's words"
# A name of a mapped file ends with where it lies: [address+size].
_MAPPED = re.compile(
    r"(?:segfault at|\btraps?[: ]|protection fault|bad frame|unhandled signal)[^\n]{0,400} in "
    r"(?![^\[\]\n]{0,300}\[[0-9a-fA-F,]{1,60}\+)"
)
_CLOSING = {"(": ")", "[": "]", "{": "}"}


def continues(before: Iterable[str | bytes]) -> bool:
    """Whether a line without a prefix continues the last message before it.  C(before): lines, the nearest first."""
    for line in islice(before, MOST_LINES):
        framed = unframe(line)
        if not framed.bare:
            return framed.clock is not None and not framed.foreign and _is_open(framed.text)
    return False


def _is_open(text: str) -> bool:
    """Whether a message ends in the middle of a name: a quote or a bracket has no end, or a file no place."""
    if _MAPPED.search(text) or text.count("'") % 2 or text.count('"') % 2:
        return True
    depth = 0
    for character in text[-2000:]:
        depth += (character in _CLOSING) - (character in _CLOSING.values())
    return depth > 0


def event_of_continuation(framed: Framed) -> Event:
    """The event of a line that continues another: its text is not trusted as a fault, but not ignored either."""
    event = event_of(framed)
    # The driver itself spreads one sentence over three lines, and the latter two say nothing alone.
    quiet = event["kind"] in ("none", "unreadable", "gpu_off_bus_multiline") or event.get("is_new_fault") is False
    if quiet:
        return event
    return unreadable(framed, _WHY) or {"kind": "unreadable", "trigger": event["kind"], "reason": _WHY}
