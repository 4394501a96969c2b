# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The registers of Xid 74."""

from __future__ import annotations

import pytest
from ansible_collections.autoglm.recovery.plugins.module_utils.faults.catalogue.nvlink4 import decode_nvlink4
from hypothesis import given
from hypothesis import strategies as st


def words(register: int = 1, *bits: int) -> list[str]:
    """Seven registers as they are printed, with these bits set in one of them."""
    value = sum(1 << bit for bit in bits)
    return [f"{value:#x}" if number == register else "0x0" for number in range(1, 8)]


@pytest.mark.parametrize(
    ("register", "bits", "action"),
    [
        (1, [0], "observe"),
        (1, [23, 30], "observe"),
        (1, [1], "call_person"),  # an effect, but alone
        (1, [20], "call_person"),
        (1, [20, 21], "switch_comm_path"),
        (1, [4], "switch_comm_path"),
        (1, [16], "switch_comm_path"),
        (1, [27], "observe"),
        (3, [13], "call_person"),
        (4, [18], "reset_gpu"),
        (5, [20], "observe"),
        (5, [20, 21], "switch_comm_path"),
    ],
)
def test_the_gravest_bit_decides(register, bits, action):
    decoded = decode_nvlink4(words(register, *bits))
    assert (decoded.failure_class, decoded.action) == ("gpu_comm", action)
    assert len(decoded.reasons) == len(bits)


def test_an_effect_in_company_is_left_to_its_cause():
    assert decode_nvlink4(words(1, 20), alone=False).action == "observe"
    assert decode_nvlink4(words(4, 18), alone=False).action == "reset_gpu"  # yet the fabric needs it


def test_what_comes_again_is_the_hardware():
    assert decode_nvlink4(words(1, 4), repeats=2).action == "switch_comm_path"
    assert decode_nvlink4(words(1, 4), repeats=3).action == "quarantine_node"
    assert decode_nvlink4(words(3, 17), repeats=2).action == "switch_comm_path"


@pytest.mark.parametrize("registers", [None, [], ["0x0"] * 7, ["zz"], words(1, 2), words(2, 4), words(7, 4), [-1]])
def test_what_nobody_explains_is_unknown(registers):
    decoded = decode_nvlink4(registers)
    assert (decoded.failure_class, decoded.action, decoded.severity) == ("unknown", "call_person", "critical")


def test_a_strange_bit_beside_a_known_one_calls_a_person():
    decoded = decode_nvlink4(words(1, 0, 2))
    assert (decoded.failure_class, decoded.action, decoded.severity) == ("gpu_comm", "call_person", "critical")
    assert any("register 1 bit 2" in reason for reason in decoded.reasons)


@given(st.lists(st.one_of(st.none(), st.text(max_size=8), st.integers(0, 2**64)), max_size=9), st.booleans())
def test_nothing_raises(registers, alone):
    assert decode_nvlink4(registers, alone).reasons
