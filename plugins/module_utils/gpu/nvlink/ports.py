# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""InfiniBand and RoCE ports as the kernel shows them below /sys/class/infiniband. Nothing here raises."""

from __future__ import annotations

from pathlib import Path
from typing import Any

# Of counters/ what tells of errors; the rest is traffic.
COUNTERS = (
    "symbol_error",
    "link_error_recovery",
    "link_downed",
    "port_rcv_errors",
    "port_rcv_remote_physical_errors",
    "port_xmit_discards",
    "local_link_integrity_errors",
    "excessive_buffer_overrun_errors",
)


def read_ports(folder: Path = Path("/sys/class/infiniband")) -> dict[str, Any]:
    """C({"ports": [{"port": "mlx5_0/1", "state", "physical_state", "link_layer", "rate", "counters", "unread"}],
    "error": null or why there is no list}). A host without such ports has an empty list."""
    try:
        devices = sorted(folder.iterdir())
    except FileNotFoundError:
        return {"ports": [], "error": None}
    except OSError as error:
        return {"ports": [], "error": f"{folder}: {error.strerror}"}
    ports: list[dict[str, Any]] = []
    for device in devices:
        try:
            found = sorted((device / "ports").iterdir(), key=lambda one: (len(one.name), one.name))
        except OSError as error:
            return {"ports": ports, "error": f"{device / 'ports'}: {error.strerror}"}
        ports.extend(_read_port(f"{device.name}/{port.name}", port) for port in found)
    return {"ports": ports, "error": None}


def is_active(port: dict[str, Any]) -> bool:
    return bool(port["state"] == "active")


def _read_port(name: str, folder: Path) -> dict[str, Any]:
    unread: dict[str, str] = {}
    counters = {}
    for counter in COUNTERS:
        value = _read_number(folder / "counters" / counter, unread)
        if value is not None:
            counters[counter] = value
    return {
        "port": name,
        "state": _read_word(folder / "state", unread),
        "physical_state": _read_word(folder / "phys_state", unread),
        "link_layer": _read_text(folder / "link_layer", unread),
        "rate": _read_text(folder / "rate", unread),
        "counters": counters,
        "unread": unread,
    }


def _read_word(path: Path, unread: dict[str, str]) -> str | None:
    """C(4: ACTIVE) becomes C(active)."""
    text = _read_text(path, unread)
    return None if text is None else text.partition(":")[2].strip().lower() or text.lower()


def _read_number(path: Path, unread: dict[str, str]) -> int | None:
    if not path.exists():
        return None  # not every port has every counter
    text = _read_text(path, unread)
    if text is None:
        return None
    try:
        return int(text)
    except ValueError:
        unread[path.name] = f"{text[:40]!r} is no number"
        return None


def _read_text(path: Path, unread: dict[str, str]) -> str | None:
    try:
        with path.open("rb") as file:
            return file.read(4096).decode("utf-8", "replace").strip()
    except OSError as error:
        unread[path.name] = error.strerror or type(error).__name__
        return None
