# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A running receiver for each test that asks for one."""

from __future__ import annotations

import pytest

from .running import serving


@pytest.fixture
def receiver(tmp_path):
    """Return a receiver with defaults and no delay."""
    with serving(tmp_path) as running:
        yield running
