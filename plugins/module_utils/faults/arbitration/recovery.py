# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The recovery action of the driver: NVML's field 230, and Xid 154, which has it as a number and in words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..catalogue.numbers import FAULT_ACTIONS

# Number -> (failure class, action, words).  A class whose ladder holds the action: gpu_fault begins with a reset, which
# is not what a driver that wants a reboot has asked for.
RECOVERY = {
    1: ("gpu_fault", "reset_gpu", "GPU reset"),
    # The driver keeps this one for the host and shows it on every GPU, also on those that are well (its function
    # sysSetRecoveryRebootRequired, which has no GPU): one reboot clears it, and a reset of any of them does not.
    2: ("gpu_lost", "reboot_node", "node reboot, which is asked of the whole host"),
    3: ("gpu_comm", "switch_comm_path", "drain peer-to-peer traffic"),
    4: ("gpu_fault", "reset_gpu", "drain and reset"),
    5: ("gpu_comm", "call_person", "recover the IMEX domain"),
    6: ("gpu_lost", "reboot_node", "bus reset, for which a reboot is the surest way"),
    7: ("gpu_lost", "reboot_node", "system reboot"),
}

# What drivers print beside the number.  It changes from release to release, and on some hosts it names another action
# than the number does.
_WORDS = {
    "gpu reset required": 1,
    "pf flr": 1,
    "node reboot required": 2,
    "os reboot": 2,
    "drain p2p": 3,
    "drain and reset": 4,
    "bus reset": 6,
    "system reboot": 7,
}


def announced(recovery: Mapping[str, Any]) -> int | None:
    """The recovery action that an Xid 154 announces (C(to), C(to_text)), None where it has no number.

    Where number and words differ, the graver of the two: as GKE prints 0x1 (Node Reboot Required).
    """
    number = recovery.get("to")
    if not isinstance(number, int):
        return None
    by_words = _WORDS.get(str(recovery.get("to_text") or "").strip().lower())
    return number if by_words is None else max(number, by_words, key=_gravity)


def _gravity(number: int) -> int:
    _class, action, _words = RECOVERY.get(number, ("", "call_person", ""))
    return 0 if number == 0 else FAULT_ACTIONS.index(action)
