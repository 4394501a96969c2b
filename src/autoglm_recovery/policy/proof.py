# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What has to be true after a repair: ``verify`` of a strategy, and the Prometheus that is asked for it."""

from __future__ import annotations

import re
from datetime import timedelta
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, Field

from autoglm_recovery.policy.launchers import PositiveDuration, Url
from autoglm_recovery.policy.section import Section

# The playbook's own proof and the alert resolving, which are asked for whatever else is.
PROBE = "probe"
# What stands for the incident's target in an expression.  PromQL itself has no use for a $ before a word.
PLACES = ("host", "service", "pool", "gpu")
PLACE = re.compile(r"\$([A-Za-z_]\w*)")


def _check_verify(value: str) -> str:
    if not value.strip():
        raise ValueError(f"is empty; write a PromQL expression, or {PROBE}")
    for word in PLACE.findall(value):
        if word not in PLACES:
            raise ValueError(f"${word} stands for nothing; known: {', '.join(f'${place}' for place in PLACES)}")
    return value


Verification = Annotated[str, Field(max_length=4000), AfterValidator(_check_verify)]


class Prometheus(Section):
    """Which Prometheus, or what speaks its query API, knows whether a repair holds."""

    url: Url
    token_file: Path | None = None
    ca_path: Path | None = None
    every: PositiveDuration = timedelta(seconds=5)
    timeout: PositiveDuration = timedelta(seconds=5)
