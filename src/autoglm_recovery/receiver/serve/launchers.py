# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which launchers a receiver has, as its policy names them when it starts."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from autoglm_recovery.policy.launchers import AwxLauncherSettings as AwxPolicy
from autoglm_recovery.policy.launchers import Launchers
from autoglm_recovery.policy.model import Policy
from autoglm_recovery.receiver.observe.metrics import Metrics
from autoglm_recovery.receiver.process.worker import Background
from autoglm_recovery.receiver.runs.awx.background import BackgroundAwx
from autoglm_recovery.receiver.runs.awx.launcher import AwxLauncher
from autoglm_recovery.receiver.runs.awx.settings import AwxSettings, Template
from autoglm_recovery.receiver.runs.local import run_directory
from autoglm_recovery.receiver.runs.local.artifacts import ArtifactRetention
from autoglm_recovery.receiver.runs.local.launcher import LocalLauncher
from autoglm_recovery.receiver.runs.protocol import Launcher
from autoglm_recovery.receiver.runs.warm.warmer import Warmer


def templates_in_force(policy: Callable[[], Policy], organization: str | None) -> Callable[[str], Template]:
    """Return what tells the job template of an action, as the policy that is in force has it.

    ``organization`` is the one in which all of them are.
    """

    def template(action: str) -> Template:
        named = policy().template(action)
        return Template(named.name, organization, named.workflow)

    return template


def open_launchers(
    in_force: Callable[[], Policy],
    state_dir: Path,
    allowed_until: Callable[[], float],
    metrics: Metrics,
    installation: str,
) -> tuple[dict[str, Launcher], list[Callable[[], None]], list[Background]]:
    """Return the launchers by their names, what ends them, and what of them works in the background once started.

    Raises ValueError if what the policy says of AWX cannot be used.
    """
    policy = in_force().launchers
    warmer = Warmer(run_directory.spawn, state_dir / "warm.log", metrics.run_started)
    warmer.start()
    local = LocalLauncher(allowed_until, warmer.spawn, policy.local.execution_environment)
    launchers: dict[str, Launcher] = {"local": local}
    closing: list[Callable[[], None]] = [warmer.stop]
    background: list[Background] = []
    if policy.awx is not None:
        settings = awx_settings(policy.awx, installation, in_force)
        awx = BackgroundAwx(AwxLauncher(settings, (state_dir / "runs").resolve()), settings.look_timeout_s)
        launchers["awx"] = awx
        background.append(awx)
    return launchers, closing, background


def retention(policy: Launchers) -> ArtifactRetention:
    """Return how long the directories of runs are kept."""
    return ArtifactRetention(policy.local.artifacts_keep, policy.local.artifacts_max_age.total_seconds())


def awx_settings(policy: AwxPolicy, installation: str, in_force: Callable[[], Policy]) -> AwxSettings:
    """Map the policy's words onto the launcher's.  ``installation`` marks the jobs of this receiver's database.

    Raises ValueError if the address would send the token unencrypted over a network.
    """
    return AwxSettings(
        policy.url,
        policy.token_file,
        templates_in_force(in_force, policy.organization),
        ca_file=policy.ca_path,
        api_path=policy.api_path,
        call_timeout_s=policy.timeout.total_seconds(),
        installation=installation,
        look_timeout_s=1.5 * policy.timeout.total_seconds(),
    )
