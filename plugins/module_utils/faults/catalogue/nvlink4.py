# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the registers of Xid 74 say: of seven words NVIDIA explains bits of the first, third, fourth and fifth (Hopper).

Each set bit has a meaning, and the gravest decides.  A bit nobody explains, no bit at all or no registers: unknown, for
NVIDIA asks to report it.  Where one bit is known beside an unknown one, the class is known and a person looks.
"""

from __future__ import annotations

from collections.abc import Sequence

from .data import NVLINK4
from .numbers import FAULT_ACTIONS
from .nvlink5 import Decoded, as_word

# Seen more often than this on one link, an ECC or parity error is the hardware.
PARITY_LIMIT = 2

_VALID = (1, 3, 4, 5)
_BITS = {(register, bit): meaning for register, bits, meaning in NVLINK4 for bit in bits}

# meaning: (severity, action, words) of the first time and alone
_FIRST = {
    "ignore": ("info", "observe", "can be ignored"),
    "threshold": ("warning", "observe", "many corrected errors, none uncorrected: goes on"),
    "repeated": ("warning", "observe", "to be reported only if it comes again"),
    "secondary": ("warning", "call_person", "an effect as a rule, but nothing else was seen: to be reported"),
    "secondary_reset": ("critical", "reset_gpu", "an effect as a rule, but the fabric needs a reset"),
    "parity": ("critical", "switch_comm_path", "ECC or parity, the hardware by its looks"),
    "mechanics": ("critical", "switch_comm_path", "perhaps the hardware: check seat and connectors, then diagnose"),
    "signal": ("critical", "switch_comm_path", "a weak signal: check connectors, then diagnose"),
    "unexpected": ("critical", "call_person", "not to be seen in production: to be reported"),
}


def decode_nvlink4(
    registers: Sequence[object] | None, alone: bool = True, repeats: int = 1, link: int | None = None
) -> Decoded:
    """Decode one line.

    registers: the words as printed (0x...) or as integers.  alone: no other NVLink fault or Xid came with it.
    repeats: how often the same link has said it, this time included.
    """
    where = "Xid 74" if link is None else f"Xid 74 on link {link}"
    words = [as_word(word) for word in registers or ()]
    if not words or None in words:
        return _unknown_result(f"{where}: the line has no registers that can be read")
    bits = [
        (number, bit)
        for number, word in enumerate(words, 1)
        if number in _VALID
        for bit in range(max(word or 0, 0).bit_length())
        if (word or 0) >> bit & 1
    ]
    known = [place for place in bits if place in _BITS]
    strange = [place for place in bits if place not in _BITS]
    if not known:
        told = _list_unknown_bits(strange) if strange else "no bit that has a meaning is set"
        return _unknown_result(f"{where}: {told}")
    judged = [_judge(_BITS[place], alone and len(known) == 1, repeats) for place in known]
    severity, action, _words = max(judged, key=lambda one: (FAULT_ACTIONS.index(one[1]), one[0] == "critical"))
    reasons = [f"{where}: register {place[0]} bit {place[1]}: {one[2]}" for place, one in zip(known, judged)]
    if strange:
        severity = "critical"
        action = max(action, "call_person", key=FAULT_ACTIONS.index)
        reasons.append(f"{where}: {_list_unknown_bits(strange)}")
    return Decoded("gpu_comm", severity, action, tuple(reasons), "xid:74:registers")


def _judge(meaning: str, alone: bool, repeats: int) -> tuple[str, str, str]:
    if meaning == "parity" and repeats > PARITY_LIMIT:
        return "critical", "quarantine_node", f"ECC or parity, {repeats} times on one link: the hardware"
    if meaning == "repeated" and repeats > 1:
        return "critical", "switch_comm_path", f"seen {repeats} times: diagnose and report"
    if meaning == "secondary" and not alone:
        return "warning", "observe", "an effect of what came with it"
    return _FIRST[meaning]


def _list_unknown_bits(strange: Sequence[tuple[int, int]]) -> str:
    places = ", ".join(f"register {register} bit {bit}" for register, bit in strange[:4])
    return f"{places}: nobody explains it, to be reported"


def _unknown_result(reason: str) -> Decoded:
    return Decoded("unknown", "critical", "call_person", (reason,), "xid:74:no-rule")
