# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""NVIDIA's rules for NVLink 5, by driver version."""

from __future__ import annotations

from itertools import product

import pytest
from ansible_collections.autoglm.recovery.plugins.module_utils.faults.catalogue import nvlink5
from ansible_collections.autoglm.recovery.plugins.module_utils.faults.catalogue.data import NVLINK5
from ansible_collections.autoglm.recovery.plugins.module_utils.faults.catalogue.nvlink5 import (
    as_word,
    decode_nvlink5,
    driver_branch,
)
from hypothesis import given
from hypothesis import strategies as st

V1, V2 = "570.133.20", "575.57.08"


@pytest.mark.parametrize("rule", NVLINK5, ids=lambda rule: f"{rule[0]}-{rule[1]}-{rule[4]}")
@pytest.mark.parametrize("version", [V1, V2])
def test_every_rule_is_found_by_its_own_bits(rule, version):
    xid, unit, v1, v2, statuses, action, fatal, _look_at, _promoted = rule
    info = (v1 if version == V1 else v2)[1]
    severity = "Fatal" if fatal else "Nonfatal"
    decoded = decode_nvlink5(xid, info, (statuses or (0,))[0], severity, unit, version)
    assert decoded.failure_class == "gpu_comm"
    assert decoded.severity == ("critical" if fatal else "warning")
    expected = {"RESET_GPU": "reset_gpu", "XID_154_EVAL": "restart_process"}.get(action, "observe")
    if fatal and expected == "observe":
        expected = "call_person"  # fatal is never harmless
    assert decoded.action == expected


@pytest.mark.parametrize(
    ("line", "action", "event"),
    [
        # Lines that were seen in the field, all from drivers before 575.
        ((149, "0x000fe406", "0x00000000", "Fatal", "NETIR"), "reset_gpu", 0),
        ((149, "0x025001c6", "0x00000000", "Fatal", "NETIR_LINK_EVT"), "reset_gpu", 37),
        ((149, "0x004505c6", "0x00000000", "Fatal", "NETIR_LINK_EVT"), "reset_gpu", 4),
        ((145, "0x0409a0c2", "0x00000008", "Nonfatal", "RLW_RXPIPE"), "observe", 0),
    ],
)
@pytest.mark.parametrize("version", [V1, None])
def test_real_lines(line, action, event, version):
    decoded = decode_nvlink5(*line, version)
    assert (decoded.layout, decoded.action, decoded.event) == ("V1", action, event)


def test_the_layout_goes_by_the_drivers_version():
    assert decode_nvlink5(149, "0x00400011", "0x0", "Fatal", "NETIR_LINK_EVT", V2).layout == "V2"
    assert decode_nvlink5(149, "0x00400011", "0x0", "Fatal", "NETIR_LINK_EVT", V1).rule == "xid:149:no-rule"


def test_a_promotable_rule_is_raised_by_the_printed_severity_or_by_its_bit():
    assert decode_nvlink5(145, 0xC2, 1, "Nonfatal", "RLW_RXPIPE", V1).action == "observe"
    assert decode_nvlink5(145, 0xC2, 1, "Fatal", "RLW_RXPIPE", V1).action == "reset_gpu"
    assert decode_nvlink5(145, 0x4C2, 1, None, "RLW_RXPIPE", V1).action == "reset_gpu"
    assert decode_nvlink5(145, 0x4C2, 1, "Nonfatal", "RLW_RXPIPE", V1).action == "observe"
    assert decode_nvlink5(145, 0x86, 1, None, "RLW_RXPIPE", V2).action == "reset_gpu"


def test_the_printed_severity_wins_over_the_rules():
    raised = decode_nvlink5(145, 0x62, 0x80000000, "Fatal", "RLW_CTRL", V1)
    assert (raised.severity, raised.action) == ("critical", "switch_comm_path")
    lowered = decode_nvlink5(144, 0x21, 2, "Nonfatal", "SAW_MVB", V1)
    assert (lowered.severity, lowered.action) == ("warning", "call_person")


