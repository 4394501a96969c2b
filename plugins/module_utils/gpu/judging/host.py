# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The verdict on the host's side: whether NVML answers, all GPUs are present and the driver matches. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from .bombs import judge_bombs
from .expectations import Expectations
from .findings import GpuFinding, fault, unknown, warning

# NVML's initialisation failed in a way that says what is wrong, and not only that nothing is known.
_MISMATCH = "NVML_ERROR_LIB_RM_VERSION_MISMATCH"
_NOT_LOADED = "NVML_ERROR_DRIVER_NOT_LOADED"
OFF_THE_BUS = "off the bus: its configuration space reads as all ones"
# How a host without any GPU may answer.
_NO_GPU = ("NVML_ERROR_NOT_FOUND", "NVML_ERROR_GPU_NOT_FOUND")


def judge_host(snapshot: Mapping[str, Any], expected: Expectations) -> Iterator[GpuFinding]:
    yield from judge_nvml(snapshot, expected)
    yield from judge_presence(snapshot, expected)
    yield from judge_driver_version(snapshot, expected)
    yield from judge_bombs(snapshot)


def judge_nvml(snapshot: Mapping[str, Any], expected: Expectations) -> Iterator[GpuFinding]:
    nvml = snapshot["nvml"]
    for name, error in nvml["errors"].items():
        if name in ("nvml", "driver_version"):
            yield unknown(f"{name} could not be read: {_error_words(error)}", "gpu_lost")
    if nvml["state"] == "read":
        return
    error = nvml["error"] or {"error": "not read", "text": ""}
    module = snapshot["host"]["kernel_driver"]["value"]
    if nvml["state"] == "hung":
        yield unknown(f"the driver hangs: {error['text']}", "gpu_lost")
    elif error["error"] == _MISMATCH:
        loaded = f"; the loaded kernel module is {module}" if module else ""
        yield fault("gpu_lost", f"driver and library do not fit each other ({_MISMATCH}){loaded}")
    elif error["error"] == _NOT_LOADED and (gpus_on_bus(snapshot) or expected.gpus):
        yield fault("gpu_lost", f"the NVIDIA driver is not loaded ({_NOT_LOADED})")
    else:
        yield unknown(f"NVML could not be asked: {_error_words(error)}", class_of_no_answer(error["error"]))


def class_of_no_answer(error: str, gpus_are_here: bool = False) -> str:
    """The failure class where NVML does not answer.

    What is missing on the host (the binding, the library, a driver that nothing here needs) is no failure of a GPU, as
    far as anybody knows.  gpus_are_here: the bus has some, or some are expected.
    """
    if error in (_NOT_LOADED, *_NO_GPU):
        return "gpu_lost" if gpus_are_here else "unknown"
    return "gpu_lost" if error.startswith("NVML_ERROR_") and error != "NVML_ERROR_LIBRARY_NOT_FOUND" else "unknown"


def judge_presence(snapshot: Mapping[str, Any], expected: Expectations) -> Iterator[GpuFinding]:
    """PCI bus, device files and NVML against each other, and against what is expected."""
    if snapshot["nvml"]["state"] != "read":
        yield from _judge_dead(snapshot)
        return
    seen, missing = len(snapshot["gpus"]), missing_gpus(snapshot)
    named = f" (missing: {', '.join(missing)})" if missing else ""
    if expected.gpus is not None and seen < expected.gpus:
        yield fault("gpu_lost", f"NVML sees {seen} of {expected.gpus} expected GPUs{named}")
    elif expected.gpus is not None and seen > expected.gpus:
        yield warning(f"NVML sees {seen} GPUs, {expected.gpus} are expected")
    elif missing and expected.gpus is None:
        yield fault("gpu_lost", f"the PCI bus has GPUs that NVML does not see: {', '.join(missing)}")
    elif missing:
        yield warning(f"the PCI bus has more GPUs than are expected: {', '.join(missing)}")
    if expected.gpus is None and seen == 0 and not missing:
        yield unknown("there is no GPU here, and no number of GPUs is expected")
    if expected.gpus is None and snapshot["host"]["pci"]["error"]:
        yield unknown(f"the GPUs on the PCI bus cannot be counted: {snapshot['host']['pci']['error']}")
    yield from _judge_dead(snapshot)
    yield from _judge_nodes(snapshot)


