# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether there is a GPU to read, asked once and in a child, for the driver of this machine may hang like any other."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
from ansible_collections.autoglm.recovery.plugins.module_utils.gpu.reading.groups import IDENTITY
from ansible_collections.autoglm.recovery.plugins.module_utils.gpu.reading.session import NvmlSession

LIBRARY = os.environ.get("AUTOGLM_NVML_LIBRARY")


@pytest.fixture(scope="session")
def session() -> Iterator[NvmlSession]:
    """A session on the real library. Skips where there is no GPU."""
    with NvmlSession(LIBRARY) as one:
        look = one.read(IDENTITY)
        if look.state == "unread":
            pytest.skip(f"there is no NVIDIA GPU that could be read on this machine: {look.error['text']}")
        if look.state == "read" and not look.gpus:
            pytest.skip("NVML answers, and there is no NVIDIA GPU on this machine")
        yield one
