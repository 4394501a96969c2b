# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is wrong with the way from Prometheus to the receiver, and with the receiver.  Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from autoglm_recovery.durations import format_duration
from autoglm_recovery.policy.own_watch import OwnWatch
from autoglm_recovery.receiver.notify.own_state import OwnObservation
from autoglm_recovery.receiver.process.worker import WorkerTrouble

WATCHDOG = "watchdog"
_WORKER = "worker "


@dataclass(frozen=True)
class WatchdogHeard:
    """What is known of the Watchdog.  ``at`` is 0 where none was ever heard, and None where nobody can tell."""

    at: float | None
    started_at: float


def watchdog(setting: OwnWatch, heard: WatchdogHeard, now: float) -> OwnObservation:
    """Judge the Watchdog.  While the receiver was down nobody could hear it, so that its start counts as well."""
    if setting.watchdog is None:
        return OwnObservation(WATCHDOG, wrong=False)
    if heard.at is None:
        return OwnObservation(WATCHDOG, wrong=None)
    if not heard.at:
        wrong = True if now - heard.started_at > setting.grace.total_seconds() else None
        text = (
            f"No Watchdog has ever been heard, {format_duration(setting.grace)} after the start: nothing proves that "
            "alerts of Prometheus get here. `autoglm rules` renders the Watchdog and its route in Alertmanager; where "
            "nobody is to send one, say monitoring.receiver.watchdog: false in the policy."
        )
        return OwnObservation(WATCHDOG, wrong, text)
    limit = setting.watchdog.total_seconds()
    wrong = now - max(heard.at, heard.started_at) > limit
    # Silent for long, and this receiver not here for long: it may come yet.
    verdict = wrong or (None if now - heard.at > limit else False)
    text = (
        f"The Watchdog has been silent for more than {format_duration(setting.watchdog)}: alerts do not get from "
        "Prometheus through Alertmanager to here. Until they do, no failure of the fleet is seen and none is repaired. "
        "Look whether Prometheus and Alertmanager run, and at Alertmanager's log for what its webhook is answered."
    )
    return OwnObservation(WATCHDOG, verdict, text)


def reached(name: str, address: str, failing_for: float | None, setting: OwnWatch) -> OwnObservation:
    """Judge a server by the seconds for which it has failed to answer; None for one that answers."""
    if failing_for is None:
        return OwnObservation(name.lower(), wrong=False)
    means = {
        "Prometheus": "Whether repairs hold and whether hosts are heard of cannot be asked",
        "Alertmanager": "People's silences cannot be asked for, and alerts probably do not get here",
        "Database": "Alerts cannot be stored, and nothing is done; Alertmanager keeps what it cannot deliver",
    }[name]
    # Between the first failure and then nobody knows.
    verdict = True if failing_for > setting.unreachable.total_seconds() else None
    text = f"{name} at {address} has not answered for more than {format_duration(setting.unreachable)}. {means}."
    return OwnObservation(name.lower(), verdict, text)


def workers(
    names: Iterable[str], troubles: Mapping[str, WorkerTrouble], setting: OwnWatch, *, database: bool = True
) -> list[OwnObservation]:
    """Judge the background threads: one is wrong that hangs or fails for longer than the policy says.

    While the database does not answer, that they fail for it is not told of each.
    """
    found = []
    for name in names:
        trouble = troubles.get(name)
        if trouble is None:
            found.append(OwnObservation(f"{_WORKER}{name}", wrong=False))
            continue
        wrong = trouble.stuck or (database and trouble.seconds > setting.stuck.total_seconds())
        text = (
            f"The receiver's thread {name} "
            + ("is stuck" if trouble.stuck else "fails again and again")
            + f". {_WITHOUT.get(name, 'Its work is not done')}. The receiver's log says why; to restart it loses "
            "nothing: runs go on, and alerts that were taken in are kept."
        )
        found.append(OwnObservation(f"{_WORKER}{name}", True if wrong else None, text))
    return found


_WITHOUT = {
    "loop": "Alerts are stored and not acted on",
    "intake": "Alerts cannot be stored; Alertmanager keeps what it cannot deliver",
    "keeper": "Runs end when their lease is over",
    "notifier": "Nobody is told when a person is needed",
    "reader": "Changes of policy and inventory are not seen",
    "silences": "Silences count as unknown",
    "proofs": "Repairs count as unproven",
    "absences": "Ends of alerts that Alertmanager does not deliver are not noticed",
    "silencer": "Silences of the receiver end only by their own time",
}
