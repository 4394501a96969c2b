# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""`make test`: every check there is, on the oldest ansible-core that is supported and on the newest that fits.

python -m tests.support.tooling [STEP ...]      without a STEP: all of them
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from collections.abc import Collection, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

from tests.support.tooling import (
    cores,
    environments,
    exporter_distribution,
    importer,
    interpreters,
    molecule,
    packages,
    plain_clone,
    sanity,
    target_units,
    targets,
)
from tests.support.tooling.beside import Beside, keep
from tests.support.tooling.report import Check, Report, Step
from tests.support.tooling.workplace import CHECKOUT, StepFailedError, Workplace

OLDEST = Workplace(".venv", CHECKOUT / ".venv")
NEWEST = Workplace(".venv-newest", CHECKOUT / ".venv-newest")

# Part of another step: `make quick` runs it.
QUICK = "unit-quick"
# What the forge runs at each push; here one version of it takes long enough.
SANITY_OF_CORES = {f"sanity-{core}": core for core in cores.CORES}
# All steps together leave these out.
BY_NAME = {QUICK, "sanity-newest", *SANITY_OF_CORES}

# The others only compute, and run beside these: which wait half of their time, or build in the checkout, which a warm
# process takes for another version of what it has loaded.
IN_TURN = {
    *("integration", "collection", "wheel", "exporter", "lab", molecule.STEP),
    # It ends its linter after three minutes, which is not much at the lowest priority.
    "importer",
    *("integration-newest", "lab-newest"),
}

# The targets are only run here: the lab's hosts have a Python that the oldest ansible-core does not know. Beside them,
# one way from a fault to the resolved alert.
LAB_AGAIN = (
    "tests/lab/test_integration_targets.py",
    "tests/lab/test_oom_recovery.py::test_a_server_killed_for_memory_is_healed_on_its_host_alone",
)

# One run that goes well, one that does not, one whose receiver dies, and what a playbook is given.
RECOVERY_AGAIN = tuple(
    f"tests/integration/receiver/test_recovery.py::test_{name}"
    for name in (
        "an_alert_is_acted_on_once_and_the_incident_closes_when_it_resolves",
        "a_failed_run_climbs_to_a_person",
        "a_receiver_killed_in_mid_run_loses_and_doubles_nothing",
        "what_the_playbook_gets_is_the_contract_and_text",
    )
)

# Those that take longest begin first: two run at a time.
LINTERS = {
    "ansible-lint": ["ansible-lint", "--offline", "--profile", "production"],
    "mypy": ["mypy"],
    "collection docs": [
        *("antsibull-docs", "lint-collection-docs", "--plugin-docs", "--disallow-unknown-collection-refs"),
        # The collection's own plugins, and Ansible's.
        *("--validate-collection-refs", "dependent", "."),
    ],
    "changelog": ["antsibull-changelog", "lint"],
    "mypy of the collection": [
        *("mypy", "--config-file", "tests/support/tooling/mypy-collection.ini"),
        *("--package", "ansible_collections.autoglm.recovery.plugins"),
    ],
    # Only calls that cannot be: most tests have no types, and what pytest gives them is not known to mypy.
    "mypy of the tests": ["mypy", "--config-file", "tests/support/tooling/mypy-tests.ini", "tests"],
    "imports": ["lint-imports", "--no-cache"],
    # Says nothing but what lacks a header.
    "licences": ["reuse", "lint", "--lines"],
    "yamllint": ["yamllint", "--strict", "."],
    "ruff": ["ruff", "check"],
    "format": ["ruff", "format", "--check", "--quiet"],
}

# Seconds on two cores with nothing else to do, with room to grow; docs/testing.md has them beside what was measured.
BUDGETS = {
    "lint": 30,
    "unit": 480,
    # With lint, three minutes.
    QUICK: 150,
    "integration": 2040,
    "sanity": 150,
    "docs": 60,
    "collection": 15,
    "wheel": 60,
    "cores": 240,
    "exporter": 60,
    "importer": 45,
    "lint-plain": 60,
    "unit-targets": 130,
    "targets": 120,
    "lab": 780,
    molecule.STEP: 120,
    "unit-newest": 130,
    "integration-newest": 330,
    "sanity-newest": 130,
    "lab-newest": 300,
}


def lint(workplace: Workplace, besides: Collection[str] = ()) -> str:
    """Run all linters but those that another step runs, two at a time, and name the ones that complain."""
    _name_as_ansible_does()
    linters = {name: command for name, command in LINTERS.items() if name not in besides}
    with ThreadPoolExecutor(max_workers=2) as lanes:
        ended = lanes.map(lambda command: workplace.ask(workplace.program(command[0]), *command[1:]), linters.values())
        complaints = [name for name, done in zip(linters, ended, strict=True) if _complains(name, done)]
    if complaints:
        raise StepFailedError(f"complained: {', '.join(complaints)}")
    return ", ".join(linters)


def _complains(name: str, done: subprocess.CompletedProcess[str]) -> bool:
    """Show what a linter said, and tell whether it was a complaint."""
    print(f"--- {name}\n{done.stdout}", end="", flush=True)
    return done.returncode != 0


def _name_as_ansible_does() -> None:
    """Put the checkout where mypy finds it as a collection: it takes no sources from .venv, which has that too."""
    link = CHECKOUT / ".cache/typed/ansible_collections/autoglm/recovery"
    link.parent.mkdir(parents=True, exist_ok=True)
    if not link.is_symlink():
        link.symlink_to(CHECKOUT)


def docs(workplace: Workplace) -> str:
    """Build the site in a process of its own: it takes in all of autoglm, and this driver nothing but Python."""
    return workplace.read(workplace.python, "-m", "tests.support.tooling.site").strip()


