# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Unit tests of what runs on hosts, on the Pythons that hosts have: those that neither .venv nor .venv-newest is of.

As there, the modules find ansible.module_utils as Ansible sends it along, that of the controller, and not a release of
ansible-core for their Python. The oldest Python gets all of these tests, each other one those of the modules.
"""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import ansible

from tests.support.tooling import environments, interpreters
from tests.support.tooling.interpreters import Interpreter
from tests.support.tooling.report import Report
from tests.support.tooling.workplace import CHECKOUT, StepFailedError, Workplace

# What the tests import, and what the modules may come to need.
OF_TESTS = (
    *("pytest>=8.0", "pytest-rerunfailures", "pytest-xdist", "hypothesis", "structlog", "psutil", "httpx"),
    *("gguf", "numpy", "onnx", "packaging", "safetensors"),
)
OF_MODULES = CHECKOUT / "meta/ee-requirements.txt"
MODULES = "tests/unit/plugins/modules"
MODULE_UTILS = "tests/unit/plugins/module_utils"
# They ask the receiver, the command or its policy, which run on the controller ...
LEFT_OUT_FILES = (
    f"{MODULE_UTILS}/faults/test_kernel_events.py",
    f"{MODULE_UTILS}/privilege/test_gate.py",
    f"{MODULE_UTILS}/privilege/test_rules.py",
    f"{MODULE_UTILS}/receiver_api/test_same_as_the_receiver.py",
    # ... or read sources and pages, which are the same for every Python.
    f"{MODULE_UTILS}/engines/test_documentation.py",
    f"{MODULES}/test_action_groups.py",
    f"{MODULES}/test_minimum_python.py",
    f"{MODULES}/test_requirements.py",
)
LEFT_OUT_TESTS = (
    f"{MODULE_UTILS}/faults/test_lines.py::test_no_repetition_without_a_bound_lies_in_another",
    f"{MODULE_UTILS}/faults/test_lines.py::test_that_the_check_above_would_notice",
)


@dataclass(frozen=True)
class Target(Workplace):
    """An environment in which the collection and the controller's ansible.module_utils are found in a folder."""

    packages: Path

    def environment(self, **more: str) -> dict[str, str]:
        path = os.pathsep.join([str(self.packages), str(CHECKOUT / "src")])
        return super().environment(PYTHONPATH=path, **more)


def run(report: Report, _: Workplace) -> str:
    """Run them on each Python that has no environment of ours; say which, and how it ended."""
    _refuse_stale()
    needed = [line for line in OF_MODULES.read_text("utf-8").splitlines() if line and not line.startswith("#")]
    pythons = _others(interpreters.find())
    if not pythons:
        return "left out: there is no Python here beside those of .venv and .venv-newest"
    told = []
    with tempfile.TemporaryDirectory(prefix="autoglm-units-") as temporary:
        packages = Path(temporary)
        _link(packages)
        for number, python in enumerate(pythons):
            kept = environments.kept("target-units", python, [*OF_TESTS, *needed])
            print(f"--- Python {python}", flush=True)
            tests = (MODULES, MODULE_UTILS) if number == 0 else (MODULES,)
            check = report.pytest(*tests, *_options(), beside=2, once_more=True)
            told.append(f"{python}: {check(Target(kept.name, kept.venv, packages))}")
    return "; ".join(told)


def _others(found: Sequence[Interpreter]) -> list[Interpreter]:
    """Leave out the Python of .venv, whose step is unit, and the newest, whose step is unit-newest."""
    ours = [each for each in found if each.version[:2] == sys.version_info[:2]]
    return [each for each in found[:-1] if each not in ours]


def _link(packages: Path) -> None:
    collection = packages / "ansible_collections/autoglm/recovery"
    collection.parent.mkdir(parents=True)
    collection.symlink_to(CHECKOUT)
    (packages / "ansible").symlink_to(Path(ansible.__file__).parent)


def _options() -> list[str]:
    files = [f"--ignore={name}" for name in LEFT_OUT_FILES]
    return ["-m", "not slow", "--hypothesis-profile=quick", *files, *(f"--deselect={name}" for name in LEFT_OUT_TESTS)]


def _refuse_stale() -> None:
    """A name that leaves nothing out any more would be believed for ever."""
    for name in (*LEFT_OUT_FILES, *LEFT_OUT_TESTS):
        file, _, test = name.partition("::")
        if not (CHECKOUT / file).is_file() or f"def {test}" not in (CHECKOUT / file).read_text("utf-8"):
            raise StepFailedError(f"{name} is no test any more: take it off the list in {Path(__file__).name}")
