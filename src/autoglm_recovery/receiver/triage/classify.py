# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which failure class an alert belongs to."""

from __future__ import annotations

import difflib
from collections.abc import Mapping

from autoglm_recovery.policy.matchers import parse_matchers
from autoglm_recovery.policy.model import Policy
from autoglm_recovery.receiver.triage.known_alerts import known_alerts

UNKNOWN = "unknown"


def classify(labels: Mapping[str, str], policy: Policy) -> tuple[str, str]:
    """Return the failure class and the reason for it.

    Our own rules carry the class as a label, and so may a site's: built-in, or declared by the policy.  Other people's
    alerts are mapped by the policy, first match first, then by the alerts that are known in public (known_alerts.py).
    What none of them names is ``unknown``: a class is never guessed, and one that somebody named wrongly is not
    replaced by another.
    """
    named, classes = labels.get("failure_class"), policy.repertoire.classes
    if named in classes:
        return named, f"the alert carries failure_class={named}"
    for entry in policy.classify:
        if all(matcher.matches(labels) for matcher in parse_matchers(entry.match)):
            return entry.failure_class, f"the policy classifies {entry.match} as {entry.failure_class}"
    if named is not None:
        near = difflib.get_close_matches(named[:64], classes, n=1)
        hint = f"; did you mean {near[0]}?" if near else ""
        return UNKNOWN, f"failure_class={named[:64]!r} is no failure class{hint}"
    if policy.classify_known_alerts:
        for entry in known_alerts(policy.faults):
            if all(matcher.matches(labels) for matcher in parse_matchers(entry.match)):
                return entry.failure_class, f"a known alert: {entry.match} is {entry.failure_class}"
    return UNKNOWN, "no failure_class label, and neither classify in the policy nor the known alerts match"
