# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""From what the session read of one GPU to its links, in one plain dictionary. Pure.

    {"index", "uuid", "pci", "name",
     "state": "read" | "lost" | "reset_required" | "hung" | "unread", "error": null or why,
     "count": 18 or null,
     "unread": {NAME: why},            what had to be read of the GPU and was not
     "links": [{"link", "state": "active" | "sleep" | "traffic_disabled" | "inactive" | "absent" | null,
                "version", "speed_mbps", "remote": PCI address, "remote_type", "remote_link",
                "counters": {NAME: n}, "ber": {"effective" | "symbol": {"mantissa", "exponent", "rate"}},
                "fec_history": [n, ...] or null, "unread": {NAME: why}}],
     "fabric": null or {"state", "status", "clique", "cluster", "health": {...} or null, "summary"}}

What a GPU or its driver does not have is absent or null, and not in C(unread).  The state C(absent) is a slot that
this board does not use.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..reading.nvml import MISSING, NOT_SUPPORTED
from . import fields as names

_NOT_THERE = (MISSING, NOT_SUPPORTED)
# A link that is down does not know its other end, and the driver says so in several ways.
_ABOUT_THE_OTHER_END = ("remote", "remote_type", "remote_link")
_LISTS = ("nvlink_states", "nvlink_counters", "nvlink_legacy_counters", "nvlink_remotes")


def links_of(gpu: Mapping[str, Any]) -> dict[str, Any]:
    """gpu: one of C(Look.gpus), read with read.PLAN."""
    values, errors = gpu["values"], gpu["errors"]
    unread = {
        name: _error_words(errors[name])
        for name in ("nvlink_count", *_LISTS, "fabric")
        if name in errors and errors[name]["kind"] not in _NOT_THERE
    }
    for step, error in errors.items():
        if step.startswith("nvlink.read:"):
            unread[step] = _error_words(error)
    for name in ("nvlink_count", *_LISTS, "fabric"):
        if name not in values and gpu["state"] == "read":
            unread.setdefault(name, "was not read")
    return {
        "index": gpu["index"],
        "uuid": values.get("uuid"),
        "pci": values.get("pci"),
        "name": values.get("name"),
        "state": gpu["state"],
        "error": _error_words(gpu["error"]) if gpu["error"] else None,
        "count": values.get("nvlink_count"),
        "unread": unread,
        "links": _links_from(values),
        "fabric": values.get("fabric"),
    }


def is_up(link: Mapping[str, Any]) -> bool:
    return link["state"] in names.UP


def _links_from(values: Mapping[str, Any]) -> list[dict[str, Any]]:
    lists = [values.get(name) or [] for name in _LISTS]
    return [
        _link_from(number, [each[number] for each in lists if number < len(each)]) for number in range(len(lists[0]))
    ]


def _link_from(number: int, parts: list[Mapping[str, Any]]) -> dict[str, Any]:
    values: dict[str, Any] = {}
    errors: dict[str, Any] = {}
    for part in parts:
        values.update(part["values"])
        errors.update(part["errors"])
    state = values.get("state")
    if state is None and errors.get("state", {}).get("kind") == NOT_SUPPORTED:
        state = "absent"
    down = state not in names.UP
    unread = {
        name: _error_words(error)
        for name, error in errors.items()
        if error["kind"] not in _NOT_THERE and not (down and name in _ABOUT_THE_OTHER_END)
    }
    rates = {name: values.get(f"{name}_ber") for name in names.BER_FIELDS}
    return {
        "link": number,
        "state": state,
        "version": values.get("version"),
        "speed_mbps": values.get("speed_mbps"),
        "remote": values.get("remote"),
        "remote_type": values.get("remote_type"),
        "remote_link": values.get("remote_link"),
        "counters": {name: int(values[name]) for name in names.COUNTERS if values.get(name) is not None},
        "ber": {name: names.bit_error_rate(int(raw)) for name, raw in rates.items() if raw is not None},
        "fec_history": values.get("fec_history"),
        "unread": unread,
    }


def _error_words(error: Mapping[str, str]) -> str:
    return f"{error['error']} ({error['text']})" if error["text"] else error["error"]
