# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What AWX makes of a project's repository: which files it offers as playbooks, and what it installs.

After ``awx/main/utils/ansible.py``, ``Project.playbooks`` in ``awx/main/models/projects.py``,
``awx/playbooks/project_update.yml`` and ``RunJob.build_env`` in ``awx/main/tasks/jobs.py`` of AWX 24.6.1.
The programs are the real ones.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

PROGRAMS = Path(sys.executable).parent
_PLAY = re.compile(r"\s*-?\s*(?:hosts|(?:ansible\.builtin\.)?(?:include|import_playbook)):")
_NO_PLAYBOOKS_BELOW = {"roles", "tasks", "group_vars", "host_vars"}


def playbooks(project: Path) -> set[str]:
    """Return the files that may be named in a template, by their paths in the project."""
    found = set()
    for path in project.rglob("*.y*ml"):
        inside = path.relative_to(project)
        left_out = any(part.startswith(".") or part in _NO_PLAYBOOKS_BELOW for part in inside.parts[:-1])
        if path.suffix in (".yml", ".yaml") and path.is_file() and not left_out and _looks_like_one(path):
            found.add(str(inside))
    return found


def _looks_like_one(path: Path) -> bool:
    return any(_PLAY.match(line) for line in path.read_text("utf-8", errors="ignore").splitlines())


@dataclass(frozen=True)
class Updated:
    """A project after its update, and the folder of a job, which has a copy of both it and what was installed."""

    project: Path
    job: Path

    def run(self, *command: str, **more: str) -> subprocess.CompletedProcess[str]:
        """Run what a job runs, where and with the variables with which a job runs it."""
        # AWX sets both names; the first is Ansible's since 2.10.
        paths = f"{self.job / 'requirements_collections'}:~/.ansible/collections:/usr/share/ansible/collections"
        places = dict.fromkeys(("ANSIBLE_COLLECTIONS_PATH", "ANSIBLE_COLLECTIONS_PATHS"), paths)
        return _run(command, self.job / "project", places | more)


def updated(repository: Path, at: Path) -> Updated:
    """Clone a repository as a project, install what it asks for, and copy both as for a job."""
    project, stage = at / "_7__recovery", at / ".__awx_cache/_7__recovery/stage"
    stage.mkdir(parents=True)
    _well(_run(("git", "clone", "--quiet", str(repository), str(project)), at, {}))
    installed = str(stage / "requirements_collections")
    places = {
        "ANSIBLE_COLLECTIONS_PATHS": installed,
        # AWX sets the name above alone, which ansible-core 2.19 and later do not read any more.
        "ANSIBLE_COLLECTIONS_PATH": installed,
        "ANSIBLE_ROLES_PATH": str(stage / "requirements_roles"),
        "ANSIBLE_LOCAL_TEMP": str(stage / "tmp"),
        # Its galaxy servers come from credentials; nobody is at this one, so that whatever asks it fails.
        "ANSIBLE_GALAXY_SERVER_LIST": "server0",
        "ANSIBLE_GALAXY_SERVER_SERVER0_URL": "http://127.0.0.1:9/",
    }
    wanted = project / "collections/requirements.yml"
    _well(_run((str(PROGRAMS / "ansible-galaxy"), "collection", "install", "-r", str(wanted)), project, places))
    job = at / "awx_job"
    shutil.copytree(project, job / "project", ignore=shutil.ignore_patterns(".git"), symlinks=True)
    shutil.copytree(stage / "requirements_collections", job / "requirements_collections", symlinks=True)
    return Updated(project, job)


def _run(command: tuple[str, ...], where: Path, more: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
    # What an execution environment has, and nothing of the checkout that the tests' own environment links.
    ours = {name: value for name, value in os.environ.items() if not name.startswith(("ANSIBLE_", "PYTHON"))}
    environment = {**ours, "HOME": str(where.parent / "home"), "ANSIBLE_COLLECTIONS_SCAN_SYS_PATH": "false", **more}
    return subprocess.run(
        command, cwd=where, env=environment, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL
    )


def _well(done: subprocess.CompletedProcess[str]) -> None:
    assert done.returncode == 0, done.stdout + done.stderr
