# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""`make molecule`: roles on clean hosts with systemd, each scenario a step of its own.

python -m tests.support.tooling.molecule [SCENARIO ...]      without a SCENARIO: all of them
"""

from __future__ import annotations

import argparse
import fcntl
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

from tests.support.tooling.report import Report, Step
from tests.support.tooling.workplace import CHECKOUT, StepFailedError, Workplace

# Part of `make test`, by this name: a role judged by what a real Prometheus then does, on the older release of Debian.
STEP, FAST, FAST_PLATFORM = "molecule", "alert_rules", "debian12"

SCENARIOS = CHECKOUT / "molecule"
# Seconds on two cores with nothing else to do, images built before.
BUDGETS: dict[str, int] = {"default": 60}
BUDGET = 300


def scenarios() -> list[str]:
    """Name all that there are, that of the hosts themselves first."""
    names = sorted(file.parent.name for file in SCENARIOS.glob("*/molecule.yml"))
    return sorted(names, key=lambda name: name != "default")


def play(scenario: str, workplace: Workplace, platform: str | None = None) -> str:
    """Play a scenario from clean hosts to none, and leave none whatever comes of it. platform: on this host alone."""
    environment = workplace.environment(
        NO_COLOR="1",
        ANSIBLE_NOCOLOR="1",
        MOLECULE_COMMAND_BORDERS="false",
        **({"MOLECULE_PLATFORM_NAME": platform} if platform else {}),
    )
    molecule = workplace.program("molecule")
    with _only_one_of(scenario):
        # What it prints while it builds an image, molecule would keep to itself.
        workplace.run(workplace.python, "-m", "tests.lab.scenario_hosts", "prepare", scenario, env=environment)
        try:
            workplace.run(molecule, "test", "--scenario-name", scenario, env=environment)
        except KeyboardInterrupt:  # of any other end molecule takes care itself
            workplace.run(molecule, "destroy", "--scenario-name", scenario, env=environment)
            raise
    return f"{scenario}: played on clean hosts"


@contextmanager
def _only_one_of(scenario: str) -> Iterator[None]:
    """Refuse to play what another process plays: its hosts are known by scenario and checkout."""
    file = CHECKOUT / ".cache" / f"molecule-{scenario}.lock"
    file.parent.mkdir(exist_ok=True)
    with file.open("a+", encoding="utf-8") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.seek(0)
            holder = lock.read().strip() or "unknown"
            raise StepFailedError(
                f"process {holder} plays {scenario} from this checkout; wait until it ends, or stop it"
            ) from None
        lock.truncate(0)
        lock.write(str(os.getpid()))
        lock.flush()
        yield


def main() -> int:
    known = scenarios()
    parser = argparse.ArgumentParser(
        prog="python -m tests.support.tooling.molecule", description="Plays roles on clean hosts."
    )
    parser.add_argument("scenario", nargs="*", help=f"one of {', '.join(known)}; all of them if left out")
    asked = parser.parse_args().scenario
    if unknown := set(asked) - set(known):
        parser.error(f"there is no scenario {', '.join(sorted(unknown))}; there are: {', '.join(known)}")
    workplace = Workplace(".venv", CHECKOUT / ".venv")
    report = Report()
    for scenario in asked or known:
        report.run(Step(scenario, partial(play, scenario), workplace, BUDGETS.get(scenario, BUDGET)))
    return report.finish()


if __name__ == "__main__":
    sys.exit(main())
