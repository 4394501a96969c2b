# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The rates above which an error counter is a fault, with the source of each number.

A rate is counted per hour over the baseline's window.  A limit below zero switches its rule off.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from .fields import BER_FIELDS, COUNTERS
from .ports import COUNTERS as PORT_COUNTERS

# DCGM: "CRC errors only matter at rates of 100+ per second" (DCGM_LIMIT_MAX_NVLINK_CRC_ERROR).
_CRC = 100 * 3600.0
# DCGM's health watch fails on one replay within its minute.
_REPLAY = 60.0
# DCGM fails on any recovery: the link was down for a moment, and what used it waited.
_ANY = 0.0

LINK_RATES: dict[str, float] = {
    "replay": _REPLAY,
    "recovery": _ANY,
    "crc": _CRC,
    "crc_flit": _CRC,
    "crc_data": _CRC,
    "ecc_data": _CRC,
    # NVLink 5. What the link layer could neither correct nor resend.
    "malformed_packets": _ANY,
    "buffer_overruns": _ANY,
    "local_link_integrity_errors": _ANY,
    "link_recoveries_failed": _ANY,
    "link_recoveries_successful": _ANY,
    "link_recoveries": _ANY,
    "receive_errors": _REPLAY,
    "receive_general_errors": _REPLAY,
    # Not judged: the other end's errors are the other end's, discards come with congestion and routing changes, and
    # the bit error rates say what effective and symbol errors mean.
    "receive_remote_errors": -1.0,
    "transmit_discards": -1.0,
    "effective_errors": -1.0,
    "symbol_errors": -1.0,
}

# NVSentinel's NIC health monitor; 120 symbol errors an hour are what the InfiniBand specification's bit error rate
# allows.  port_xmit_discards come with congestion.
PORT_RATES: dict[str, float] = {
    "link_downed": _ANY,
    "local_link_integrity_errors": _ANY,
    "excessive_buffer_overrun_errors": _ANY,
    "symbol_error": 120.0,
    "link_error_recovery": 5 * 60.0,
    "port_rcv_errors": 10 * 3600.0,
    "port_xmit_discards": 100 * 3600.0,
    "port_rcv_remote_physical_errors": -1.0,
}

# A bit error rate worse than 10 ** -this is a fault.  Effective: after error correction; 1e-15 is the least that
# InfiniBand and Ethernet of these speeds promise.  DCGM's is stricter: anything but 15e-255, which is 254 here.
# Symbol: before retransmission; 1e-12 is the limit of NVIDIA's ibdiagnet.
BER_EXPONENTS: dict[str, float] = {"effective": 15, "symbol": 12}


@dataclass(frozen=True)
class NvlinkLimits:
    """All limits. Raises ValueError for a name that no counter has."""

    links: Mapping[str, float] = field(default_factory=lambda: dict(LINK_RATES))
    ports: Mapping[str, float] = field(default_factory=lambda: dict(PORT_RATES))
    exponents: Mapping[str, float] = field(default_factory=lambda: dict(BER_EXPONENTS))

    @classmethod
    def of(
        cls,
        links: Mapping[str, object] | None = None,
        ports: Mapping[str, object] | None = None,
        exponents: Mapping[str, object] | None = None,
    ) -> NvlinkLimits:
        """The defaults with the operator's values."""
        return cls(
            _merged("link_rates", LINK_RATES, COUNTERS, links),
            _merged("port_rates", PORT_RATES, PORT_COUNTERS, ports),
            _merged("ber_exponents", BER_EXPONENTS, tuple(BER_FIELDS), exponents),
        )


def _merged(
    option: str, defaults: Mapping[str, float], names: tuple[str, ...], given: Mapping[str, object] | None
) -> dict[str, float]:
    merged = dict(defaults)
    for name, value in (given or {}).items():
        if name not in names:
            raise ValueError(f"{option}: there is no {name!r}; there are {', '.join(sorted(names))}")
        try:
            merged[name] = float(str(value))
        except ValueError:
            raise ValueError(f"{option}: {name} has to be a number, not {value!r}") from None
        if merged[name] != merged[name]:
            raise ValueError(f"{option}: {name} has to be a number, not {value!r}")
    return merged
