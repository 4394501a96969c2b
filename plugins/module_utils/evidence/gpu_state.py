# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The GPUs of the host, by NVML and the PCI bus."""

from __future__ import annotations

import json

from ..gpu.reading import children, snapshot
from ..gpu.reading.session import NvmlSession
from ..host.piece import Piece
from ..host.unread import Unread


def read(library: str | None, seconds: float) -> Piece:
    """Everything about every GPU. A GPU that hangs is reported as hung and does not affect others. Raises Unread."""
    with NvmlSession(library, device_timeout=seconds / 2, total_timeout=seconds, start=children.FORK) as session:
        seen = snapshot.take(session)
    error = seen["nvml"]["error"]
    if error is not None and not seen["host"]["pci"]["value"] and seen["host"]["pci"]["error"] is None:
        raise Unread(f"no NVIDIA GPU on the bus; NVML: {error['text']}")
    return Piece(json.dumps(seen, indent=2) + "\n", library or "NVML, /proc, /sys")