def test_without_a_version_both_layouts_are_read_and_must_agree():
    # V1 of NETIR_MFDE_EVENT is 0x246; as V2 its low bits 0x46 are no unit at all.
    assert decode_nvlink5(149, 0x246, 1, "Fatal", None, None).action == "reset_gpu"
    # 0x1: V2 of SAW_MVB; as V1 no rule.
    assert decode_nvlink5(144, 0x1, 2, "Fatal", None, None).layout == "V2"


def test_in_nvidias_rules_the_two_layouts_meet_only_where_they_agree():
    for xid, info, status in product(range(144, 151), range(2048), (0, 1, 2, 4, 8, 16, 0x80000000, 0xFFFFFFFF)):
        one, two = (decode_nvlink5(xid, info, status, None, None, version) for version in (V1, V2))
        if one.layout and two.layout:
            assert (one.action, one.severity) == (two.action, two.severity) == ("reset_gpu", "critical")
            assert decode_nvlink5(xid, info, status).action == "reset_gpu"


def test_layouts_that_disagree_are_unknown_unless_the_printed_unit_tells(monkeypatch):
    no_bits = (0, 1)  # fits nothing
    harmless = (149, "ONE", (0x3FF, 0x21), no_bits, None, "IGNORE", False, "IGNORE", None)
    fatal = (149, "TWO", no_bits, (0x7F, 0x21), None, "RESET_GPU", True, "CONTACT_SUPPORT", None)
    monkeypatch.setattr(nvlink5, "NVLINK5", (harmless, fatal))
    free = decode_nvlink5(149, 0x21, 0)
    assert (free.failure_class, free.action, free.severity) == ("unknown", "call_person", "critical")
    assert "without the driver's version" in free.reasons[0]
    assert decode_nvlink5(149, 0x21, 0, None, "TWO").action == "reset_gpu"
    assert decode_nvlink5(149, 0x21, 0, None, "ONE").action == "observe"
    assert decode_nvlink5(149, 0x21, 0, None, None, V1).action == "observe"
    assert decode_nvlink5(149, 0x21, 0, None, None, V2).action == "reset_gpu"


@pytest.mark.parametrize(
    ("info", "status"), [(None, None), ("", "0x0"), ("0x1c6", "nothing"), (-1, 0), (True, 0), ("0x000003ff", "0x0")]
)
@pytest.mark.parametrize("severity", [None, "Fatal", "Nonfatal", "Odd"])
def test_no_rule_is_unknown_and_never_harmless(info, status, severity):
    decoded = decode_nvlink5(149, info, status, severity, "NETIR", V1)
    assert (decoded.failure_class, decoded.action) == ("unknown", "call_person")
    assert decoded.severity == ("warning" if severity == "Nonfatal" else "critical")
    assert decoded.reasons


@given(
    st.tuples(
        st.integers(144, 150),
        st.one_of(st.none(), st.text(max_size=12), st.integers(0, 2**32 - 1)),
        st.one_of(st.none(), st.text(max_size=12), st.integers(0, 2**32 - 1)),
        st.sampled_from([None, "Fatal", "Nonfatal", "fatal", "non-fatal", "?"]),
        st.one_of(st.none(), st.text(max_size=12)),
        st.one_of(st.none(), st.text(max_size=12), st.sampled_from([V1, V2])),
    )
)
def test_nothing_raises_and_fatal_is_never_harmless(line):
    decoded = decode_nvlink5(*line)
    if line[3] in ("Fatal", "fatal"):
        assert decoded.severity == "critical"
        assert decoded.action != "observe"
    if decoded.failure_class == "unknown":
        assert decoded.action == "call_person"


@pytest.mark.parametrize(
    ("version", "branch"), [("575.57.08", 575), ("595", 595), ("", None), (None, None), ("n/a", None), ("1.2", None)]
)
def test_driver_branch(version, branch):
    assert driver_branch(version) == branch


def test_words():
    assert as_word("0x004505C6") == 0x4505C6
    assert as_word("4505c6") is None
    assert as_word(1.5) is None
