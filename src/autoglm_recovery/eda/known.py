# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Policy and inventory as a filter knows them: read at the first event, and again where they may have changed."""

from __future__ import annotations

import logging
import os
import time
from pathlib import Path

from autoglm_recovery.policy import PolicyError
from autoglm_recovery.receiver.fleet.ansible import AnsibleError
from autoglm_recovery.receiver.fleet.fleet import InventoryError
from autoglm_recovery.receiver.fleet.site_config import CurrentConfig, SiteConfig

INVENTORY, POLICY = "AUTOGLM_INVENTORY", "AUTOGLM_POLICY"

log = logging.getLogger(__name__)
_known: dict[tuple[str | None, str], tuple[CurrentConfig, float]] = {}


class FilterError(ValueError):
    """The filter has nothing to judge alerts by; the text says what to do."""


def known_config(inventory: str | None, policy: str | None, reload_after: float) -> SiteConfig:
    """Return what alerts are judged by; what was read longer ago than ``reload_after`` seconds is read again.

    A bad file keeps what was read before, and is logged.  Raises FilterError if nothing was read yet, and cannot be.
    """
    inventory = inventory or os.environ.get(INVENTORY)
    policy = policy or os.environ.get(POLICY) or None
    if not inventory:
        raise FilterError(
            f"give the option inventory, or set {INVENTORY}: alerts name hosts of an inventory, or nothing"
        )
    now = time.monotonic()
    known = _known.get((policy, inventory))
    if known is None:
        known = _known[policy, inventory] = (_read(inventory, policy), now)
    elif now - known[1] >= reload_after:
        if wrong := known[0].read_again():
            log.warning("policy and inventory could not be read again, and are as they were: %s", wrong)
        _known[policy, inventory] = (known[0], now)
    return known[0].now


def _read(inventory: str, policy: str | None) -> CurrentConfig:
    try:
        return CurrentConfig(Path(policy) if policy else None, Path(inventory))
    except (PolicyError, InventoryError, AnsibleError, OSError) as error:
        raise FilterError(str(error)) from error
