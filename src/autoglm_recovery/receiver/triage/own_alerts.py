# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Alerts of our own rules that are for people: about the receiver, the exporters and what waits for somebody.

They tell of no fault of a host and carry no class, so that no route that ``autoglm rules`` renders brings them to a
receiver.  One that comes all the same and names no host is passed over: refused, it would be told of as an alert that
lacks a target, and ``AutoglmAlertsRefused`` would feed itself for ever.  A test holds the names to the rules.
"""

from __future__ import annotations

from collections.abc import Mapping

from autoglm_recovery.policy.matchers import parse_matchers
from autoglm_recovery.policy.model import Policy

FOR_PEOPLE = frozenset(
    {
        "Watchdog",
        "AutoglmReceiverDown",
        "AutoglmDatabaseUnreadable",
        "AutoglmLoopStuck",
        "AutoglmWorkerStuck",
        "AutoglmWorkerFails",
        "AutoglmAlertsWait",
        "AutoglmWatchdogSilent",
        "AutoglmPersonNeeded",
        "AutoglmApprovalWaits",
        "AutoglmRunTakesLong",
        "AutoglmRunsFail",
        "AutoglmPolicyRefused",
        "AutoglmWebhooksRefused",
        "AutoglmAlertsRefused",
        "AutoglmAlertsLeftOut",
        "AutoglmExecWatchBlind",
        "AutoglmExporterDown",
        "AutoglmExporterStale",
        "AutoglmKernelLogUnread",
        "AutoglmLoadLeftShed",
        "AutoglmNotesUnread",
        "AutoglmQuarantineOverdue",
        "ExporterVanished",
    }
)


def for_people(labels: Mapping[str, str], policy: Policy) -> bool:
    """Tell whether an alert is one of ours and nothing is done about it, unless ``classify`` says otherwise."""
    if labels.get("alertname") not in FOR_PEOPLE or "failure_class" in labels:
        return False
    return not any(all(matcher.matches(labels) for matcher in parse_matchers(entry.match)) for entry in policy.classify)
