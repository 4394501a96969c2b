# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether GPUs may be reset, and what has to let go of them first. Pure: from a reading to a plan, or to a refusal.

The one promise above all: whatever the plan depends on was read. What was not read is a refusal, whoever asks.

Sources: the manual of nvidia-smi, GPU reset (what is reset together, what must not run, primary GPU, MIG in guests);
NVIDIA's MIG user guide (instances do not outlive a reset on Hopper and later); Yandex Cloud's documentation of GPU
clusters (no reset of a GPU that is passed through with NVLink); NVIDIA/open-gpu-kernel-modules, gpu.c and system.c
(recovery action "reset" is shown for a GPU that is gone, and "reboot" is kept for the whole host).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..judging.findings import UNKNOWN
from ..judging.host import dead_on_bus, missing_gpus
from ..judging.readable import judge_readable
from ..judging.verdict import name_of
from ..reading.groups import pci_address
from ..reading.modes import NOT_VIRTUAL, PASSTHROUGH
from ..reading.nvml import NOT_SUPPORTED, NvmlFailure
from .owners import AGENT, KEPT, SERVICE, Owners

# The numbers of the driver's recovery action that only a reboot clears.
_REBOOT = (2, 6, 7)
_REBOOT_INSTEAD = "Reboot the host: a reset cannot bring that back."
_LISTS = ("processes_compute", "processes_graphics", "processes_mps")


class Refused(Exception):
    """No reset. The text says why, and what to do instead."""


@dataclass(frozen=True)
class ResetGpu:
    """One GPU of a plan, as it was before."""

    uuid: str
    pci: str
    name: str
    persistence: bool
    power_limit_mw: int | None


@dataclass(frozen=True)
class ResetPlan:
    """services: names of declared services that hold one of the GPUs.  agents: units to stop before, in this order."""

    gpus: tuple[ResetGpu, ...]
    services: tuple[str, ...]
    agents: tuple[str, ...]
    warnings: tuple[str, ...] = ()

    @property
    def uuids(self) -> tuple[str, ...]:
        return tuple(gpu.uuid for gpu in self.gpus)


def are_well(examined: Mapping[str, Any], wanted: Sequence[str]) -> bool:
    """Whether all GPUs that were named are there and healthy, so that nothing is to be repaired."""
    found = [_find(examined, name) for name in wanted]
    return bool(found) and all(gpu is not None and gpu["verdict"] == "healthy" for gpu in found)


def plan(examined: Mapping[str, Any], wanted: Sequence[str], owners: Owners, *, recommended_only: bool) -> ResetPlan:
    """The plan for a reset of the GPUs that are named, with those that have to be reset by the same command.

    examined: the result of examine() with modes.MODES.  wanted: UUIDs or PCI addresses.  recommended_only: refuse what
    the reading does not recommend, as nobody but an incident asks for it.  Raises Refused.
    """
    snapshot = examined["snapshot"]
    if snapshot["nvml"]["state"] != "read":
        raise Refused(f"the driver does not answer: {'; '.join(examined['reasons'])}. Where it hangs, reboot the host.")
    _refuse_what_needs_a_reboot(examined)
    named = [_named(examined, name) for name in wanted]
    if not named:
        raise Refused("no GPU was named.")
    read = {gpu["index"]: gpu for gpu in snapshot["gpus"]}
    for gpu in named:
        _refuse_by_verdict(gpu, read[gpu["index"]], recommended_only)
    together = _together(examined, named)
    # Where a GPU cannot be reset alone, no process may be at work on any GPU of the host.
    alone = not any(gpu["reset_would_disturb"]["reset_together"] for gpu in together)
    free = together if alone else list(examined["gpus"])
    gpus = tuple(_checked(gpu, read[gpu["index"]]) for gpu in together)
    services, warnings = _who_lets_go(free, [read[gpu["index"]] for gpu in free], owners)
    if owners.agents is None:
        raise Refused(f"whether monitoring agents run could not be read: {owners.agents_error}.")
    modules = examined["gpus"][0]["reset_would_disturb"]["kernel_modules"]
    # They decide nothing here: where they hold the GPU, nvidia-smi refuses, and nothing has been touched.
    if modules is None:
        warnings.append("which modules of the kernel use the driver could not be read")
    elif modules:
        warnings.append(
            f"modules of the kernel use the driver, with which a reset may be refused: {', '.join(modules)}"
        )
    return ResetPlan(gpus, tuple(services), owners.agents, tuple(warnings))


