# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One reading of the NVLink links, fabric and network ports of a host, compared with earlier ones."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ...host.command import Runner
from ..judging.findings import GpuFinding
from ..judging.host import gpus_on_bus
from ..reading.arguments import KERNEL_WINDOW
from ..reading.presence import Roots, read_host
from ..reading.session import NvmlSession
from . import baseline, host
from .limits import NvlinkLimits
from .links import is_up, links_of
from .ports import is_active, read_ports
from .read import PLAN
from .verdict import ExpectedLinks, NvlinkEvidence, judge, key_of
from .verdict_ports import port_key

DEFAULT_WINDOW = 3600.0
NEVER, REQUIRED = "never", "required"


@dataclass(frozen=True)
class NvlinkOptions:
    """How to read. window: seconds over which rates are taken. kernel_lines: C(auto), C(required) or C(never)."""

    state_dir: Path
    expected: ExpectedLinks = field(default_factory=ExpectedLinks)
    limits: NvlinkLimits = field(default_factory=NvlinkLimits)
    window: float = DEFAULT_WINDOW
    command_timeout: float = 10.0
    kernel_lines: str = "auto"
    kernel_window: float = KERNEL_WINDOW
    network_ports: bool = True
    reset_baseline: bool = False
    proc: Path = Path("/proc")
    sys: Path = Path("/sys")


@dataclass(frozen=True)
class NvlinkResult:
    """findings for the verdict, facts for people, and the baseline to be saved, if there is one."""

    findings: list[GpuFinding]
    facts: dict[str, Any]
    kept: baseline.Baseline | None


def look(session: NvmlSession, asked: NvlinkOptions, run: Runner) -> NvlinkResult:
    """Never raises for what cannot be read, never hangs with the driver; saves nothing."""
    seen_by_nvml = session.read(PLAN)
    now = host.seconds_since_boot(asked.proc)
    gpus = [links_of(gpu) for gpu in seen_by_nvml.gpus]
    ports = read_ports(asked.sys / "class/infiniband") if asked.network_ports else None
    identity = host.identity(asked.proc, seen_by_nvml.values.get("driver_version"))
    old = baseline.load(asked.state_dir, identity, now)
    if asked.reset_baseline:
        old = baseline.Baseline(identity, note="the baseline was reset")
    sample = baseline.CounterSample(now, _all_counters(gpus, ports))
    changes = baseline.deltas(old.reference, sample)
    seen = NvlinkEvidence(
        nvml={"state": seen_by_nvml.state, "error": seen_by_nvml.error},
        gpus=gpus,
        deltas=changes,
        was_up=old.up,
        gpus_on_bus=_gpus_on_bus(asked),
        switches=host.count_switches(asked.sys),
        fabric_manager=host.fabric_manager(run, asked.command_timeout),
        kernel=_read_kernel(asked, run, now),
        kernel_required=asked.kernel_lines == REQUIRED,
        ports=ports,
    )
    facts = {
        "driver_version": seen_by_nvml.values.get("driver_version"),
        "gpus": [_with_changes(gpu, changes) for gpu in gpus],
        "nvml": {"state": seen_by_nvml.state, "error": seen_by_nvml.error},
        "stuck": seen_by_nvml.stuck,
        "switches": seen.switches,
        "fabric_manager": seen.fabric_manager,
        "kernel": seen.kernel,
        "ports": None if ports is None else _ports_with_changes(ports, changes),
        "baseline": {
            "seconds": None if old.reference is None else round(now - old.reference.at, 3),
            "note": old.note,
            "identity": identity,
        },
    }
    # Where nothing was read there is nothing to remember, and the file stays what it is.
    kept = None
    if seen_by_nvml.state == "read":
        kept = baseline.advance(old, sample, _links_and_ports_up(gpus, ports), asked.window)
    return NvlinkResult(judge(seen, asked.expected, asked.limits), facts, kept)


def _gpus_on_bus(asked: NvlinkOptions) -> int | None:
    snapshot = {"host": read_host(Roots(proc=asked.proc, sys=asked.sys))}
    return None if snapshot["host"]["pci"]["value"] is None else len(gpus_on_bus(snapshot))


def _read_kernel(asked: NvlinkOptions, run: Runner, now: float) -> dict[str, Any] | None:
    if asked.kernel_lines == NEVER:
        return None
    return host.kernel_events(run, asked.command_timeout, now, asked.kernel_window)


def _all_counters(gpus: list[dict[str, Any]], ports: Mapping[str, Any] | None) -> dict[str, dict[str, int]]:
    counters = {key_of(gpu, link): link["counters"] for gpu in gpus for link in gpu["links"] if link["counters"]}
    for port in (ports or {}).get("ports", ()):
        counters[port_key(port)] = port["counters"]
    return counters


def _links_and_ports_up(gpus: list[dict[str, Any]], ports: Mapping[str, Any] | None) -> dict[str, dict[str, Any]]:
    ups = {
        key_of(gpu, link): {name: link[name] for name in ("remote", "remote_type", "remote_link")}
        for gpu in gpus
        for link in gpu["links"]
        if is_up(link)
    }
    for port in (ports or {}).get("ports", ()):
        if is_active(port):
            ups[port_key(port)] = {}
    return ups


def _with_changes(gpu: dict[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    links = [{**link, "changes": changes.get(key_of(gpu, link), {})} for link in gpu["links"]]
    return {**gpu, "up": sum(is_up(link) for link in gpu["links"]), "links": links}


def _ports_with_changes(ports: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    return {**ports, "ports": [{**port, "changes": changes.get(port_key(port), {})} for port in ports["ports"]]}
