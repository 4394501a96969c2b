# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""NVLink as far as GPU health and a reset need it: which links are up and where they lead. nvlink_check says more."""

from __future__ import annotations

from typing import Any

from .fields import Fields
from .groups import pci_address
from .nvml import MISSING, NOT_SUPPORTED, Nvml, NvmlFailure

# The binding's NVML_NVLINK_MAX_LINKS is more than most GPUs have; it only bounds the search where field 91 is missing.
_SEARCH = 36
# nvmlDeviceGetNvLinkRemoteDeviceType
_DEVICE_TYPES = {0: "gpu", 1: "ibmnpu", 2: "switch", 255: "unknown"}


def links(nvml: Nvml, device: Any, fields: Fields) -> None:
    """C(nvlinks): [{link, up, remote, remote_type}]; remote: PCI address or null. Empty where there is no NVLink."""
    fields.take("nvlinks", lambda: _read_links(nvml, device))


def _read_links(nvml: Nvml, device: Any) -> list[dict[str, Any]]:
    count = _count_links(nvml, device)
    found: list[dict[str, Any]] = []
    for link in range(_SEARCH if count is None else count):
        try:
            up = bool(nvml.call("nvmlDeviceGetNvLinkState", device, link))
        except NvmlFailure as failure:
            if count is None and failure.error in ("NVML_ERROR_INVALID_ARGUMENT", "NVML_ERROR_NOT_SUPPORTED"):
                break
            if failure.kind == NOT_SUPPORTED:
                continue  # a slot that this board does not use
            raise
        found.append({"link": link, "up": up, **(_read_remote(nvml, device, link) if up else _NOBODY)})
    return found


_NOBODY: dict[str, Any] = {"remote": None, "remote_type": None}


def _count_links(nvml: Nvml, device: Any) -> int | None:
    """The number of links by the device; None where the driver is too old."""
    try:
        return int(nvml.field(device, 91))
    except NvmlFailure as failure:
        if failure.kind in (MISSING, NOT_SUPPORTED):
            return None
        raise


def _read_remote(nvml: Nvml, device: Any, link: int) -> dict[str, Any]:
    """The other end of a link. An unknown end is no fault of the link."""
    told = Fields()
    told.take("remote", lambda: pci_address(nvml.call("nvmlDeviceGetNvLinkRemotePciInfo", device, link).busId))
    told.take(
        "remote_type",
        lambda: _DEVICE_TYPES.get(int(nvml.call("nvmlDeviceGetNvLinkRemoteDeviceType", device, link)), "unknown"),
    )
    return told.values
