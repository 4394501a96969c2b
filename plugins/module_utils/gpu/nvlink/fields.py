# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The names of what NVML says of NVLink: counters, bit error rates, link states, fabric state and its bit fields.
Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

LINK_COUNT = 91
REMOTE_LINK = 146
SPEED = 164
STATE = 165
VERSION = 166

# Counters by field value, of one link.  161-163 are there up to NVLink 4, 206-221 from NVLink 5 on.  205 and 216-218
# are deprecated and not asked for.
COUNTER_FIELDS = {
    "replay": 161,
    "recovery": 162,
    "crc": 163,
    "malformed_packets": 206,
    "buffer_overruns": 207,
    "receive_errors": 208,
    "receive_remote_errors": 209,
    "receive_general_errors": 210,
    "local_link_integrity_errors": 211,
    "transmit_discards": 212,
    "link_recoveries_successful": 213,
    "link_recoveries_failed": 214,
    "link_recoveries": 215,
    "effective_errors": 219,
    "symbol_errors": 221,
}
# Counters that only nvmlDeviceGetNvLinkErrorCounter tells.
LEGACY_COUNTERS = {"crc_flit": 2, "crc_data": 3, "ecc_data": 4}
COUNTERS = (*COUNTER_FIELDS, *LEGACY_COUNTERS)

BER_FIELDS = {"effective": 220, "symbol": 222}
FEC_FIELDS = tuple(range(235, 251))

# NVML_NVLINK_BER_MANTISSA_* and NVML_NVLINK_BER_EXP_*: the rate is mantissa * 10 ** -exponent.  A link without any
# error says 15e-255.
_BER_MANTISSA_SHIFT, _BER_MANTISSA_WIDTH, _BER_EXPONENT_WIDTH = 8, 0xF, 0xFF

# Field 165. What is not listed is unknown, not inactive.
LINK_STATES = {0: "inactive", 1: "active", 2: "sleep", 3: "traffic_disabled"}
# A sleeping link is one that saves power and wakes by itself.
UP = ("active", "sleep")

VERSIONS = {1: "1.0", 2: "2.0", 3: "2.2", 4: "3.0", 5: "3.1", 6: "4.0", 7: "5.0", 8: "6.0"}
DEVICE_TYPES = {0: "gpu", 1: "ibmnpu", 2: "switch", 255: "unknown"}

FABRIC_STATES = {0: "not_supported", 1: "not_started", 2: "in_progress", 3: "completed"}
FABRIC_SUMMARIES = {0: "not_supported", 1: "healthy", 2: "unhealthy", 3: "limited_capacity"}

_YES_OR_NO = {0: None, 1: True, 2: False}
_CONFIGURATIONS = {
    0: None,
    1: "none",
    2: "incorrect_sysguid",
    3: "incorrect_chassis_serial_number",
    4: "no_partition",
    5: "insufficient_nvlinks",
    6: "incompatible_gpu_firmware",
    7: "invalid_location",
    8: "gpu_state_invalid",
}
# name: shift, width, meaning of the values (NVML_GPU_FABRIC_HEALTH_MASK_*). null: the fabric does not tell.
HEALTH_BITS: dict[str, tuple[int, int, Mapping[int, Any]]] = {
    "degraded_bandwidth": (0, 0x3, _YES_OR_NO),
    "route_recovery": (2, 0x3, _YES_OR_NO),
    "route_unhealthy": (4, 0x3, _YES_OR_NO),
    "access_timeout_recovery": (6, 0x3, _YES_OR_NO),
    "incorrect_configuration": (8, 0xF, _CONFIGURATIONS),
    "partition_assigned": (12, 0x3, _YES_OR_NO),
    "global_manager_connected": (14, 0x3, _YES_OR_NO),
}


def bit_error_rate(raw: int) -> dict[str, Any]:
    """C({"mantissa", "exponent", "rate"}) of what NVML gives as one number."""
    mantissa = raw >> _BER_MANTISSA_SHIFT & _BER_MANTISSA_WIDTH
    exponent = raw & _BER_EXPONENT_WIDTH
    return {"mantissa": mantissa, "exponent": exponent, "rate": mantissa * 10.0**-exponent}


def health_of(mask: int) -> dict[str, Any]:
    """The fabric's health mask, field by field. A value that has no name is given as C(value N)."""
    return {
        name: meanings.get(mask >> shift & width, f"value {mask >> shift & width}")
        for name, (shift, width, meanings) in HEALTH_BITS.items()
    }
