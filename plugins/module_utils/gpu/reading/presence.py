# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which GPUs the host itself has, without asking NVML: PCI bus, device files and the driver's /proc. Nothing here
raises.

Every part is C({"value": ..., "error": null or why it could not be read}).  The roots are for tests.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Callable

_NVIDIA = "0x10de"
_DISPLAY = "0x03"  # 0x0300 VGA, 0x0302 3D controller; NVSwitches are 0x0680 and no GPUs
_NODE = re.compile(r"nvidia([0-9]{1,9})\Z")
_ADDRESS = re.compile(r"[0-9a-f]{4,8}:[0-9a-f]{2}:[0-9a-f]{2}\.[0-9a-f]\Z")
_MINOR = re.compile(r"^Device Minor:\s*([0-9]{1,9})\s*$", re.MULTILINE)
_SECONDS = re.compile(r"[0-9]{1,12}(\.[0-9]{1,9})?\Z")
_MODULE_VERSION = re.compile(r"NVRM version:.*?\s([0-9]{3,9}\.[0-9]{1,9}(?:\.[0-9]{1,9})?)\s")
_ALL_ONES = b"\xff" * 4


@dataclass(frozen=True)
class Roots:
    """Where the host is looked at."""

    proc: Path = Path("/proc")
    sys: Path = Path("/sys")
    dev: Path = Path("/dev")


def read_host(roots: Roots) -> dict[str, Any]:
    """C(pci), C(nodes), C(kernel_driver) and C(uptime_seconds), each with its value and error.

    pci: one dict for each GPU on the bus: C({"pci", "driver", "answers", "minor"}); driver: null where none is bound;
    answers: false where its configuration space reads as all ones, which is how a dead device reads; minor: the N of
    /dev/nvidiaN, null where the driver does not tell.  nodes: the Ns of /dev/nvidiaN.
    kernel_driver: version of the loaded module, null where none is loaded.
    """
    return {
        "pci": _part(lambda: _on_the_bus(roots)),
        "nodes": _part(lambda: _nodes(roots.dev)),
        "kernel_driver": _part(lambda: _kernel_driver(roots.proc)),
        "uptime_seconds": _part(lambda: _read_uptime(roots.proc / "uptime")),
    }


def minors(host: Mapping[str, Any]) -> dict[str, int]:
    """PCI address -> N of /dev/nvidiaN, as far as the driver tells it."""
    return {one["pci"]: one["minor"] for one in host["pci"]["value"] or [] if one["minor"] is not None}


def _part(read: Callable[[], Any]) -> dict[str, Any]:
    try:
        return {"value": read(), "error": None}
    except OSError as error:
        return {"value": None, "error": f"{error.filename}: {error.strerror}"}
    except (ValueError, IndexError) as error:
        return {"value": None, "error": str(error)}


def _on_the_bus(roots: Roots) -> list[dict[str, Any]]:
    found = []
    for entry in sorted((roots.sys / "bus/pci/devices").iterdir()):
        if not _ADDRESS.match(entry.name):
            continue
        if _read_text(entry / "vendor").strip() != _NVIDIA or not _read_text(entry / "class").startswith(_DISPLAY):
            continue
        found.append(
            {
                "pci": entry.name,
                "driver": _driver_module(entry),
                "answers": _driver_answers(entry),
                "minor": _minor(roots.proc / "driver/nvidia/gpus" / entry.name / "information"),
            }
        )
    return found


def _driver_module(entry: Path) -> str | None:
    try:
        return (entry / "driver").resolve(strict=True).name
    except OSError:
        return None


def _driver_answers(entry: Path) -> bool | None:
    try:
        with (entry / "config").open("rb", buffering=0) as config:
            head = config.read(4)
    except OSError:
        return None
    return head != _ALL_ONES if len(head) == 4 else None


def _minor(path: Path) -> int | None:
    try:
        match = _MINOR.search(_read_text(path))
    except OSError:
        return None
    return int(match.group(1)) if match else None


def _nodes(dev: Path) -> list[int]:
    return sorted(int(match.group(1)) for entry in dev.iterdir() for match in [_NODE.match(entry.name)] if match)


def _kernel_driver(proc: Path) -> str | None:
    try:
        words = _read_text(proc / "driver/nvidia/version")
    except FileNotFoundError:
        return None
    match = _MODULE_VERSION.search(words)
    if match is None:
        raise ValueError(f"no version in {words[:120]!r}")
    return match.group(1)


def _read_uptime(path: Path) -> float:
    words = _read_text(path).split()
    if not words or not _SECONDS.match(words[0]):
        raise ValueError(f"{path} begins with no number of seconds")
    return float(words[0])


def _read_text(path: Path) -> str:
    with path.open("rb") as file:
        return file.read(65536).decode("utf-8", "replace")
