# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""``monitoring.alertmanager`` in the policy file: which Alertmanager is asked what it has, and may be silenced."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

from autoglm_recovery.policy.launchers import PositiveDuration, Url
from autoglm_recovery.policy.section import Section


class Alertmanager(Section):
    """One Alertmanager, not several behind one name: what it has is compared from look to look.

    What it lacks counts as ended only once it has run for ``complete_after``, so that Prometheus has sent it all that
    fires, and while its Watchdog is no older than that.
    """

    url: Url
    token_file: Path | None = None
    ca_path: Path | None = None
    every: PositiveDuration = timedelta(seconds=15)
    timeout: PositiveDuration = timedelta(seconds=5)
    complete_after: PositiveDuration = timedelta(minutes=2)
    silence: bool = False
