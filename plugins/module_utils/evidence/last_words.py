# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The last words of a dead service: the few lines of its log that explain its death."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from ..host.plain import one_line
from ..host.redaction import redact_text
from ..host.unread import Unread
from .complaints import complains

if TYPE_CHECKING:
    from ..services.protocol import Service

LINES_READ = 60
MOST = 3
LONGEST = 240

# "2026-11-28T17:00:00.123456+00:00 host program[42]: ", as journalctl -o short-iso-precise writes it.
_JOURNAL = re.compile(r"\d{4}-\d\d-\d\dT[\d:.,+Z-]+ \S+ (?P<who>[^\s:\[]+)(?:\[\d+\])?: ")
# The time at the beginning of a line: llama.cpp's "0.00.036.862 E ", or an ISO date with a time.
_STAMP = re.compile(
    r"\d+\.\d\d\.\d{3}\.\d{3} [DIWE] +|\[?\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d[\d.,]*(Z|[+-]\d\d:?\d\d)?\]? *"
)
# A line of a Python traceback that shows a place and not the error.
_WHERE = re.compile(r"\s*(File \"|Traceback \(|\^+\s*$|\[stack|During handling|The above exception)")
_ORCHESTRATORS = frozenset({"systemd", "podman", "dockerd", "conmon"})


def last_words(text: str, known: tuple[str, ...] = ()) -> list[str]:
    """The last complaints in a log, oldest first, each one line without the journal's prefix; else its last lines.

    Lines of the orchestrator are left out: they say that the service died, not why. Secrets are redacted; known: values
    that must not appear. Pure.
    """
    said: list[str] = []
    for line in redact_text(text, known).splitlines():
        head = _JOURNAL.match(line)
        if head is not None and head.group("who") in _ORCHESTRATORS:
            continue
        words = line[head.end() if head else 0 :]
        stamp = _STAMP.match(words)
        words = one_line(words[stamp.end() if stamp else 0 :], LONGEST)
        if words and not _WHERE.match(words):
            said.append(words)
    complaints = [words for words in said if complains(words)]
    return list(dict.fromkeys(complaints or said))[-MOST:]


def read_last_words(service: Service) -> list[str]:
    """The last words of a service. Empty where its log cannot be read: they only accompany a verdict."""
    try:
        return last_words(service.logs(LINES_READ).text)
    except (OSError, Unread, ValueError):
        return []
