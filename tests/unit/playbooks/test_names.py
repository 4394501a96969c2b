# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Ansible looks for an included file beside the playbook as well: one name must not mean two files."""

from __future__ import annotations

from pathlib import Path

CHECKOUT = Path(__file__).parents[3]


def test_no_file_of_tasks_has_the_name_of_a_playbook() -> None:
    folders = [CHECKOUT / "playbooks" / folder for folder in ("", "tasks", "vars")]
    folders += [CHECKOUT / "roles/check_target" / folder for folder in ("tasks", "vars/main")]
    names = [path.name for folder in folders for path in folder.glob("*.yml")]
    assert sorted(names) == sorted(set(names))
