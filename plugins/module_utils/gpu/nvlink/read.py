# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The readings of one GPU about NVLink and its fabric. Runs in the session's child: see session.py and groups.py.

Five groups rather than one, because each has a deadline of its own: a slow driver takes milliseconds for every call,
and there are several for each of eighteen links.
"""

from __future__ import annotations

import ctypes
from typing import Any, Callable

from ..reading.fields import Fields
from ..reading.groups import pci_address
from ..reading.nvml import MISSING, NOT_SUPPORTED, UNREADABLE, Nvml, NvmlFailure
from . import fields as names

PLAN = (
    "groups:identity",
    "nvlink.read:states",
    "nvlink.read:counters",
    "nvlink.read:legacy_counters",
    "nvlink.read:remotes",
    "nvlink.read:fabric",
)

# The binding's NVML_NVLINK_MAX_LINKS: more than any GPU has; it only bounds the search where field 91 is missing.
_SEARCH = 36
_END_OF_LINKS = ("NVML_ERROR_INVALID_ARGUMENT", "NVML_ERROR_NOT_SUPPORTED")


def states(nvml: Nvml, device: Any, fields: Fields) -> None:
    """C(nvlink_count) and C(nvlink_states), one C({values, errors}) for each link."""
    fields.take("nvlink_count", lambda: _count_links(nvml, device))
    _read_each_link(nvml, device, fields, "nvlink_states", _read_state)


def counters(nvml: Nvml, device: Any, fields: Fields) -> None:
    """C(nvlink_counters): error counters, bit error rates and FEC history."""
    _read_each_link(nvml, device, fields, "nvlink_counters", _read_counters)


def legacy_counters(nvml: Nvml, device: Any, fields: Fields) -> None:
    """C(nvlink_legacy_counters): counters of the older function only. NVLink 5 has none, which one call shows."""
    absent: dict[str, NvmlFailure] = {}

    def read(nvml: Nvml, device: Any, link: int, one: Fields) -> None:
        for name, counter in names.LEGACY_COUNTERS.items():
            one.put(name, absent.get(name) or _legacy_counter(nvml, device, link, counter))
            failure = one.errors.get(name)
            if failure is not None and failure["kind"] in (MISSING, NOT_SUPPORTED):
                absent[name] = NvmlFailure(**failure)

    _read_each_link(nvml, device, fields, "nvlink_legacy_counters", read)


def remotes(nvml: Nvml, device: Any, fields: Fields) -> None:
    """C(nvlink_remotes): the other ends."""
    _read_each_link(nvml, device, fields, "nvlink_remotes", _read_remote)


def fabric(nvml: Nvml, device: Any, fields: Fields) -> None:
    """C(fabric): state, status, clique, health mask and summary; the last two are null before struct versions 2, 3."""
    fields.take(
        "fabric",
        lambda: nvml.first(
            lambda: _read_fabric(nvml, device, "nvmlDeviceGetGpuFabricInfoV", "c_nvmlGpuFabricInfo_v3_t"),
            lambda: _read_fabric(nvml, device, "nvmlDeviceGetGpuFabricInfoV", "c_nvmlGpuFabricInfo_v2_t"),
            lambda: _read_fabric(nvml, device, "nvmlDeviceGetGpuFabricInfo", "c_nvmlGpuFabricInfo_t"),
        ),
    )


def _count_links(nvml: Nvml, device: Any) -> int:
    """The number of links, by the device, or by probing each link with a driver that is too old."""
    try:
        return int(nvml.field(device, names.LINK_COUNT))
    except NvmlFailure as failure:
        if failure.kind not in (MISSING, NOT_SUPPORTED):
            raise
    for link in range(_SEARCH):
        try:
            nvml.call("nvmlDeviceGetNvLinkState", device, link)
        except NvmlFailure as failure:
            if failure.error in _END_OF_LINKS:
                return link
            raise
    return _SEARCH


def _read_each_link(
    nvml: Nvml, device: Any, fields: Fields, name: str, read: Callable[[Nvml, Any, int, Fields], None]
) -> None:
    def all_links() -> list[dict[str, Any]]:
        found = []
        for link in range(_count_links(nvml, device)):
            one = Fields()
            read(nvml, device, link, one)
            found.append(one.as_dict())
        return found

    fields.take(name, all_links)


def _read_state(nvml: Nvml, device: Any, link: int, one: Fields) -> None:
    read = _read_fields(nvml, device, link, (names.STATE, names.SPEED, names.VERSION))
    one.take("state", lambda: _state_of(nvml, device, link, read[names.STATE]))
    one.put("speed_mbps", read[names.SPEED])
    one.take(
        "version",
        lambda: nvml.first(
            lambda: _name_of(names.VERSIONS, nvml.call("nvmlDeviceGetNvLinkVersion", device, link)),
            lambda: _name_of(names.VERSIONS, _plain_value(read[names.VERSION])),
        ),
    )


def _state_of(nvml: Nvml, device: Any, link: int, detail: Any) -> str:
    """The state of a link: up only if both sources say so; the field distinguishes more than up and down."""
    try:
        up = bool(nvml.call("nvmlDeviceGetNvLinkState", device, link))
    except NvmlFailure as failure:
        if failure.kind != MISSING:
            raise
        return _name_of(names.LINK_STATES, _plain_value(detail))
    if not up:
        return "inactive"
    if isinstance(detail, NvmlFailure):
        if detail.kind in (MISSING, NOT_SUPPORTED):
            return "active"
        raise detail
    return _name_of(names.LINK_STATES, detail)


def _read_counters(nvml: Nvml, device: Any, link: int, one: Fields) -> None:
    ids = (*names.COUNTER_FIELDS.values(), *names.BER_FIELDS.values(), *names.FEC_FIELDS)
    read = _read_fields(nvml, device, link, ids)
    for name, field in names.COUNTER_FIELDS.items():
        one.put(name, read[field])
    for name, field in names.BER_FIELDS.items():
        one.put(f"{name}_ber", read[field])
    one.take("fec_history", lambda: [int(_plain_value(read[field])) for field in names.FEC_FIELDS])


def _legacy_counter(nvml: Nvml, device: Any, link: int, counter: int) -> int | NvmlFailure:
    try:
        return int(nvml.call("nvmlDeviceGetNvLinkErrorCounter", device, link, counter))
    except NvmlFailure as failure:
        return failure


def _read_remote(nvml: Nvml, device: Any, link: int, one: Fields) -> None:
    one.take("remote", lambda: pci_address(nvml.call("nvmlDeviceGetNvLinkRemotePciInfo", device, link).busId))
    one.take(
        "remote_type",
        lambda: names.DEVICE_TYPES.get(int(nvml.call("nvmlDeviceGetNvLinkRemoteDeviceType", device, link)), "unknown"),
    )
    one.put("remote_link", _read_fields(nvml, device, link, (names.REMOTE_LINK,))[names.REMOTE_LINK])


def _read_fields(nvml: Nvml, device: Any, link: int, ids: tuple[int, ...]) -> dict[int, Any]:
    """Field values of one link; where the call itself fails, its failure in place of each."""
    try:
        read = nvml.fields(device, [(field, link) for field in ids])
    except NvmlFailure as failure:
        return dict.fromkeys(ids, failure)
    return {field: read[(field, link)] for field in ids}


def _plain_value(read: Any) -> Any:
    if isinstance(read, NvmlFailure):
        raise read
    return read


def _name_of(meanings: dict[int, str], value: Any) -> str:
    if int(value) not in meanings:
        raise NvmlFailure("unknown_value", UNREADABLE, f"{value} means nothing that is known here")
    return meanings[int(value)]


def _read_fabric(nvml: Nvml, device: Any, function: str, structure: str) -> dict[str, Any]:
    info = nvml.structure(structure)
    nvml.call(function, device, ctypes.byref(info))
    mask, summary = getattr(info, "healthMask", None), getattr(info, "healthSummary", None)
    return {
        "state": _name_of(names.FABRIC_STATES, info.state),
        "status": int(info.status),
        "clique": int(info.cliqueId),
        "cluster": bytes(info.clusterUuid).hex(),
        "health": None if mask is None else names.health_of(int(mask)),
        "summary": None if summary is None else names.FABRIC_SUMMARIES.get(int(summary), f"value {summary}"),
    }
