# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The verdict on every GPU and on the host, from a snapshot and its surroundings. Pure.

The one promise above all: C(healthy) only when everything that REQUIRED names was read of every GPU, all GPUs that
there should be are there, and no rule found a fault.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ...faults.catalogue.numbers import Overrides
from ...faults.classes import ROOT_CAUSE_ORDER
from ..reading.device_files import Holders
from . import kernel
from .expectations import Expectations
from .findings import WARNING, GpuFinding, fault, gravest, summary, unknown, warning
from .hardware import judge_history, judge_thresholds
from .holders import GpuUnit, ProcessOwner, judge_processes
from .host import OFF_THE_BUS, addresses, counts, dead_on_bus, judge_host
from .readable import judge_readable
from .reset import reset_obstacles
from .running import judge_heat, judge_links, judge_pcie, judge_setup
from .witnesses import hear_all, judge_events

AUTO, REQUIRED_LINES, NEVER = "auto", "required", "never"
_ORDER = ("healthy", "unknown", "unhealthy")


@dataclass(frozen=True)
class Surroundings:
    """The readings of the host beside the snapshot.

    owners: process id -> owner; None where this host's process ids cannot be compared with NVML's.
    kernel: None when the log was not asked for.  fabric_manager: whether it runs; None: not asked, or not known.
    """

    services: tuple[GpuUnit, ...] = ()
    owners: Mapping[int, ProcessOwner] | None = None
    holders: Holders = field(default_factory=Holders)
    fabric_manager: bool | None = None
    kernel: kernel.KernelSeen | None = None
    kernel_required: bool = False
    overrides: Overrides = field(default_factory=dict)


def assess(snapshot: Mapping[str, Any], expected: Expectations, around: Surroundings) -> dict[str, Any]:
    """The result of gpu_health but for the snapshot itself."""
    own = [*judge_host(snapshot, expected), *_judge_log(snapshot, around)]
    named = addresses(snapshot)
    gpus = [_assess_gpu(gpu, named.get(gpu["index"]), snapshot, expected, around) for gpu in snapshot["gpus"]]
    result = _join_verdicts(own, gpus)
    result["gpus"] = gpus
    result["presence"] = counts(snapshot, expected)
    return result


def _join_verdicts(own: Sequence[GpuFinding], gpus: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The host's verdict: no better than that of its worst GPU."""
    host = summary(own)
    everyone = [host, *gpus]
    verdict = max((one["verdict"] for one in everyone), key=_ORDER.index)
    classes = [one["failure_class"] or "unknown" for one in everyone if one["verdict"] == verdict]
    reasons = [(one, reason) for one in gpus for reason in one["reasons"] if one["verdict"] != "healthy"]
    # What is broken is said before what is not known.
    reasons.sort(key=lambda pair: -_ORDER.index(pair[0]["verdict"]))
    told = [f"{name_of(one)}: {reason}" for one, reason in reasons]
    warnings = [f"{name_of(one)}: {words}" for one in gpus for words in one["warnings"]]
    healthy = verdict == "healthy"
    return {
        "verdict": verdict,
        "failure_class": None if healthy else min(classes, key=ROOT_CAUSE_ORDER.index),
        "reasons": [f"{len(gpus)} GPUs were read and are well"] if healthy else [*host["reasons"], *told],
        "warnings": [*host["warnings"], *warnings],
        "recommended_action": None if healthy else gravest(one["recommended_action"] for one in everyone),
    }


def _assess_gpu(
    gpu: Mapping[str, Any],
    pci: str | None,
    snapshot: Mapping[str, Any],
    expected: Expectations,
    around: Surroundings,
) -> dict[str, Any]:
    values = gpu["values"]
    findings = list(judge_readable(gpu))
    # Stronger than the driver's own word, which may still be that a reset helps.
    if pci in dead_on_bus(snapshot):
        findings.append(fault("gpu_lost", OFF_THE_BUS))
    findings += judge_history(values)
    findings += judge_thresholds(gpu, expected)
    findings += judge_heat(values)
    findings += judge_pcie(values, expected)
    findings += judge_links(values, expected)
    findings += judge_setup(values, expected)
    findings += judge_processes(gpu, around.owners, around.services)
    told = hear_all(
        gpu,
        findings,
        _events_of_gpu(pci, around),
        around.kernel_required,
        _driver_version(snapshot),
        overrides=around.overrides,
    )
    return {
        "index": gpu["index"],
        "pci": pci,
        "uuid": values.get("uuid"),
        "name": values.get("name"),
        "warnings": [finding.reason for finding in findings if finding.level == WARNING],
        **told,
        "reset_would_disturb": reset_obstacles(gpu, pci, snapshot, around.holders, around.fabric_manager),
    }


def _judge_log(snapshot: Mapping[str, Any], around: Surroundings) -> Iterator[GpuFinding]:
    """Faults that name no GPU of NVML's, perhaps because it is gone; and whether the log was readable."""
    if around.kernel is None:
        return
    if around.kernel.error is not None:
        text = f"the kernel's log could not be read: {around.kernel.error}"
        yield unknown(text) if around.kernel_required else warning(text)
    known = addresses(snapshot).values()
    yield from judge_events(
        kernel.of_nobody(around.kernel.events, list(known)), _driver_version(snapshot), around.overrides
    )


def _events_of_gpu(pci: str | None, around: Surroundings) -> list[Mapping[str, Any]] | None:
    if around.kernel is None or around.kernel.error is not None:
        return None
    return kernel.of_gpu(around.kernel.events, pci)


def _driver_version(snapshot: Mapping[str, Any]) -> str | None:
    version: str | None = snapshot["nvml"]["values"].get("driver_version") or snapshot["host"]["kernel_driver"]["value"]
    return version


def name_of(gpu: Mapping[str, Any]) -> str:
    """A GPU for people: its index moves when another one is lost, its address does not."""
    return f"GPU {gpu['index']} ({gpu['pci']})" if gpu["pci"] else f"GPU {gpu['index']}"
