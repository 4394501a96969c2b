# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a Prometheus has recorded of our own alerts for people, which no receiver acts on."""

from __future__ import annotations

from dataclasses import replace

from autoglm_recovery.policy.model import Policy
from autoglm_recovery.receiver.rehearse.backtest.events import AlertRecord
from autoglm_recovery.receiver.triage.own_alerts import for_people


def without_own(record: AlertRecord, policy: Policy) -> tuple[AlertRecord, AlertRecord]:
    """Return a record without those, and one that holds nothing else."""
    own = [for_people(dict(series.labels), policy) for series in record.series]
    kept = (series for series, ours in zip(record.series, own, strict=True) if not ours)
    left = (series for series, ours in zip(record.series, own, strict=True) if ours)
    return replace(record, series=tuple(kept)), replace(record, series=tuple(left))
