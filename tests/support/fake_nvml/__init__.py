# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A libnvidia-ml.so.1 without GPUs: the real pynvml and ctypes run on it, and a test says what is wrong with them."""

from __future__ import annotations

from tests.support.fake_nvml.build import NoCompilerError, build
from tests.support.fake_nvml.driver import FakeNvml
from tests.support.fake_nvml.host import HostTree
from tests.support.fake_nvml.presets import BY_ARCHITECTURE, NEVER_HEALTHY

__all__ = ["BY_ARCHITECTURE", "NEVER_HEALTHY", "FakeNvml", "HostTree", "NoCompilerError", "build"]
