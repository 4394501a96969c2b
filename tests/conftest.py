# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What holds for all tests: none depends on how busy a machine is, on chance, or on which ran before it."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import hypothesis
import pytest
import structlog

# The same search each time: what fails, fails for everybody.  Another one each time is `make fuzz`, and here
# pytest --hypothesis-profile=default.
hypothesis.settings.register_profile(
    "suite", derandomize=True, deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
# `make quick`: the same search, broken off early.
hypothesis.settings.register_profile("quick", hypothesis.settings.get_profile("suite"), max_examples=20)
hypothesis.settings.load_profile("suite")


@pytest.fixture(scope="session", autouse=True)
def _no_logger_is_kept() -> Iterator[None]:
    """Let each test capture logs: a logger that was kept with a program's processors would write on to its end."""
    with pytest.MonkeyPatch.context() as patch:
        configure = structlog.configure
        patch.setattr(
            structlog, "configure", lambda **given: partial(configure, **given)(cache_logger_on_first_use=False)
        )
        yield
