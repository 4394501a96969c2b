# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Each profile answers as the GPU does whose name it has."""

from __future__ import annotations

import pytest

SUMMARY = """
h = [n.nvmlDeviceGetHandleByIndex(i) for i in range(n.nvmlDeviceGetCount())]
d = h[-1]
links = n.nvmlDeviceGetFieldValues(d, [n.NVML_FI_DEV_NVLINK_LINK_COUNT])[0]
ber = n.nvmlDeviceGetFieldValues(d, [(n.NVML_FI_DEV_NVLINK_COUNT_SYMBOL_BER, 0)])[0]
fabric = n.c_nvmlGpuFabricInfo_v3_t()
out = {
    "count": len(h),
    "name": n.nvmlDeviceGetName(d),
    "bus": n.nvmlDeviceGetPciInfo(d).busId,
    "gib": round(n.nvmlDeviceGetMemoryInfo(d, version=n.nvmlMemory_v2).total / 2**30),
    "ecc": n.nvmlDeviceGetEccMode(d),
    "links": links.value.uiVal if links.nvmlReturn == 0 else f"error {links.nvmlReturn}",
    "link 0": ask(n.nvmlDeviceGetNvLinkState, d, 0),
    "link 35": ask(n.nvmlDeviceGetNvLinkState, d, 35),
    "ber": ber.nvmlReturn,
    "mig": ask(n.nvmlDeviceGetMigMode, d),
    "fabric": ask(n.nvmlDeviceGetGpuFabricInfoV, d, n.byref(fabric)),
    "retired": ask(n.nvmlDeviceGetRetiredPages, d, 0),
    "gen": n.nvmlDeviceGetGpuMaxPcieLinkGeneration(d),
}
"""

COMMON = {"count": 8, "bus": "00000000:74:00.0", "ecc": [1, 1], "retired": "error 3", "ber": 3, "fabric": "error 3"}
LINKED = {**COMMON, "link 0": 1, "link 35": "error 2", "mig": [0, 0]}
UNLINKED = {**COMMON, "link 0": "error 3", "link 35": "error 3", "mig": "error 3"}

EXPECTED = {
    "a100": {**LINKED, "name": "NVIDIA A100-SXM4-80GB", "gib": 80, "links": 12, "gen": 4},
    "h100": {**LINKED, "name": "NVIDIA H100 80GB HBM3", "gib": 80, "links": 18, "gen": 5, "fabric": 0},
    "h100_pcie": {**LINKED, "name": "NVIDIA H100 PCIe", "gib": 80, "links": 18, "gen": 5, "link 0": 0},
    "b200": {**LINKED, "name": "NVIDIA B200", "gib": 179, "links": 18, "gen": 5, "fabric": 0, "ber": 0},
    "l40s": {**UNLINKED, "name": "NVIDIA L40S", "gib": 45, "links": "error 3", "gen": 4},
}


@pytest.mark.parametrize("profile", EXPECTED)
def test_profile(make_fake_nvml, ask_pynvml, profile: str) -> None:
    assert ask_pynvml(make_fake_nvml(profile), SUMMARY) == EXPECTED[profile]


READ_ALL = """
d = n.nvmlDeviceGetHandleByIndex(0)
fabric2, fabric3 = n.c_nvmlGpuFabricInfo_v2_t(), n.c_nvmlGpuFabricInfo_v3_t()
sram, rows = n.c_nvmlEccSramErrorStatus_v1_t(), n.c_nvmlRemappedRowsInfo_v2_t()
wrong = n.c_nvmlGpuFabricInfo_v3_t(); wrong.version = 0x07000028
out = {
    "driver": n.nvmlSystemGetDriverVersion(),
    "nvml": n.nvmlSystemGetNVMLVersion(),
    "uuid": n.nvmlDeviceGetIndex(n.nvmlDeviceGetHandleByUUID(n.nvmlDeviceGetUUID(d))),
    "bus": n.nvmlDeviceGetIndex(n.nvmlDeviceGetHandleByPciBusId("0000:1a:00.0")),
    "temperature": n.nvmlDeviceGetTemperature(d, 0),
    "temperature v": ask(n.nvmlDeviceGetTemperatureV, d, 0),
    "margin": ask(n.nvmlDeviceGetMarginTemperature, d),
    "events": ask(n.nvmlDeviceGetCurrentClocksEventReasons, d),
    "throttle": n.nvmlDeviceGetCurrentClocksThrottleReasons(d),
    "fabric 2": ask(n.nvmlDeviceGetGpuFabricInfoV, d, n.byref(fabric2)),
    "fabric 3": ask(n.nvmlDeviceGetGpuFabricInfoV, d, n.byref(fabric3)),
    "fabric 7": ask(n.nvmlDeviceGetGpuFabricInfoV, d, n.byref(wrong)),
    "sram": ask(n.nvmlDeviceGetSramEccErrorStatus, d, n.byref(sram)),
    "rows 2": ask(n.nvmlDeviceGetRemappedRows_v2, d, n.byref(rows)),
    "rows": n.nvmlDeviceGetRemappedRows(d),
    "pcie": [n.nvmlDeviceGetCurrPcieLinkWidth(d), n.nvmlDeviceGetPcieReplayCounter(d)],
    "no such function": ask(n.nvmlDeviceGetEncoderUtilization, d),
    "recovery": [v.nvmlReturn for v in n.nvmlDeviceGetFieldValues(d, [230])],
}
"""


def test_the_new_driver_and_the_old_one(make_fake_nvml, ask_pynvml) -> None:
    new = ask_pynvml(make_fake_nvml(), READ_ALL)
    old = ask_pynvml(make_fake_nvml(driver="525.147.05", symbols="old"), READ_ALL)
    assert new["driver"] == "570.158.01"
    assert (new["uuid"], new["bus"], new["temperature"], new["temperature v"]) == (0, 1, 31, 31)
    assert (new["fabric 2"], new["fabric 3"], new["fabric 7"]) == (0, 0, "error 25")
    assert (new["sram"], new["rows 2"], new["rows"], new["recovery"]) == (0, 0, [0, 0, 0, 0], [0])
    assert new["no such function"] == "error 13"
    absent = {"temperature v", "margin", "events", "fabric 2", "fabric 3", "fabric 7", "sram", "rows 2"}
    assert {key for key in old if old[key] == "error 13"} == absent | {"no such function"}
    assert (old["throttle"], old["rows"], old["recovery"]) == (1, [0, 0, 0, 0], [2])
