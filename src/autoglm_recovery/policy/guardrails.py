# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""``guardrails`` in the policy file: limits that hold whatever the strategies say."""

from __future__ import annotations

from datetime import timedelta
from enum import StrEnum
from pathlib import Path
from typing import Annotated

from pydantic import BeforeValidator, Field, WithJsonSchema

from autoglm_recovery.policy.launchers import PositiveDuration, Url
from autoglm_recovery.policy.maintenance import MaintenanceWindow
from autoglm_recovery.policy.section import Section


def _accept_share(value: object) -> object:
    """Accept ``30%``, or a whole number of members."""
    if isinstance(value, int) and not isinstance(value, bool):
        if value < 1:
            raise ValueError(f"{value} would forbid everything; write 1 or more, or a share such as 30%")
        return f"{value}"
    text = str(value).strip()
    number = text.removesuffix("%")
    if not (number.isascii() and number.isdigit() and len(number) <= 6):
        raise ValueError(f"{value!r} is neither a share such as 30% nor a number of members")
    if not 1 <= int(number) <= (100 if text.endswith("%") else 10**6):
        raise ValueError(f"{value!r} must be 1% to 100%, or 1 or more members")
    return text


Share = Annotated[
    str,
    BeforeValidator(_accept_share),
    WithJsonSchema({"anyOf": [{"type": "string", "pattern": r"^\d{1,3}%$"}, {"type": "integer", "minimum": 1}]}),
]


def allowed(share: str, size: int) -> int:
    """Return how many of ``size`` members a share allows: at least one, or a pool of two could not be repaired."""
    if share.endswith("%"):
        return max(1, size * int(share[:-1]) // 100)
    return int(share)


class CircuitBreaker(Section):
    """Opens when the last ``failures`` runs of an action, or in a pool, all failed within ``window``.

    It stays open for ``open_for`` after the last failure; then one run is let through, whose end closes or opens it.
    """

    failures: int = Field(default=5, ge=1, le=1000)
    window: PositiveDuration = timedelta(hours=1)
    open_for: PositiveDuration = timedelta(minutes=15)


class Unreachable(StrEnum):
    """What to do while Alertmanager cannot be asked for silences."""

    act = "act"
    hold = "hold"


class Silences(Section):
    """Where the silences are asked for.

    The last answer counts on, each silence up to its end.  Beyond that, ``act`` is the default because whatever came
    through Alertmanager was not silenced when it was sent, and a fleet whose Alertmanager has died with a host needs
    its repairs most.
    """

    alertmanager: Url
    token_file: Path | None = None
    ca_path: Path | None = None
    every: PositiveDuration = timedelta(seconds=15)
    timeout: PositiveDuration = timedelta(seconds=5)
    when_unreachable: Unreachable = Unreachable.act


def _require_true(value: object) -> object:
    if value is not True:
        raise ValueError(
            "cannot be turned off: nothing destructive is ever done to a failure that nobody has named; "
            "name it with classify, or give recovery.strategies.unknown an action"
        )
    return value


class Guardrails(Section):
    """Limits that hold whatever the strategies say."""

    max_concurrent_runs: int = Field(default=4, ge=1, le=1000)
    max_concurrent_runs_per_pool: int | None = Field(default=None, ge=1, le=1000)
    max_actions_per_host_per_hour: int = Field(default=6, ge=1, le=1000)
    max_pool_unavailable: Share = "50%"
    max_fleet_unavailable: Share = "50%"
    circuit_breaker: CircuitBreaker = CircuitBreaker()
    maintenance_windows: tuple[MaintenanceWindow, ...] = ()
    silences: Silences | None = None
    patience: PositiveDuration = timedelta(minutes=30)
    refuse_unknown: Annotated[bool, BeforeValidator(_require_true)] = True
