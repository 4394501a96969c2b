# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How a module's options say how GPUs are read; the documentation fragment C(gpu) in code."""

from __future__ import annotations

from typing import Any

from .session import DEVICE_TIMEOUT

# Seconds for which a line of the kernel's log counts.
KERNEL_WINDOW = 900.0


def gpu_arguments() -> dict[str, Any]:
    """The part of an argument spec that is about reading the GPUs of the host."""
    return {
        "nvml_library": {"type": "path"},
        "device_timeout": {"type": "float", "default": DEVICE_TIMEOUT},
        "total_timeout": {"type": "float"},
        "expected_gpus": {"type": "int"},
        "kernel_lines": {"type": "str", "choices": ["auto", "required", "never"], "default": "auto"},
        "kernel_window": {"type": "float", "default": KERNEL_WINDOW},
        "timeout": {"type": "float", "default": 10.0},
    }
