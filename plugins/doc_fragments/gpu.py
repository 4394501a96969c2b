# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The options by which a module reads the GPUs of its host."""

from __future__ import annotations


class ModuleDocFragment:
    """The library, its deadlines, how many GPUs there have to be, and the kernel's log."""

    DOCUMENTATION = r"""
options:
  nvml_library:
    description:
      - Path of C(libnvidia-ml.so.1), where the linker does not find it by itself.
      - C(become) takes C(LD_LIBRARY_PATH) away. This option is not taken away.
    type: path
  device_timeout:
    description:
      - Seconds without any answer after which a GPU, or the driver, is hung.
    type: float
    default: 5.0
  total_timeout:
    description:
      - Seconds for all GPUs together. Defaults to four times O(device_timeout).
    type: float
  expected_gpus:
    description:
      - How many GPUs the host has, and NVML has to see.
    type: int
  kernel_lines:
    description:
      - Whether to read the kernel's log. With V(auto) a log that cannot be read is a warning, with V(required) it makes
        the verdict V(unknown).
    type: str
    choices: [auto, required, never]
    default: auto
  kernel_window:
    description:
      - How many seconds a line of the kernel's log counts. What was repaired must not be held against a GPU for ever.
    type: float
    default: 900.0
  timeout:
    description:
      - Seconds for each command, such as C(systemctl) and C(dmesg).
    type: float
    default: 10.0
"""
