# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where the playbooks of a site's own actions are, and which actions can be run with what is there."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

import structlog

from autoglm_recovery.policy.own import OwnAction
from autoglm_recovery.receiver.fleet.ansible import AnsibleError, collections, installed_playbooks

log = structlog.get_logger()

# Ansible's own order (``YAML_FILENAME_EXTENSIONS``).
_SUFFIXES = (".yml", ".yaml", ".json")


def runnable(actions: Mapping[str, OwnAction], folder: Path | None = None) -> frozenset[str]:
    """Return the actions that can be run: playbooks in ``folder`` or else the collection, and own ones that are there.

    Where an own action says ``launcher: awx``, its playbook is AWX's to have.

    Raises AnsibleError if Ansible does not find the collection, or cannot be asked.
    """
    there = frozenset(name for name, path in found(actions).items() if path is not None)
    of_awx = frozenset(name for name, own in actions.items() if own.launcher == "awx")
    # A playbook of the collection is not the own action that has its name.
    return (installed_playbooks(folder) - actions.keys()) | there | of_awx


def found(actions: Mapping[str, OwnAction]) -> dict[str, Path | None]:
    """Return where the playbook of each own action is; None where it is not, or cannot be read."""
    named = {_collection(own.playbook) for own in actions.values() if not own.playbook.startswith("/")}
    roots = {name: _root(name) for name in sorted(named)}
    return {name: _file(own.playbook, roots) for name, own in actions.items()}


def _root(collection: str) -> str | None:
    """Return where a collection is; one that Ansible cannot load takes its own actions away, and not the receiver."""
    try:
        return collections([collection])[collection]
    except AnsibleError as error:
        log.warning("own actions cannot be run", collection=collection, error=str(error))
        return None


def _collection(playbook: str) -> str:
    return ".".join(playbook.split(".")[:2])


def _file(playbook: str, roots: Mapping[str, str | None]) -> Path | None:
    if playbook.startswith("/"):
        candidates = [Path(playbook)]
    else:
        root = roots.get(_collection(playbook))
        stem = Path(root or "/nowhere", "playbooks", *playbook.split(".")[2:])
        candidates = [stem.with_name(stem.name + suffix) for suffix in _SUFFIXES] if root else []
    return next((path for path in candidates if path.is_file() and os.access(path, os.R_OK)), None)
