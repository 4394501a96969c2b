# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a reset of one GPU would disturb, what would keep it from going through, and which GPUs go with it. Pure.

Source of the rules: the manual of nvidia-smi, section GPU reset, with its tables of what is reset together.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ..reading.device_files import Holders
from ..reading.nvml import NOT_SUPPORTED
from ..reading.presence import minors
from .running import mig_profile

# NVML's numbers of architectures: from Ampere on a GPU without a switch is reset alone.
_AMPERE, _UNKNOWN = 7, 0xFFFFFFFF


def reset_obstacles(
    gpu: Mapping[str, Any],
    pci: str | None,
    snapshot: Mapping[str, Any],
    held: Holders,
    fabric_manager: bool | None,
) -> dict[str, Any]:
    """The other GPUs and services that a reset of this GPU would affect, and what prevents it.

    fabric_manager: whether it runs, None where nobody knows.
    """
    values = gpu["values"]
    minor = values.get("minor")
    if minor is None:
        minor = minors(snapshot["host"]).get(pci or "")
    neighbours, switches = _linked(gpu, snapshot)
    holders = [*(held.by_minor.get(minor, ()) if minor is not None else ()), *held.by_pci.get(pci or "", ())]
    together: list[str] | None = []
    if any(_links_unread(each) for each in snapshot["gpus"]):
        together = None
    elif _goes_together(values.get("architecture"), bool(switches), fabric_manager):
        together = neighbours
    return {
        "holders": [one for at, one in enumerate(holders) if one not in holders[:at]],
        "driver_holders": list(held.without_gpu),
        "unseen_processes": held.unseen,
        "kernel_modules": None if held.modules is None else list(held.modules),
        "persistence": values.get("persistence"),
        "nvlink_neighbours": neighbours,
        "reset_together": together,
        "nvswitches": switches,
        "mig_instances": [mig_profile(one.get("name")) for one in values.get("mig_devices") or []],
    }


def _links_unread(gpu: Mapping[str, Any]) -> bool:
    """Whether a GPU may have a link that nobody has seen, or one whose other end nobody knows."""
    links = gpu["values"].get("nvlinks")
    if links is None:
        return (gpu["errors"].get("nvlinks") or {}).get("kind") != NOT_SUPPORTED
    return any(one["up"] is not False and not one["remote"] for one in links)


def _goes_together(architecture: int | None, switched: bool, fabric_manager: bool | None) -> bool:
    """Whether all GPUs that NVLink joins have to be reset by one command; also where that cannot be told.

    With switches it depends on the fabric manager at that moment.  On Hopper and later the manual's text says that it
    does not any more, and its table that it does: the table is followed.
    """
    if architecture is None or architecture < _AMPERE or architecture == _UNKNOWN:
        return True
    return switched and fabric_manager is not True


def _linked(gpu: Mapping[str, Any], snapshot: Mapping[str, Any]) -> tuple[list[str], list[str]]:
    """The GPUs that the NVLinks of a GPU reach, directly or through switches, and the switches."""
    links = gpu["values"].get("nvlinks") or []
    remotes = {(one["remote"], one["remote_type"]) for one in links if one["remote"]}
    gpus = {other["values"].get("pci") for other in snapshot["gpus"]}
    direct = sorted(remote for remote, _kind in remotes if remote in gpus)
    switches = sorted(remote for remote, kind in remotes if kind == "switch" and remote not in gpus)
    return direct or (_gpus_behind(switches, gpu, snapshot) if switches else []), switches


def has_switches(snapshot: Mapping[str, Any]) -> bool:
    """Whether NVLink goes through switches, so that there is a fabric manager to ask for."""
    return any(_linked(gpu, snapshot)[1] for gpu in snapshot["gpus"])


def _gpus_behind(switches: Sequence[str], gpu: Mapping[str, Any], snapshot: Mapping[str, Any]) -> list[str]:
    """The other GPUs that the same switches connect."""
    found = []
    for other in snapshot["gpus"]:
        remotes = {one["remote"] for one in other["values"].get("nvlinks") or []}
        if other["index"] != gpu["index"] and remotes & set(switches) and other["values"].get("pci"):
            found.append(other["values"]["pci"])
    return sorted(found)
