# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What ``serve`` says at its start: mistakes in the inventory, and what a run would lack that begins now."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

import structlog

from autoglm_recovery.receiver.doctor.finding import DoctorFinding, FindingLevel
from autoglm_recovery.receiver.doctor.inventory import check_inventory
from autoglm_recovery.receiver.doctor.own_actions import check_present
from autoglm_recovery.receiver.doctor.trying import PLAYBOOK, WITHIN_S, PlaybookTrial, try_run
from autoglm_recovery.receiver.fleet.site_config import SiteConfig
from autoglm_recovery.receiver.process.worker import UNTIL_WOKEN, Worker

MOST_TOLD = 20

log = structlog.get_logger()


class FirstLook:
    """Looks once, in a thread, because an empty run takes as long as Ansible takes to start."""

    def __init__(self, config: Callable[[], SiteConfig], state_dir: Path) -> None:
        """Look at nothing yet."""
        self._config = config
        self._directory = state_dir.resolve() / PLAYBOOK
        self.worker = Worker("first look", self._step, stuck_after=lambda: WITHIN_S + 60.0)

    def start(self) -> None:
        """Begin."""
        self.worker.start()

    def stop(self) -> None:
        """End, and with it the empty run."""
        self.worker.stop()

    def _step(self) -> float:
        config = self._config()
        _log_findings([*check_inventory(config.fleet, config.policy), *check_present(config)])
        launchers = config.policy.launchers
        # A collection of somebody's own may not have the playbook; AWX has an inventory and credentials of its own.
        if PLAYBOOK in config.playbooks and launchers.default == "local":
            trial = PlaybookTrial(self._directory, launchers.local.execution_environment)
            found = try_run(trial, config.fleet, config.inventory, lambda: self.worker.stopping)
            if not self.worker.stopping:
                _log_findings(found)
                log.info("an empty run was tried", well=all(each.level is FindingLevel.ok for each in found))
        return UNTIL_WOKEN


def _log_findings(findings: Iterable[DoctorFinding]) -> None:
    wrong = [finding for finding in findings if finding.level in (FindingLevel.wrong, FindingLevel.unknown)]
    for finding in wrong[:MOST_TOLD]:
        log.warning(f"{finding.check}: {finding.what}", where=finding.where or None, do=finding.do or None)
    if len(wrong) > MOST_TOLD:
        log.warning("there is more; autoglm doctor says all", more=len(wrong) - MOST_TOLD)
