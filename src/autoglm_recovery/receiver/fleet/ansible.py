# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Ask Ansible's own commands what they know.  Their output is the one interface that stays from release to release."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from autoglm_recovery.knowledge.host.plain import one_line
from autoglm_recovery.receiver.fleet import find_collection, read_inventory
from autoglm_recovery.receiver.process import inherited
from autoglm_recovery.receiver.process.cleaned import of_inventory

COLLECTION = "autoglm.recovery"
TIMEOUT_S = 60


class AnsibleError(RuntimeError):
    """A command of Ansible could not answer, and what it said."""


def listed(inventory: Path, playbooks: Path) -> dict[str, Any]:
    """Return what ``ansible-inventory --list`` prints, ``playbooks`` being where those are that would be run.

    ``group_vars`` and ``host_vars`` beside them count in runs; ``ansible-inventory`` by itself takes those of the
    current folder.

    Raises AnsibleError if the inventory cannot be read.
    """
    # -P: ansible-playbook has its own folder first on its path, not the current one.
    program = [sys.executable, "-P", "-m", read_inventory.__name__]
    options = ["--list", "--inventory", str(inventory), "--playbook-dir", str(playbooks)]
    # Without this an inventory that cannot be parsed is an empty one and a warning.
    return _run_for_json(
        "ansible-inventory", [*program, *options], {"ANSIBLE_INVENTORY_ANY_UNPARSED_IS_FAILED": "true"}
    )


def hosts_listed(playbook: str, inventory: Path, limit: str, variables: Path) -> str:
    """Return what ``ansible-playbook --list-hosts`` prints; it begins no task.

    Raises AnsibleError if the playbook cannot be read.
    """
    program = [sys.executable, "-P", "-m", "ansible", "playbook", "--list-hosts", "--inventory", str(inventory)]
    return _run_for_text("ansible-playbook", [*program, "--limit", limit, "--extra-vars", f"@{variables}", playbook])


def _run_for_json(name: str, command: list[str], environment: Mapping[str, str] | None = None) -> dict[str, Any]:
    said = _run_for_text(name, command, environment)
    try:
        answer = json.loads(said, object_hook=_plain)
    except (ValueError, RecursionError) as error:
        raise AnsibleError(f"{name} printed no JSON: {error}") from error
    if not isinstance(answer, dict):
        raise AnsibleError(f"{name} printed no JSON object")
    return answer


def _run_for_text(name: str, command: list[str], environment: Mapping[str, str] | None = None) -> str:
    try:
        done = subprocess.run(
            command,
            capture_output=True,
            stdin=subprocess.DEVNULL,
            timeout=TIMEOUT_S,
            check=False,
            # Without a terminal: nobody answers a question for a password there.
            start_new_session=True,
            env={**inherited.environment(), **(environment or {})},
        )
    except FileNotFoundError as error:
        raise AnsibleError(f"{command[0]} is not there; install ansible-core beside autoglm") from error
    except subprocess.TimeoutExpired as error:
        raise AnsibleError(f"{name} did not finish in {TIMEOUT_S} s") from error
    if done.returncode:
        # Before it is cut: behind the cut nothing would tell a password from other words.
        said = of_inventory(done.stderr.decode(errors="replace"))
        raise AnsibleError(f"{name}: {one_line(said)[-800:]}")
    return done.stdout.decode(errors="replace")


def _plain(value: dict[str, Any]) -> Any:
    """Unwrap a text that Ansible's encoder of inventories marks as one that is no template."""
    return value["__ansible_unsafe"] if value.keys() == {"__ansible_unsafe"} else value


def collections(names: Iterable[str]) -> dict[str, str | None]:
    """Return where each of these collections is, in the folder in which Ansible finds it first; None where in none.

    Raises AnsibleError if Ansible cannot be asked.
    """
    # -P: ansible-playbook has its own folder first on its path, not the current one.
    ask = [sys.executable, "-P", "-m", find_collection.__name__, *names]
    return _run_for_json("Ansible's collection loader", ask)


def playbooks_folder() -> Path:
    """Return where the playbooks are that can be run: in the collection that Ansible finds first.

    Raises AnsibleError if Ansible does not find the collection.
    """
    root = collections([COLLECTION])[COLLECTION]
    if root is None:
        raise AnsibleError(f"Ansible finds no collection {COLLECTION}; install it with ansible-galaxy or pip")
    return Path(root, "playbooks")


def installed_playbooks(folder: Path | None = None) -> frozenset[str]:
    """Return the actions that can be run: the names of the playbooks in ``folder``, or else in the collection's.

    Raises AnsibleError if Ansible does not find the collection.
    """
    return frozenset(path.stem for path in (folder or playbooks_folder()).glob("*.yml"))
