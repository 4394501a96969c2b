# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the end of an alert tells: nothing but a state's end says that the fault is over."""

from __future__ import annotations

from collections.abc import Mapping

from autoglm_recovery.policy.matchers import parse_matchers
from autoglm_recovery.policy.model import Policy
from autoglm_recovery.receiver.triage.known_alerts import known_alerts
from autoglm_recovery.receiver.values.alerts import Nature

WORDS = {
    Nature.state: "its end, with the Watchdog heard after it, confirms a repair that a playbook has proven",
    Nature.event: (
        "a window over something that happened: it ends by itself, so that its end proves nothing, and while it fires "
        "its incident does not end, as it would not tell if the same happened again"
    ),
    Nature.sticky: "it does not end before something restarts, and takes no part in a proof",
    None: "nobody says whether it is a state: its end proves nothing, and while it fires nothing is proven",
}


def nature_of(labels: Mapping[str, str], policy: Policy) -> tuple[Nature | None, str]:
    """Return the nature of an alert and who says so; None where nobody does.

    The label ``nature`` of our own rules, then ``classify`` of the policy, then the alerts that are known in public.
    """
    named = labels.get("nature")
    if named in set(Nature):
        return Nature(named), f"the alert carries nature={named}"
    known = known_alerts(policy.faults) if policy.classify_known_alerts and "failure_class" not in labels else ()
    for entries, who in ((policy.classify, "the policy says so of"), (known, "known of")):
        for entry in entries:
            if all(matcher.matches(labels) for matcher in parse_matchers(entry.match)):
                return (Nature(entry.nature), f"{who} {entry.match}") if entry.nature else (None, "nobody says")
    return None, "nobody says"
