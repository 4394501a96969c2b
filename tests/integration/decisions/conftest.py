# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What tests of decisions share."""

from __future__ import annotations

import pytest

from tests.integration.exporter.running import Alertmanager


@pytest.fixture
def alertmanager(tmp_path):
    """Return a running Alertmanager."""
    made = Alertmanager(tmp_path / "alertmanager")
    made.start()
    try:
        made.until_ready()
        yield made
    finally:
        if made.process is not None:
            made.stop()
