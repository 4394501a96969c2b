# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The tone of a timeline's line, by its text and not by its kind alone.

The texts are those of ``narrate``, ``follow`` and ``dispatch``.  A word beside the line says the same as the tone.
"""

from __future__ import annotations

import re

DANGER, ASK, GOOD, NONE = "danger", "ask", "good", ""

_VERDICT = re.compile(r"\S+ is (healthy|unhealthy|unknown)(?::|\Z)")
_OF_VERDICT = {"healthy": GOOD, "unhealthy": DANGER, "unknown": ASK}
_TASK = re.compile(r": (failed|unreachable)(, and the playbook goes on)?(?: \(\d+\.\d s\))?(?::|\Z)")
_RUN = re.compile(r"\S+ (succeeded|failed|lost|unverified|cancelled|fenced|kept out|not launched) after ")
# Runs that a host refused, that were never launched or that a person ended have repaired and broken nothing.
_OF_RUN = {"succeeded": GOOD, "failed": DANGER, "lost": DANGER, "unverified": ASK}
_OF_RUN |= dict.fromkeys(("cancelled", "fenced", "kept out", "not launched"), ASK)
_OF_KIND = {"escalated": DANGER, "unproven": DANGER, "resolved": GOOD}
_OF_KIND |= dict.fromkeys(("held", "kept_out", "fenced", "order"), ASK)


def tone(kind: str, text: str) -> str:
    """Return the tone of a line, an empty text for a neutral one."""
    if kind == "proof":
        verdict = _VERDICT.match(text)
        return _OF_VERDICT[verdict[1]] if verdict else ASK
    if kind == "task":
        return _tone_of_task(text)
    if kind == "run_finished":
        ended = _RUN.match(text)
        return _OF_RUN[ended[1]] if ended else NONE
    return _OF_KIND.get(kind, NONE)


def _tone_of_task(text: str) -> str:
    if text.startswith("no task was begun"):
        return DANGER
    ended = _TASK.search(text)
    if ended is None:
        return NONE
    return ASK if ended[2] else DANGER
