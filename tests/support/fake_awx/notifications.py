# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Notification templates: which are taken, and how they are shown.

After ``NotificationTemplateSerializer`` in ``awx/api/serializers.py`` and ``WebhookBackend`` in
``awx/main/notifications/webhook_backend.py`` of AWX 24.6.1.  Of the types that AWX has only the webhook is known here,
and no messages of one's own.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tests.support.fake_awx.lists import Refused

HIDDEN = "$encrypted$"
# Type and default of each field; one without a default is required.
_WEBHOOK: dict[str, tuple[type, str, Any]] = {
    "url": (str, "string", ...),
    "http_method": (str, "string", "POST"),
    "disable_ssl_verification": (bool, "bool", False),
    "username": (str, "string", ""),
    "password": (str, "password", ""),
    "headers": (dict, "object", ...),
}


def checked(given: Mapping[str, Any], found: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return what is kept of a request: with the defaults of what its configuration does not name."""
    kind = given.get("notification_type", found["notification_type"] if found else None)
    if kind != "webhook":
        raise Refused(400, {"notification_type": [f'"{kind}" is not a valid choice.']})
    if "notification_configuration" not in given:
        return dict(given)
    defaults = {name: default for name, (_, _, default) in _WEBHOOK.items() if default is not ...}
    configuration = {**defaults, **given["notification_configuration"]}
    faults = []
    if missing := [name for name in _WEBHOOK if name not in configuration]:
        faults.append(f"Missing required fields for Notification Configuration: {missing}.")
    for name, (expected, words, _) in _WEBHOOK.items():
        if name in configuration and type(configuration[name]) is not expected:
            faults.append(f"Configuration field '{name}' incorrect type, expected {words}.")
    if str(configuration["http_method"]).lower() not in ("put", "post"):
        faults.append("HTTP method must be either 'POST' or 'PUT'.")
    if faults:
        raise Refused(400, {"__all__": faults})
    if configuration["password"] == HIDDEN and found:
        configuration["password"] = found["notification_configuration"]["password"]
    return {**given, "notification_configuration": configuration}


def displayed(template: Mapping[str, Any]) -> dict[str, Any]:
    """Return the configuration as it is shown: a password is hidden, and none is shown as none."""
    shown = dict(template["notification_configuration"])
    if shown.get("password"):
        shown["password"] = HIDDEN
    return shown