def missing_gpus(snapshot: Mapping[str, Any]) -> list[str]:
    """PCI addresses of GPUs that are on the bus, belong to nobody else, and that NVML does not list."""
    known = {gpu["values"].get("pci") for gpu in snapshot["gpus"]}
    nameless = sum(1 for gpu in snapshot["gpus"] if not gpu["values"].get("pci"))
    missing = [pci for pci in gpus_on_bus(snapshot) if pci not in known]
    # A GPU that NVML lists without being able to name it may be any of them.
    return missing if len(missing) > nameless else []


def addresses(snapshot: Mapping[str, Any]) -> dict[int, str]:
    """Index -> PCI address, also of GPUs that are too far gone to tell theirs, where the bus leaves no doubt.

    NVML lists in the order of the bus.
    """
    known = {gpu["index"]: gpu["values"]["pci"] for gpu in snapshot["gpus"] if gpu["values"].get("pci")}
    nameless = [gpu["index"] for gpu in snapshot["gpus"] if gpu["index"] not in known]
    left = [pci for pci in gpus_on_bus(snapshot) if pci not in known.values()]
    if len(nameless) == len(left):
        known.update(zip(nameless, left))
    return known


def gpus_on_bus(snapshot: Mapping[str, Any]) -> list[str]:
    """The GPUs on the bus, without those bound to another driver, such as a virtual machine's."""
    on_bus = snapshot["host"]["pci"]["value"] or []
    return [one["pci"] for one in on_bus if one["driver"] in (None, "nvidia")]


def dead_on_bus(snapshot: Mapping[str, Any]) -> list[str]:
    """The addresses of GPUs that are off the bus, whatever the driver still says of them."""
    return [one["pci"] for one in snapshot["host"]["pci"]["value"] or [] if one["answers"] is False]


def _judge_dead(snapshot: Mapping[str, Any]) -> Iterator[GpuFinding]:
    """Those that NVML does not list: of the others it is said at the GPU."""
    listed = addresses(snapshot).values()
    for pci in dead_on_bus(snapshot):
        if pci not in listed:
            yield fault("gpu_lost", f"the GPU at {pci} is {OFF_THE_BUS}")


def _judge_nodes(snapshot: Mapping[str, Any]) -> Iterator[GpuFinding]:
    nodes = snapshot["host"]["nodes"]["value"]
    if nodes is None or not snapshot["host"]["pci"]["value"]:
        return
    for gpu in snapshot["gpus"]:
        minor = gpu["values"].get("minor")
        if minor is not None and minor not in nodes:
            yield warning(f"/dev/nvidia{minor} is not there")


def judge_driver_version(snapshot: Mapping[str, Any], expected: Expectations) -> Iterator[GpuFinding]:
    version = snapshot["nvml"]["values"].get("driver_version") or snapshot["host"]["kernel_driver"]["value"]
    if expected.driver is None:
        return
    if version is None:
        yield unknown(f"driver {expected.driver} is expected and the version could not be read")
    elif version != expected.driver:
        yield fault("unknown", f"the driver is {version}, expected is {expected.driver}")


def counts(snapshot: Mapping[str, Any], expected: Expectations) -> dict[str, Any]:
    """The three-way count, for people."""
    host = snapshot["host"]
    return {
        "expected": expected.gpus,
        "pci": None if host["pci"]["value"] is None else len(gpus_on_bus(snapshot)),
        "nodes": None if host["nodes"]["value"] is None else len(host["nodes"]["value"]),
        "nvml": len(snapshot["gpus"]) if snapshot["nvml"]["state"] == "read" else None,
        "missing": missing_gpus(snapshot) if snapshot["nvml"]["state"] == "read" else [],
    }


def _error_words(error: Mapping[str, str]) -> str:
    return f"{error['error']} ({error['text']})" if error["text"] else error["error"]
