# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Ask Ansible's own commands what they know.  Their output is the one interface that stays from release to release."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from autoglm_recovery.receiver import find_collection

COLLECTION = "autoglm.recovery"
TIMEOUT_S = 60


class AnsibleError(RuntimeError):
    """A command of Ansible could not answer, and what it said."""


def ask_ansible(name: str, *arguments: str, environment: Mapping[str, str] | None = None) -> dict[str, Any]:
    """Run one of Ansible's commands that print a JSON object.

    :raises AnsibleError: if there is no answer, or none that can be read.
    """
    return _ask(name, [str(Path(sys.executable).with_name(name)), *arguments], environment)


def _ask(name: str, command: list[str], environment: Mapping[str, str] | None = None) -> dict[str, Any]:
    try:
        done = subprocess.run(
            command,
            capture_output=True,
            stdin=subprocess.DEVNULL,
            timeout=TIMEOUT_S,
            check=False,
            env={**os.environ, **(environment or {})},
        )
    except FileNotFoundError as error:
        raise AnsibleError(f"{command[0]} is not there; install ansible-core beside autoglm") from error
    except subprocess.TimeoutExpired as error:
        raise AnsibleError(f"{name} did not finish in {TIMEOUT_S} s") from error
    if done.returncode:
        raise AnsibleError(f"{name}: {' '.join(done.stderr.decode(errors='replace').split())[-800:]}")
    try:
        answer = json.loads(done.stdout)
    except ValueError as error:
        raise AnsibleError(f"{name} printed no JSON: {error}") from error
    if not isinstance(answer, dict):
        raise AnsibleError(f"{name} printed no JSON object")
    return answer


def installed_playbooks() -> frozenset[str]:
    """Return the actions that can be run: the playbooks of the collection that Ansible finds first.

    :raises AnsibleError: if Ansible does not find the collection.
    """
    # -P: ansible-playbook has its own folder first on its path, not the current one.
    ask = [sys.executable, "-P", "-m", find_collection.__name__, COLLECTION]
    root = _ask("Ansible's collection loader", ask)["root"]
    if root is None:
        raise AnsibleError(f"Ansible finds no collection {COLLECTION}; install it with ansible-galaxy or pip")
    return frozenset(path.stem for path in Path(root, "playbooks").glob("*.yml"))