def _find(examined: Mapping[str, Any], name: str) -> Mapping[str, Any] | None:
    """The GPU of a UUID or a PCI address."""
    try:
        address = pci_address(name) if not name.startswith("GPU-") else None
    except NvmlFailure:
        return None
    found = [gpu for gpu in examined["gpus"] if (gpu["uuid"] == name if address is None else gpu["pci"] == address)]
    return found[0] if len(found) == 1 else None


def _named(examined: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    gpu = _find(examined, name)
    if gpu is None:
        there = ", ".join(f"{one['uuid']} ({one['pci']})" for one in examined["gpus"]) or "none"
        raise Refused(
            f"the driver lists no GPU {name!r}. It lists: {there}. One that is missing comes back by a reboot."
        )
    return gpu


def _refuse_what_needs_a_reboot(examined: Mapping[str, Any]) -> None:
    """Of any GPU of the host: the reboot that repairs one resets all."""
    snapshot = examined["snapshot"]
    gone = [*dead_on_bus(snapshot), *missing_gpus(snapshot)]
    if gone:
        raise Refused(f"off the bus, or not seen by the driver: {', '.join(dict.fromkeys(gone))}. {_REBOOT_INSTEAD}")
    if snapshot["host"]["pci"]["error"]:
        raise Refused(f"which GPUs are on the bus could not be read: {snapshot['host']['pci']['error']}.")
    if examined["recommended_action"] == "reboot_node":
        raise Refused(f"a reboot is asked of the host: {'; '.join(examined['reasons'])}. {_REBOOT_INSTEAD}")
    for gpu, read in _pairs(examined):
        if read["state"] == "lost":
            raise Refused(f"{name_of(gpu)} is lost. {_REBOOT_INSTEAD}")
        if read["values"].get("recovery_action") in _REBOOT or gpu["recommended_action"] == "reboot_node":
            raise Refused(
                f"{name_of(gpu)}: {'; '.join(gpu['reasons'])}. A reboot is asked of the host. {_REBOOT_INSTEAD}"
            )


def _pairs(examined: Mapping[str, Any]) -> Iterator[tuple[Mapping[str, Any], Mapping[str, Any]]]:
    read = {gpu["index"]: gpu for gpu in examined["snapshot"]["gpus"]}
    for gpu in examined["gpus"]:
        yield gpu, read[gpu["index"]]


def _refuse_by_verdict(gpu: Mapping[str, Any], read: Mapping[str, Any], recommended_only: bool) -> None:
    """A fault beside which something could not be read is no ground either: nobody knows what is behind that."""
    reasons = "; ".join(gpu["reasons"])
    unread = [finding for finding in judge_readable(read) if finding.level == UNKNOWN]
    if gpu["verdict"] == "unknown" or unread or any(one["unread"] for one in gpu["witnesses"].values()):
        raise Refused(f"how {name_of(gpu)} is could not be read: {reasons}. Nothing is reset on what is not known.")
    if recommended_only and gpu["recommended_action"] != "reset_gpu":
        raise Refused(
            f"what is recommended for {name_of(gpu)} is {gpu['recommended_action'] or 'nothing'}, no reset: {reasons}."
        )


def _together(examined: Mapping[str, Any], named: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Those named, and all that a command has to name with them, in the driver's order."""
    wanted = {gpu["pci"] for gpu in named}
    for gpu in named:
        others = gpu["reset_would_disturb"]["reset_together"]
        if others is None:
            raise Refused("the NVLinks could not be read, and with them which GPUs have to be reset together.")
        wanted.update(others)
    found = [gpu for gpu in examined["gpus"] if gpu["pci"] in wanted]
    if None in wanted or len(found) != len(wanted):
        raise Refused("not all GPUs that have to be reset together are known by their addresses.")
    for gpu in found:
        if gpu["verdict"] == "unknown":
            raise Refused(f"{name_of(gpu)} would be reset too, and {'; '.join(gpu['reasons'])}.")
    return found


def _checked(gpu: Mapping[str, Any], read: Mapping[str, Any]) -> ResetGpu:
    """A GPU that is used in a way in which it may be reset. Raises Refused."""
    if read["state"] != "read" or not gpu["uuid"] or not gpu["pci"]:
        raise Refused(f"{name_of(gpu)} was not read: it is {read['state']}.")
    mig, pending = _value(gpu, read, "mig_enabled", False), _value(gpu, read, "mig_pending", False)
    if mig or pending:
        raise Refused(
            f"{name_of(gpu)} is in MIG mode{'' if mig else ' from the next reset on'}: a reset ends all its instances, "
            "and nobody here knows how to make them again. End the work on them and reset it by hand, or reboot."
        )
    _refuse_virtual(gpu, read)
    if _value(gpu, read, "display_active", False):
        raise Refused(f"{name_of(gpu)} draws a screen, and the primary GPU cannot be reset. Reboot the host.")
    limit = read["values"].get("power_management_limit_mw")
    return ResetGpu(gpu["uuid"], gpu["pci"], name_of(gpu), bool(_value(gpu, read, "persistence")), limit)


def _refuse_virtual(gpu: Mapping[str, Any], read: Mapping[str, Any]) -> None:
    mode = _value(gpu, read, "virtualization")
    links = _value(gpu, read, "nvlinks", [])
    if mode not in (NOT_VIRTUAL, PASSTHROUGH):
        raise Refused(f"{name_of(gpu)} is a vGPU, or has vGPUs of guests: reset it where its host is, without guests.")
    if mode == PASSTHROUGH and any(link["up"] is not False for link in links):
        raise Refused(
            f"{name_of(gpu)} is passed through to this machine with NVLink, where it cannot be reset: stop the virtual "
            "machine and start it again. A reboot inside of it does not suffice."
        )


_NEEDED = object()


def _value(gpu: Mapping[str, Any], read: Mapping[str, Any], name: str, without: Any = _NEEDED) -> Any:
    """A value that was read. without: what it is for a GPU that has no such thing. Raises Refused."""
    value = read["values"].get(name)
    if value is not None:
        return value
    error = read["errors"].get(name) or {}
    if without is not _NEEDED and error.get("kind") == NOT_SUPPORTED:
        return without
    raise Refused(f"{name} of {name_of(gpu)} could not be read: {error.get('error', 'it was not asked for')}.")


def _who_lets_go(
    gpus: Sequence[Mapping[str, Any]], readings: Sequence[Mapping[str, Any]], owners: Owners
) -> tuple[list[str], list[str]]:
    """The services that have to be stopped, and warnings. Raises Refused for anybody whom nobody here may stop."""
    unseen = gpus[0]["reset_would_disturb"]["unseen_processes"]
    if unseen is None or unseen:
        raise Refused(
            f"who uses the GPUs could not be read: {'the processes' if unseen is None else f'{unseen} processes'} "
            "of this host may not be looked into. It takes root, on the host itself."
        )
    services: list[str] = []
    warnings: list[str] = []
    strangers: list[str] = []
    for pid, words in _holders(gpus, readings).items():
        kind, name = owners.of.get(pid, ("", ""))
        if kind == SERVICE:
            services.append(name)
        elif pid in owners.gone:
            warnings.append(f"{words} is gone, and still listed as holding memory")
        elif kind not in (AGENT, KEPT):
            strangers.append(words)
    if strangers:
        unread = f" Of declared services could not be read: {'; '.join(owners.unread)}." if owners.unread else ""
        raise Refused(
            f"used by what is no service of this host's autoglm_services and no known agent: {', '.join(strangers)}. "
            f"End it, or declare it, and ask again.{unread}"
        )
    return list(dict.fromkeys(services)), warnings


def _holders(gpus: Sequence[Mapping[str, Any]], readings: Sequence[Mapping[str, Any]]) -> dict[int, str]:
    """Process id -> words: who has a file of one of the GPUs or only of the driver open, or memory of a GPU."""
    found: dict[int, str] = {}
    for gpu, read in zip(gpus, readings):
        disturbed = gpu["reset_would_disturb"]
        for one in [*disturbed["holders"], *disturbed["driver_holders"]]:
            found[one["pid"]] = f"process {one['pid']} ({one['comm']}, {one['unit'] or 'no unit'})"
        for name in _LISTS:
            for one in _value(gpu, read, name, []):
                found.setdefault(one["pid"], f"process {one['pid']} (by the driver's list)")
    return found
