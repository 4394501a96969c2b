# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The collection on every ansible-core that meta/runtime.yml allows: documentation, syntax, and each module at work.

The versions of .venv and .venv-newest have the other steps; here are those between and before them. What is installed
is kept in the cache folder, for it is the same for every checkout.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Sequence
from pathlib import Path

from tests.support.tooling import environments, interpreters, packages, sanity
from tests.support.tooling.interpreters import Interpreter
from tests.support.tooling.workplace import CHECKOUT, StepFailedError, Workplace

TARGETS = CHECKOUT / "tests/integration/targets"
# The oldest and the newest Python of the controller, as each release says: Requires-Python, and ansible-test's list.
CORES = {
    "2.16": ((3, 10), (3, 12)),
    "2.17": ((3, 10), (3, 12)),
    "2.18": ((3, 11), (3, 13)),
    "2.20": ((3, 12), (3, 14)),
}
# What works on both works between them, nearly always: a run of all steps has these.
ENDS = ("2.16", "2.20")
PLAY = [
    {
        "name": "Run each module's integration target on this machine",
        "hosts": "localhost",
        "connection": "local",
        "tasks": [
            {
                "name": "Run the target",
                "ansible.builtin.include_role": {"name": "{{ role }}"},
                "loop": "{{ roles_to_run }}",
                "loop_control": {"loop_var": "role"},
            }
        ],
    }
]


def run(_: Workplace, versions: Sequence[str] = tuple(CORES)) -> str:
    """Try each of these versions for which this machine has a Python; say which were left out."""
    found = interpreters.find()
    tried, left_out = [], []
    for core in versions:
        fitting = _fitting(core, found)
        if not fitting:
            left_out.append(core)
            continue
        _try(core, fitting[-1])
        tried.append(f"{core} (Python {fitting[-1]})")
    said = f"ansible-core {', '.join(tried) or 'none'}"
    return said + (f"; no Python here for {', '.join(left_out)}" if left_out else "")


def sanity_on(core: str) -> str:
    """Run ansible-test sanity of that version; raises StepFailedError where there is no Python for it."""
    fitting = _fitting(core, interpreters.find())
    if not fitting:
        raise StepFailedError(f"no Python here runs ansible-core {core}")
    return sanity.run(_installed(core, fitting[-1]))


def _fitting(core: str, found: list[Interpreter]) -> list[Interpreter]:
    oldest, newest = CORES[core]
    return [each for each in found if oldest <= each.version <= newest]


def _try(core: str, python: Interpreter) -> None:
    workplace = _installed(core, python)
    print(f"--- ansible-core {core}, Python {python}", flush=True)
    with tempfile.TemporaryDirectory(prefix="autoglm-cores-") as temporary:
        folder = Path(temporary)
        recovery = folder / "collections/ansible_collections/autoglm/recovery"
        recovery.parent.mkdir(parents=True)
        recovery.symlink_to(CHECKOUT)
        environment = workplace.environment(
            ANSIBLE_COLLECTIONS_PATH=str(folder / "collections"),
            ANSIBLE_ROLES_PATH=str(TARGETS),
            ANSIBLE_LOCALHOST_WARNING="false",
        )
        packages.use(workplace, folder, environment)
        (folder / "play.yml").write_text(json.dumps(PLAY), encoding="utf-8")
        roles = sorted(path.name for path in TARGETS.iterdir() if path.is_dir())
        variables = {"roles_to_run": roles, "ansible_python_interpreter": str(python.path)}
        words = ["-i", "localhost,", "--extra-vars", json.dumps(variables), "play.yml"]
        workplace.read(workplace.program("ansible-playbook"), *words, cwd=folder, env=environment)


def _installed(core: str, python: Interpreter) -> Workplace:
    """Return an environment with nothing but that ansible-core and what it needs."""
    kept = environments.kept(f"cores/{core}", python, [f"ansible-core=={core}.*"])
    # The name is that of a log too.
    return Workplace(f"ansible-core-{core}", kept.venv)
