# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How a GPU is used, as far as only a reset asks for it: a group for the session. Runs in the child; see groups.py."""

from __future__ import annotations

from typing import Any

from .fields import Fields
from .nvml import Nvml

MODES = "reading.modes:modes"
# nvmlGpuVirtualizationMode_t.
NOT_VIRTUAL, PASSTHROUGH = 0, 1


def modes(nvml: Nvml, device: Any, fields: Fields) -> None:
    fields.take("virtualization", lambda: int(nvml.call("nvmlDeviceGetVirtualizationMode", device)))
    fields.take("display_active", lambda: bool(nvml.call("nvmlDeviceGetDisplayActive", device)))
    fields.take("power_management_limit_mw", lambda: int(nvml.call("nvmlDeviceGetPowerManagementLimit", device)))
