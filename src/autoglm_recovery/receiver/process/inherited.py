# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the receiver hands on of its own environment: to runs, to the warm process, and to who reads the inventory.

All of it, as ``ansible-playbook`` would have it that was started in its place, but for what opens the receiver itself,
its database or its collector of traces.  A run sees hosts, plugins and playbooks of others, and has use for none.

Each supervisor loads this, so it loads little itself.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Final

# By name, with the reason, so that nobody has to guess what a run lacks; docs/security.md has the same list.
RECEIVER_S_OWN: Final[Mapping[str, str]] = {
    "AUTOGLM_ALERTMANAGER_TOKEN": "the exporter's: its alerts are acted on",
    "AUTOGLM_DATABASE": "the database's URL, with its password",
    "AUTOGLM_PASSWORD": "a person's, for the command line: it gives orders to the receiver",
    "AUTOGLM_TOKEN": "the same, as a token",
    "OTEL_EXPORTER_OTLP_HEADERS": "a collector's token: the receiver exports traces of runs, and runs do not",
    "OTEL_EXPORTER_OTLP_TRACES_HEADERS": "the same, for traces alone",
    "PGPASSWORD": "the database's password, where libpq looks for it",
}


def environment(own: Mapping[str, str] = os.environ) -> dict[str, str]:
    """Return what of ``own``, the variables of this process, one that it starts gets."""
    return {name: value for name, value in own.items() if name not in RECEIVER_S_OWN}
