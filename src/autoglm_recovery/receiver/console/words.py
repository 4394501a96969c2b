# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The words that pages show for the database's own words."""

from __future__ import annotations

from autoglm_recovery.receiver.operators.orders import OperatorCommand, PauseCommand

# The kinds of lines of a timeline.
NAMES = {
    "alert": "alert",
    "committed": "committed",
    "classified": "classified",
    "decided": "decided",
    "held": "held",
    "escalated": "escalated",
    "unproven": "unproven",
    "notified": "notified",
    "order": "order",
    "run_started": "started",
    "task": "task",
    "proof": "proof",
    "cause": "cause",
    "last words": "last words",
    "evidence": "evidence",
    "run_finished": "ended",
    "fenced": "fenced",
    "kept_out": "kept out",
    "taken_over": "taken over",
    "silence": "silence",
    "resolved": "resolved",
    "closed": "closed",
}

STANDS_IN_WORDS = {
    "out": "out of service",
    "affected": "has an incident, may serve",
    "silent": "silent",
    "unknown": "unknown",
    "in": "in service",
}

WHAT_ORDERS_DO = {
    OperatorCommand.approve: "Let the next action run now, whatever held it back.",
    OperatorCommand.reject: "Do nothing about this incident and close it.",
    OperatorCommand.retry: "Begin the ladder anew: what was tried before counts no more.",
    OperatorCommand.close: "Close the incident. A run that is under way is ended.",
    OperatorCommand.cancel: "End the run that is under way. The incident stays, and waits for a person.",
}

WHAT_TURNS_DO = {
    PauseCommand.pause: (
        "No action is begun from now on, also after restarts. Runs that are under way go on to their end."
    ),
    PauseCommand.resume: "Actions are begun again. What waited is looked at at once.",
}
