# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""RefusalReason an alert has no target."""

from __future__ import annotations

from enum import StrEnum


class RefusalReason(StrEnum):
    """The kinds of refusals, as metrics and pages count them."""

    no_label = "no_label"
    messenger_only = "messenger_only"
    no_such_host = "no_such_host"
    shared_name = "shared_name"
    contradiction = "contradiction"
    service_elsewhere = "service_elsewhere"
    not_limitable = "not_limitable"
    nothing_read = "nothing_read"