def make_newest(python: interpreters.Interpreter) -> bool:
    command = [
        "tests/support/tooling/make-venv.sh",
        str(NEWEST.venv),
        str(python.path),
        str(CHECKOUT / ".ci/constraints-newest.txt"),
    ]
    return subprocess.run(command, cwd=CHECKOUT, stdin=subprocess.DEVNULL, check=False).returncode == 0


def steps_for(report: Report, whole: bool = False) -> dict[str, Step]:
    """Declare the steps, in the order in which they run.

    whole: all of them run, so that none says what another one does, or what lies between what two of its runs say.
    """
    # Two at a time: unit tests share nothing, and a machine has two cores.
    unit = report.pytest("tests/unit", beside=2, once_more=True)
    # These wait for other processes half of the time.  What a machine has once: see tests/integration/conftest.py.
    of_processes = partial(report.pytest, beside=3, once_more=True)
    left_out = ("-m", "not thorough") if whole else ()
    integration = of_processes("tests/integration", *left_out)
    lab = report.pytest("tests/lab", *left_out, once_more=True)
    # Again with the newest ansible-core only what Ansible has a part in; the rest would say the same twice.
    unit_again = report.pytest(
        "tests/unit/plugins/modules", "tests/unit/plugins/plugin_utils", beside=2, once_more=True
    )
    # Containers and SSH do not tell one ansible-core from another.
    warm_again = (f"tests/integration/warm/test_{name}.py" for name in ("same_as_cold", "become"))
    integration_again = of_processes(*RECOVERY_AGAIN, *warm_again)
    lab_again = report.pytest(*LAB_AGAIN, once_more=True)
    checks: dict[str, Check] = {
        "lint": partial(lint, besides={"ansible-lint"} if whole else ()),
        "unit": unit,
        QUICK: report.pytest("tests/unit", "-m", "not slow", "--hypothesis-profile=quick", beside=2),
        "integration": integration,
        "sanity": sanity.run,
        "docs": docs,
        "collection": packages.check_collection,
        "wheel": packages.check_wheel,
        "cores": partial(cores.run, versions=cores.ENDS if whole else tuple(cores.CORES)),
        "exporter": exporter_distribution.check_exporter,
        "importer": importer.run,
        "lint-plain": plain_clone.lint,
        "unit-targets": partial(target_units.run, report),
        "targets": targets.run,
        "lab": lab,
        molecule.STEP: partial(molecule.play, molecule.FAST, platform=molecule.FAST_PLATFORM),
        "unit-newest": unit_again,
        "integration-newest": integration_again,
        "sanity-newest": sanity.run,
        "lab-newest": lab_again,
    } | {name: partial(_sanity_of, core) for name, core in SANITY_OF_CORES.items()}
    return {
        name: Step(
            name.removesuffix("-newest"),
            check,
            NEWEST if name.endswith("-newest") else OLDEST,
            BUDGETS.get(name, BUDGETS["sanity"]),
        )
        for name, check in checks.items()
    }


def _sanity_of(core: str, _: Workplace) -> str:
    return cores.sanity_on(core)


def chosen_steps(names: list[str], steps: Mapping[str, Step]) -> list[str]:
    """Return the steps to run, those with the newest ansible-core only where they can be; make its environment."""
    chosen = names or [name for name in steps if name not in BY_NAME]
    if not any(name.endswith("-newest") for name in chosen):
        return chosen
    python = interpreters.newest(environments.NEWER_PYTHON)
    if python is None:
        print(
            "No Python 3.12 or newer was found on PATH, under pyenv or in /usr/bin: "
            "only ansible-core 2.19 is tested on this machine, not the newest."
        )
        return [name for name in chosen if not name.endswith("-newest")]
    if not make_newest(python):
        raise StepFailedError("the environment with the newest ansible-core could not be made")
    return chosen


def run_all(chosen: list[str], steps: Mapping[str, Step], report: Report) -> None:
    """Run the steps, those that only compute beside the others if there are both."""
    computing = [name for name in chosen if name not in IN_TURN]
    in_turn = [name for name in chosen if name in IN_TURN]
    if not computing or not in_turn:
        for name in chosen:
            report.run(steps[name])
        return
    print(f"In a process beside this one, told of at its end: {', '.join(computing)}.", flush=True)
    with tempfile.TemporaryDirectory(prefix="autoglm-beside-") as folder, Beside(computing, Path(folder)) as beside:
        for name in in_turn:
            report.run(steps[name])
        beside.join(report)


def main() -> int:
    report = Report()
    steps = steps_for(report)
    parser = argparse.ArgumentParser(
        prog="python -m tests.support.tooling", description="Runs the checks of this repository."
    )
    parser.add_argument("step", nargs="*", help=f"one of {', '.join(steps)}; all of them if left out")
    parser.add_argument("--keep", type=Path, metavar="FILE", help="what came of the steps, instead of a table")
    parser.add_argument("--whole", action="store_true", help="these steps are a part of a run of all of them")
    asked = parser.parse_args()
    steps = steps_for(report, whole=asked.whole or not asked.step)
    if unknown := set(asked.step) - set(steps):
        parser.error(f"there is no step {', '.join(sorted(unknown))}")
    if asked.keep:  # the process that prints the table has made the environments
        for name in asked.step:
            report.run(steps[name])
        keep(report, asked.keep)
        return 0
    try:
        chosen = chosen_steps(asked.step, steps)
    except StepFailedError as problem:
        print(problem)
        return 1
    run_all(chosen, steps, report)
    return report.finish()


if __name__ == "__main__":
    sys.exit(main())
