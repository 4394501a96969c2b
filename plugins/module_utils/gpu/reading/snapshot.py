# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Everything that was read of a host's GPUs in one plain dictionary, fit for JSON, which no function here judges.

    {"schema": 1,
     "taken_at": 1763848000.1,         seconds since the epoch
     "seconds": 0.12,                  how long it took
     "nvml": {"state": "read" | "hung" | "unread", "error": ERROR or null,
              "values": {"driver_version", "nvml_version", "cuda_version"}, "errors": {NAME: ERROR}},
     "gpus": [{"index": 0,             in NVML's order
               "state": "read" | "lost" | "reset_required" | "hung" | "unread",
               "error": ERROR or null, why the state is not read
               "step": null,           where it hung
               "values": {NAME: value or null},
               "errors": {NAME: ERROR}}],
     "stuck": [{"pid", "tid", "comm", "state", "wchan", "syscall", "stack"}],
     "host": {"pci": {"value": [{"pci", "driver", "answers", "minor"}], "error"}, "nodes": {"value": [0], "error"},
              "kernel_driver": {"value": "570.133.20", "error"}, "uptime_seconds": {"value", "error"}}}

ERROR is C({"error": NVML's name, "kind": KIND, "text": words}).  A value is null if and only if its name is in
C(errors). KIND: C(not_supported) (the GPU has no such thing), C(missing) (the question is newer than driver or
binding), C(unreadable), C(lost), C(reset_required), C(hung), C(not_read).

Names in C(gpus[].values), all of groups.py; units are in the name:
identity    pci (dddd:bb:dd.f), uuid, name, serial, minor
driver      recovery_action (field 230: 0 none, 1 GPU reset, 2 node reboot, 3 drain P2P, 4 drain and reset, 5 recover
            IMEX domain, 6 bus reset, 7 system reboot), reset_status, drain_and_reset_status
memory      memory_total_bytes, memory_used_bytes
ECC         ecc_enabled, ecc_pending, ecc_{volatile,aggregate}_{corrected,uncorrected}, sram_threshold_exceeded,
            sram_{volatile,aggregate}_uncorrected_{parity,secded}, remap_{corrected,uncorrected,pending,failure},
            remap_banks_{max,high,partial,low,none}, retired_{corrected,uncorrected,pending}
heat        temperature_c, temperature_{shutdown,slowdown}_c, memory_temperature_c, clock_reasons (bits),
            power_usage_mw, power_limit_mw, performance_state, utilization_percent
PCIe        pcie_generation, pcie_generation_max, pcie_width, pcie_width_max, pcie_replay, pcie_replay_rollover,
            pcie_{correctable,receiver,non_fatal,fatal,lcrc,lane}_errors, pcie_naks_{sent,received},
            pcie_bad_{tlp,dllp}, pcie_unsupported_requests
layout      persistence, mig_enabled, mig_pending, mig_devices [{index, uuid, name, gi, ci, memory_total_bytes,
            errors}]
processes   processes_{compute,graphics,mps} [{pid, used_bytes, gi, ci}]
NVLink      nvlink_count, nvlinks [{link, up, remote, remote_type}]
modes       virtualization (0 none, 1 passed through, 2 and above vGPU), display_active, power_management_limit_mw;
            where the plan has modes.MODES, which PLAN has not
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

from .groups import PLAN
from .presence import Roots, read_host
from .session import GpuReading, NvmlSession

SCHEMA = 1


def take(session: NvmlSession, roots: Roots = Roots(), plan: Sequence[str] = PLAN) -> dict[str, Any]:  # noqa: B008  # frozen
    """Read everything. Never raises, never hangs."""
    begun = time.monotonic()
    host = read_host(roots)
    look = session.read(plan)
    return {**_of_look(look), "host": host, "seconds": round(time.monotonic() - begun, 6)}


def _of_look(look: GpuReading) -> dict[str, Any]:
    return {
        "schema": SCHEMA,
        "taken_at": time.time(),
        "nvml": {"state": look.state, "error": look.error, "values": look.values, "errors": look.errors},
        "gpus": look.gpus,
        "stuck": look.stuck,
    }
