# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The readings of one GPU, in groups. Runs in the child; any group may hang, so each is announced before it begins.

A group is a function C(read(nvml, device, fields)), found by its name C(module:function) in this package.  Other
modules add groups of their own in the same way: the session is given the names.  PLAN is what the snapshot consists
of.
"""

from __future__ import annotations

import ctypes
import re
from typing import Any

from .fields import Fields
from .nvml import Nvml, NvmlFailure

PLAN = (
    "groups:identity",
    "groups:counters",
    "groups:memory",
    "groups:ecc",
    "groups:heat",
    "groups:pcie",
    "groups:layout",
    "groups:processes",
    "links:links",
)
# Who sits where, and nothing else: two calls a GPU.
IDENTITY = ("groups:identity",)

_PCI = re.compile(r"(?:([0-9a-fA-F]{4,8}):)?([0-9a-fA-F]{2}):([0-9a-fA-F]{2})(?:\.([0-9a-fA-F]))?")

# Values that come with one nvmlDeviceGetFieldValues: name -> field.
COUNTERS = {
    "recovery_action": 230,
    "reset_status": 226,
    "drain_and_reset_status": 227,
    "memory_temperature_c": 82,
    "nvlink_count": 91,
    "pcie_replay": 94,
    "pcie_replay_rollover": 95,
    "pcie_correctable_errors": 173,
    "pcie_naks_received": 174,
    "pcie_receiver_errors": 175,
    "pcie_bad_tlp": 176,
    "pcie_naks_sent": 177,
    "pcie_bad_dllp": 178,
    "pcie_non_fatal_errors": 179,
    "pcie_fatal_errors": 180,
    "pcie_unsupported_requests": 181,
    "pcie_lcrc_errors": 182,
    "pcie_lane_errors": 183,
}
_ECC_TOTALS = {
    # name: NVML memory error type (0 corrected, 1 uncorrected), counter (0 volatile, 1 aggregate), field
    "ecc_volatile_corrected": (0, 0, 3),
    "ecc_volatile_uncorrected": (1, 0, 4),
    "ecc_aggregate_corrected": (0, 1, 5),
    "ecc_aggregate_uncorrected": (1, 1, 6),
}
_SRAM = {
    "sram_threshold_exceeded": "bThresholdExceeded",
    "sram_volatile_uncorrected_parity": "volatileUncParity",
    "sram_volatile_uncorrected_secded": "volatileUncSecDed",
    "sram_aggregate_uncorrected_parity": "aggregateUncParity",
    "sram_aggregate_uncorrected_secded": "aggregateUncSecDed",
}
_REMAP = ("remap_corrected", "remap_uncorrected", "remap_pending", "remap_failure")
_HISTOGRAM = {"remap_banks_max": "max", "remap_banks_high": "high", "remap_banks_partial": "partial",
              "remap_banks_low": "low", "remap_banks_none": "none"}  # fmt: skip


def pci_address(text: Any) -> str:
    """C(dddd:bb:dd.f) in lower case, from any spelling of the driver, the kernel or people.

    Raises NvmlFailure for what is no address.
    """
    words = text.decode("ascii", "replace") if isinstance(text, bytes) else str(text)
    match = _PCI.search(words)
    if match is None:
        raise NvmlFailure("no_pci_address", "unreadable", repr(words))
    domain, bus, device, function = match.groups()
    return f"{int(domain or '0', 16):04x}:{bus}:{device}.{function or '0'}".lower()


def text(value: Any) -> str:
    """A value as text: some versions of the binding return bytes."""
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)


def identity(nvml: Nvml, device: Any, fields: Fields) -> None:
    fields.take("pci", lambda: pci_address(nvml.call("nvmlDeviceGetPciInfo", device).busId))
    fields.take("uuid", lambda: text(nvml.call("nvmlDeviceGetUUID", device)))
    fields.take("name", lambda: text(nvml.call("nvmlDeviceGetName", device)))
    fields.take("serial", lambda: text(nvml.call("nvmlDeviceGetSerial", device)))
    fields.take("minor", lambda: int(nvml.call("nvmlDeviceGetMinorNumber", device)))


def counters(nvml: Nvml, device: Any, fields: Fields) -> None:
    try:
        values = nvml.fields(device, list(COUNTERS.values()))
    except NvmlFailure as failure:
        values = dict.fromkeys(COUNTERS.values(), failure)
    for name, number in COUNTERS.items():
        fields.put(name, values[number])


def memory(nvml: Nvml, device: Any, fields: Fields) -> None:
    def read() -> tuple[int, int]:
        info = nvml.first(
            lambda: nvml.call("nvmlDeviceGetMemoryInfo", device, 0x02000028),
            lambda: nvml.call("nvmlDeviceGetMemoryInfo", device),
        )
        return int(info.total), int(info.used)

    fields.take_many(("memory_total_bytes", "memory_used_bytes"), read)


def ecc(nvml: Nvml, device: Any, fields: Fields) -> None:
    fields.take_many(
        ("ecc_enabled", "ecc_pending"), lambda: [bool(mode) for mode in nvml.call("nvmlDeviceGetEccMode", device)]
    )
    for name, (kind, counter, field) in _ECC_TOTALS.items():
        fields.take(name, lambda k=kind, c=counter, f=field: _ecc_total(nvml, device, k, c, f))  # type: ignore[misc]
    fields.take_many(tuple(_SRAM), lambda: _sram_errors(nvml, device))
    fields.take_many(_REMAP, lambda: _remapped_rows(nvml, device))
    fields.take_many(tuple(_HISTOGRAM), lambda: _remapped_histogram(nvml, device))
    for name, cause in (("retired_corrected", 0), ("retired_uncorrected", 1)):
        fields.take(name, lambda c=cause: _retired_pages(nvml, device, c))  # type: ignore[misc]
    fields.take("retired_pending", lambda: bool(nvml.call("nvmlDeviceGetRetiredPagesPendingStatus", device)))


def _ecc_total(nvml: Nvml, device: Any, kind: int, counter: int, field: int) -> int:
    return int(
        nvml.first(
            lambda: nvml.call("nvmlDeviceGetTotalEccErrors", device, kind, counter),
            lambda: nvml.field(device, field),
        )
    )


def _sram_errors(nvml: Nvml, device: Any) -> list[Any]:
    status = nvml.structure("c_nvmlEccSramErrorStatus_v1_t")
    from_library = _by_reference(nvml, "nvmlDeviceGetSramEccErrorStatus", device, status)
    values = [int(getattr(from_library, member)) for member in _SRAM.values()]
    return [bool(values[0]), *values[1:]]


def _by_reference(nvml: Nvml, name: str, device: Any, structure: Any) -> Any:
    nvml.call(name, device, ctypes.byref(structure))
    return structure


def _remapped_rows(nvml: Nvml, device: Any) -> list[Any]:
    values = nvml.first(
        lambda: nvml.call("nvmlDeviceGetRemappedRows", device),
        lambda: [nvml.field(device, number) for number in (142, 143, 144, 145)],
    )
    corrected, uncorrected, pending, failure = values
    return [int(corrected), int(uncorrected), bool(pending), bool(failure)]


def _remapped_histogram(nvml: Nvml, device: Any) -> list[int]:
    histogram = nvml.call("nvmlDeviceGetRowRemapperHistogram", device)
    return [int(getattr(histogram, member)) for member in _HISTOGRAM.values()]


def _retired_pages(nvml: Nvml, device: Any, cause: int) -> int:
    pages = nvml.first(
        lambda: nvml.call("nvmlDeviceGetRetiredPages", device, cause),
        lambda: [0] * int(nvml.field(device, (29, 30)[cause])),
    )
    return len(pages)


def heat(nvml: Nvml, device: Any, fields: Fields) -> None:
    fields.take(
        "temperature_c",
        lambda: int(
            nvml.first(
                lambda: nvml.call("nvmlDeviceGetTemperatureV", device, 0),
                lambda: nvml.call("nvmlDeviceGetTemperature", device, 0),
            )
        ),
    )
    for name, threshold in (("temperature_shutdown_c", 0), ("temperature_slowdown_c", 1)):
        fields.take(name, lambda t=threshold: int(nvml.call("nvmlDeviceGetTemperatureThreshold", device, t)))  # type: ignore[misc]
    fields.take(
        "clock_reasons",
        lambda: int(
            nvml.first(
                lambda: nvml.call("nvmlDeviceGetCurrentClocksEventReasons", device),
                lambda: nvml.call("nvmlDeviceGetCurrentClocksThrottleReasons", device),
            )
        ),
    )
    fields.take("power_usage_mw", lambda: int(nvml.call("nvmlDeviceGetPowerUsage", device)))
    fields.take("power_limit_mw", lambda: int(nvml.call("nvmlDeviceGetEnforcedPowerLimit", device)))
    fields.take("performance_state", lambda: int(nvml.call("nvmlDeviceGetPerformanceState", device)))
    fields.take("utilization_percent", lambda: int(nvml.call("nvmlDeviceGetUtilizationRates", device).gpu))


def pcie(nvml: Nvml, device: Any, fields: Fields) -> None:
    fields.take("pcie_generation", lambda: int(nvml.call("nvmlDeviceGetCurrPcieLinkGeneration", device)))
    fields.take("pcie_generation_max", lambda: int(nvml.call("nvmlDeviceGetMaxPcieLinkGeneration", device)))
    fields.take("pcie_width", lambda: int(nvml.call("nvmlDeviceGetCurrPcieLinkWidth", device)))
    fields.take("pcie_width_max", lambda: int(nvml.call("nvmlDeviceGetMaxPcieLinkWidth", device)))


def layout(nvml: Nvml, device: Any, fields: Fields) -> None:
    fields.take("architecture", lambda: int(nvml.call("nvmlDeviceGetArchitecture", device)))
    fields.take("persistence", lambda: bool(nvml.call("nvmlDeviceGetPersistenceMode", device)))
    fields.take_many(
        ("mig_enabled", "mig_pending"), lambda: [bool(mode) for mode in nvml.call("nvmlDeviceGetMigMode", device)]
    )
    fields.take("mig_devices", lambda: _mig_devices(nvml, device) if fields.values["mig_enabled"] else [])


def _mig_devices(nvml: Nvml, device: Any) -> list[dict[str, Any]]:
    found = []
    for index in range(int(nvml.call("nvmlDeviceGetMaxMigDeviceCount", device))):
        try:
            instance = nvml.call("nvmlDeviceGetMigDeviceHandleByIndex", device, index)
        except NvmlFailure as failure:
            if failure.error in ("NVML_ERROR_NOT_FOUND", "NVML_ERROR_INVALID_ARGUMENT"):
                continue  # slots are sparse
            raise
        one = Fields()
        one.take("uuid", lambda i=instance: text(nvml.call("nvmlDeviceGetUUID", i)))  # type: ignore[misc]
        one.take("name", lambda i=instance: text(nvml.call("nvmlDeviceGetName", i)))  # type: ignore[misc]
        one.take("gi", lambda i=instance: int(nvml.call("nvmlDeviceGetGpuInstanceId", i)))  # type: ignore[misc]
        one.take("ci", lambda i=instance: int(nvml.call("nvmlDeviceGetComputeInstanceId", i)))  # type: ignore[misc]
        one.take(
            "memory_total_bytes",
            lambda i=instance: int(nvml.call("nvmlDeviceGetMemoryInfo", i).total),  # type: ignore[misc]
        )
        found.append({**one.values, "index": index, "errors": one.errors})
    return found


_LISTS = {
    "compute": "nvmlDeviceGetComputeRunningProcesses",
    "graphics": "nvmlDeviceGetGraphicsRunningProcesses",
    "mps": "nvmlDeviceGetMPSComputeRunningProcesses",
}
_NO_INSTANCE = 0xFFFFFFFF


def processes(nvml: Nvml, device: Any, fields: Fields) -> None:
    """C(processes_KIND): [{pid, used_bytes, gi, ci}]. used_bytes is null where the driver does not tell it."""
    for kind, function in _LISTS.items():
        fields.take(f"processes_{kind}", lambda f=function: [_process_from(one) for one in nvml.call(f, device)])  # type: ignore[misc]


def _process_from(one: Any) -> dict[str, Any]:
    def instance(name: str) -> int | None:
        value = getattr(one, name, None)
        return None if value in (None, _NO_INSTANCE) else int(value)

    used = getattr(one, "usedGpuMemory", None)
    return {
        "pid": int(one.pid),
        "used_bytes": None if used is None else int(used),
        "gi": instance("gpuInstanceId"),
        "ci": instance("computeInstanceId"),
    }


def host(nvml: Nvml, fields: Fields) -> None:
    """The readings of the host, once before the GPUs."""
    fields.take("driver_version", lambda: text(nvml.call("nvmlSystemGetDriverVersion")))
    fields.take("nvml_version", lambda: text(nvml.call("nvmlSystemGetNVMLVersion")))
    fields.take("cuda_version", lambda: int(nvml.call("nvmlSystemGetCudaDriverVersion")))
