# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The verdict on a GPU's operation: heat, links and setup. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from .expectations import Expectations
from .findings import GpuFinding, fault, unknown, warning

Values = Mapping[str, Any]

_IDLE = 0x1


def judge_heat(values: Values) -> Iterator[GpuFinding]:
    """Beside the clocks' event reasons, which are faults/arbitration's."""
    now, limit = values.get("temperature_c"), values.get("temperature_slowdown_c")
    if now is not None and limit and now >= limit:
        yield fault("thermal", f"{now} °C, at or above the slowdown temperature of {limit} °C")


def is_busy(values: Values, busy_percent: int) -> bool | None:
    """Whether the GPU is under load: by its utilisation, or without that (MIG) by the idle bit; None if unknown."""
    used = values.get("utilization_percent")
    if used is not None:
        return bool(used >= busy_percent)
    reasons = values.get("clock_reasons")
    return None if reasons is None else not reasons & _IDLE


def judge_pcie(values: Values, expected: Expectations) -> Iterator[GpuFinding]:
    """An idle link rests at a low generation; what the link could do at most can be judged at any time."""
    busy = is_busy(values, expected.busy_percent)
    for name, words, wanted in (
        ("pcie_width", "width", expected.pcie_width),
        ("pcie_generation", "generation", expected.pcie_generation),
    ):
        now, most = values.get(name), values.get(f"{name}_max")
        if wanted is not None and now is None and most is None:
            yield unknown(f"the PCIe link's {words} is expected to be {wanted} and could not be read")
        if wanted is not None and most is not None and most < wanted:
            yield fault("gpu_fault", f"the PCIe link can do {words} {most} at most, {wanted} is expected")
        elif now is not None and most is not None and busy and now < (most if wanted is None else wanted):
            at_least = most if wanted is None else wanted
            yield fault("gpu_fault", f"the PCIe link runs at {words} {now} under load, {at_least} is expected")


def judge_links(values: Values, expected: Expectations) -> Iterator[GpuFinding]:
    """NVLink in short: a GPU some of whose links are up is meant to have them; one without any may be meant so."""
    links = values.get("nvlinks")
    if links is None:
        if expected.nvlinks:
            yield unknown(f"{expected.nvlinks} NVLinks are expected and none could be read")
        return
    down = [str(one["link"]) for one in links if not one["up"]]
    up = len(links) - len(down)
    wanted = expected.nvlinks if expected.nvlinks is not None else (len(links) if up else 0)
    if up < wanted:
        named = f"; down: {', '.join(down)}" if down else ""
        yield fault("gpu_comm", f"{up} of {wanted} NVLinks are up{named}")


def judge_setup(values: Values, expected: Expectations) -> Iterator[GpuFinding]:
    """Against what the inventory says. Nothing here breaks by itself, so no action is recommended."""
    for name, wanted in (("persistence", expected.persistence), ("ecc_enabled", expected.ecc)):
        now = values.get(name)
        if wanted is not None and now is None:
            yield unknown(f"{name} is expected to be {_on_or_off(wanted)} and could not be read")
        elif wanted is not None and now != wanted:
            yield fault("unknown", f"{name} is {_on_or_off(now)}, expected is {_on_or_off(wanted)}")
    for name, pending in (("ecc_enabled", "ecc_pending"), ("mig_enabled", "mig_pending")):
        now, later = values.get(name), values.get(pending)
        if now is not None and later is not None and now != later:
            yield warning(f"{name} is {_on_or_off(now)} and becomes {_on_or_off(later)} with the next GPU reset")
    if expected.mig is not None:
        yield from _judge_mig(values, expected.mig)


def _judge_mig(values: Values, wanted: tuple[str, ...]) -> Iterator[GpuFinding]:
    enabled, instances = values.get("mig_enabled"), values.get("mig_devices")
    if enabled is None and not wanted:
        return  # a GPU that has no MIG has it off; had it not been readable, that is said elsewhere
    if enabled is None or instances is None:
        yield unknown("the MIG layout is expected and could not be read")
        return
    found = Counter(mig_profile(one.get("name")) for one in instances)
    if bool(wanted) != bool(enabled) or found != Counter(wanted):
        yield fault(
            "unknown",
            f"MIG layout is {_mig_layout(found, enabled)}, expected is {_mig_layout(Counter(wanted), wanted)}",
        )


def mig_profile(name: str | None) -> str:
    """C(NVIDIA H100 80GB HBM3 MIG 3g.40gb) -> C(3g.40gb)."""
    return (name or "?").rpartition("MIG ")[2]


def _mig_layout(profiles: Counter[str], enabled: object) -> str:
    if not enabled:
        return "off"
    return ", ".join(f"{count} x {name}" for name, count in sorted(profiles.items())) or "on, without instances"


def _on_or_off(value: object) -> str:
    return "on" if value else "off"
