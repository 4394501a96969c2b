# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The silences that a receiver makes while it acts: which alerts, and whose silence one is.  Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

from autoglm_recovery.receiver.observe.alertmanager import ActiveAlert
from autoglm_recovery.receiver.observe.silences import KnownSilence

# How long after a run's time-out its silence ends by itself, should nobody be there to end it.
MARGIN_S = 60.0
_MAKER = "autoglm.recovery"
# A label of these that an alert lacks is asked to be empty: an alert that has it is about something else.
_NAMES_A_TARGET = ("host", "instance", "service", "gpu", "pool", "unit", "pod", "container")
# What says that something is wrong with the receiver or with the way to it.
_ABOUT_US = "Autoglm"


def maker(installation: str) -> str:
    """Return what stands as ``createdBy`` in the silences of an installation, which nobody guesses."""
    return f"{_MAKER}/{installation}"


def may_be_silenced(labels: Mapping[str, str]) -> bool:
    """Tell whether an alert may be silenced at all: never the Watchdog, nor what is about a receiver."""
    name = labels.get("alertname", "")
    return bool(name) and name != "Watchdog" and not name.startswith(_ABOUT_US)


def why_not(alert: ActiveAlert, stored: Mapping[str, str]) -> str | None:
    """Say why what Alertmanager has under an alert's fingerprint is not to be silenced for it, None where it is."""
    if not alert.is_stored_as(stored):
        return "Alertmanager has another alert under its fingerprint"
    return None if may_be_silenced(alert.labels) else "it is about the way to the receiver"


def body(labels: Mapping[str, str], *, by: str, comment: str, starts_at: float, until: float) -> dict[str, Any]:
    """Return a ``postableSilence`` for one alert: a matcher for each label that it has, each by equality.

    In Alertmanager a label that is not there equals the empty text.

    Raises ValueError for an alert that may not be silenced.
    """
    if not may_be_silenced(labels):
        raise ValueError("an alert about the way to the receiver, or without a name, is never silenced")
    equal = {"isRegex": False, "isEqual": True}
    wanted = {**dict.fromkeys(_NAMES_A_TARGET, ""), **labels}
    return {
        "matchers": [{"name": name, "value": value, **equal} for name, value in sorted(wanted.items())],
        "startsAt": _moment(starts_at),
        "endsAt": _moment(until),
        "createdBy": by,
        "comment": comment,
    }


def comment_of(row: Any) -> str:
    """Return what stands as the comment; by its key at the front a silence is found again."""
    text = f"{row.key}: incident {row.incident_id}, run {row.run_id}: {row.action} on {row.host}"
    return f"{text[:200]}; the receiver ends this with the run"


def standing(known: Iterable[KnownSilence], row: Any, by: str) -> list[str]:
    """Return the numbers of the silences that stand in Alertmanager for a row.

    They are known by the row's number for it or by its key, and by who made them: this installation, or the one of
    another name that it was before a restore.  What a person has taken over is that person's.
    """
    ours = [each.silence for each in known if each.silence.by == by or each.silence.by.startswith(f"{_MAKER}/")]
    return [silence.id for silence in ours if silence.id == row.silence or silence.comment.startswith(f"{row.key}:")]


def _moment(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).isoformat()
