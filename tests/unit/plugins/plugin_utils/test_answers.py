# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What of a host's answer is more than data, and what is kept of a module's arguments."""

from __future__ import annotations

import importlib
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.autoglm.recovery.plugins.plugin_utils import answers

MODULES = sorted(path.stem for path in (Path(__file__).parents[4] / "plugins/modules").glob("*.py"))


@pytest.mark.parametrize("module", MODULES)
def test_every_module_has_its_answers_looked_at(module: str) -> None:
    """A new module needs a file of its name in plugins/action, as the others have one."""
    action = importlib.import_module(f"ansible_collections.autoglm.recovery.plugins.action.{module}")
    assert issubclass(action.ActionModule, answers.ActionModule)


@pytest.mark.parametrize(
    ("answer", "raw", "named"),
    [
        ({"verdict": "healthy", "changed": False, "invocation": {}, "warnings": [], "diff": {}}, True, []),
        ({"ansible_facts": {"b": 1, "a\n": 2}}, True, ["ansible_facts (a\\n, b)"]),
        ({"ansible_facts": {}}, True, []),
        ({"ansible_facts": ["x"]}, True, ["ansible_facts ()"]),
        (
            {"ansible_facts": {"discovered_interpreter_python": "/x"}},
            True,
            ["ansible_facts (discovered_interpreter_python)"],
        ),
        ({"ansible_facts": {"discovered_interpreter_python": "/usr/bin/python3"}}, False, []),
        ({"_ansible_no_log": True, "add_host": {}, "results": []}, True, ["_ansible_no_log", "add_host", "results"]),
        (
            {"add_group": "pool", "_ansible_delegated_vars": {"ansible_delegated_host": "b"}, "_ansible_notify": ["x"]},
            True,
            ["_ansible_delegated_vars", "_ansible_notify", "add_group"],
        ),
        ({"ansible_job_id": "1"}, True, ["ansible_job_id"]),
        ({"_ansible_parsed": True}, False, []),
        ({"ansible_stats": {}, "ansible_module_results": []}, False, ["ansible_module_results", "ansible_stats"]),
    ],
)
def test_what_ansible_would_act_on(answer: dict[str, Any], raw: bool, named: list[str]) -> None:
    assert answers.commanding(answer, raw=raw) == named


def test_arguments_that_may_hold_secrets_are_not_shown() -> None:
    given = {
        "unit": "llama.service",
        "url": "https://user:planted@node-a:8080",
        "deadline": 5,
        "start_command": ["/usr/bin/x", "planted"],
        "environment": {"ANYTHING": "planted"},
        "cache_paths": [],
    }
    kept = answers.shown(given)
    assert "planted" not in str(kept)
    assert (kept["unit"], kept["deadline"], kept["cache_paths"]) == ("llama.service", 5, [])


GROWING = """
from ansible_collections.autoglm.recovery.plugins.plugin_utils import memory

class Grown(Exception):
    pass

def fill(kept, mebibytes):
    while len(kept) < mebibytes:
        kept.append(b"x" * 2**20)

# Two functions: what a signal raises at a loop's jump passes by the try around that loop in Python 3.13.
def grow(kept, mebibytes):
    try:
        fill(kept, mebibytes)
    except Grown:
        return "stopped"
    return "not stopped"

"""


def run_growing(program: str) -> str:
    """Run it in a process of its own, as a task has one."""
    done = subprocess.run([sys.executable, "-c", GROWING + program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_process_that_grows_is_stopped() -> None:
    program = """
with memory.growing_at_most(2**26, Grown):
    assert sum(range(2 * 10**6))
    print(grow([], 320))
"""
    assert run_growing(program) == "stopped\n"


def test_what_a_process_has_needed_before_is_no_licence() -> None:
    """Nor what its parent has: Linux hands the peak of whoever started a program on to the program."""
    program = """
peak = len(b"x" * (400 * 2**20))
with memory.growing_at_most(2**26, Grown):
    print(grow([], 320))
"""
    assert run_growing(program) == "stopped\n"


def test_whoever_handles_the_error_is_not_stopped_by_it_again_until_more_has_grown() -> None:
    program = """
import time
kept = []
with memory.growing_at_most(2**26, Grown):
    print(grow(kept, 320))
    handled = time.process_time() + 0.3
    while time.process_time() < handled:
        pass
    before = len(kept)
    print(grow(kept, 640), len(kept) > before)
"""
    assert run_growing(program) == "stopped\nstopped True\n"
