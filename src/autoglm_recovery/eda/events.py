# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""An event of a source that gets Alertmanager's webhook, as one event for each alert in it.  Pure.

Only what ``autoglm explain`` would run makes an event on which something can be run: ``autoglm_target`` and
``autoglm_incident`` are there then, and only then.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from autoglm_recovery.eda.data import all_as_data
from autoglm_recovery.receiver.fleet.site_config import SiteConfig
from autoglm_recovery.receiver.intake.payload import PayloadError, Rejected, parse_webhook
from autoglm_recovery.receiver.rehearse.explain import explain_alert
from autoglm_recovery.receiver.triage.classify import UNKNOWN
from autoglm_recovery.receiver.triage.own_alerts import for_people
from autoglm_recovery.receiver.values.model import Alert, Verb

SET_ASIDE, IGNORE = "set aside", "ignore"
# As Alertmanager's webhook has it, for an alert that a source has taken out of it.
_VERSION = "4"
_TOLD = ("decision", "action", "playbook", "failure_class", "fault_mode", "nature", "reason")


def events_of(event: Mapping[str, Any], config: SiteConfig, now: float) -> list[dict[str, Any]]:
    """Return an event for each alert of an event, and none for an event that has nothing to do with alerts.

    Nothing of the event itself is passed on: headers hold the sender's token, and labels may be templates.
    """
    payload = _payload(event)
    if payload is None:
        return []
    try:
        webhook = parse_webhook(json.dumps(payload).encode())
    except (PayloadError, RecursionError, TypeError, ValueError) as error:
        return [_unread(Rejected("", str(error)))]
    return [*(_event(alert, config, now) for alert in webhook.alerts), *map(_unread, webhook.rejected)]


def _payload(event: Mapping[str, Any]) -> Any:
    """Return what a source has got: in ``payload``, an alert alone in ``alert``, or as the event itself."""
    if "alert" in event:
        return {"version": _VERSION, "alerts": [event["alert"]]}
    for place in (event.get("payload"), event):
        if isinstance(place, Mapping) and "alerts" in place:
            return place
    return None


def _event(alert: Alert, config: SiteConfig, now: float) -> dict[str, Any]:
    explained = explain_alert(alert, config, now)
    told = {key: explained[key] for key in _TOLD}
    if for_people(alert.labels, config.policy):
        told |= {"decision": IGNORE, "action": None, "playbook": None, "reason": "an alert of ours that is for people"}
    target = explained["target"]
    about = {
        **told,
        "status": alert.status,
        "alert": alert.labels.get("alertname", ""),
        "target": f"{target['host']}/{target['service'] or ''}" if target else None,
        "labels": alert.labels,
    }
    return {
        "autoglm": all_as_data(about),
        # Whatever is run on this event is limited to its host.
        **({"meta": {"hosts": [target["host"]]}} if target else {}),
        **(_variables(alert, explained["extra_vars"]) if told["decision"] == Verb.run.value else {}),
    }


def _variables(alert: Alert, variables: Mapping[str, Any]) -> dict[str, Any]:
    """Return the variables of a run: an incident of no receiver has no number, no fencing token and nobody who ends it.

    Those that the policy gives an action of the site's own are the site's, and are passed on as they stand.
    """
    incident = {
        **variables["autoglm_incident"],
        "id": "",
        "key": f"eda-{alert.identity[:12]}",
        "fence": 0,
        "opened_at": datetime.fromtimestamp(alert.starts_at, UTC).isoformat(),
    }
    incident.pop("timeout", None)
    own = {name: value for name, value in variables.items() if name not in ("autoglm_incident", "autoglm_target")}
    ours = all_as_data({"autoglm_incident": incident, "autoglm_target": variables["autoglm_target"]})
    return {**ours, **({"autoglm_variables": own} if own else {})}


def _unread(rejected: Rejected) -> dict[str, Any]:
    about = {**dict.fromkeys(_TOLD), "decision": SET_ASIDE, "failure_class": UNKNOWN, "reason": rejected.reason}
    return {"autoglm": all_as_data({**about, "status": None, "alert": "", "target": None, "labels": {}})}
