# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A run becomes root as by hand: a person's account over SSH, a real sudo, the password out of a file."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from autoglm_recovery.receiver.runs.local import run_directory
from tests.integration.warm import cases
from tests.integration.warm.project import Project
from tests.support.servers import person

PASSWORD = "of sudo, with blanks"

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="a mount namespace needs root, as the lab does")


def test_a_run_becomes_root_by_a_password_as_by_hand(project: Project, tmp_path: Path, control: Path) -> None:
    """All of them over one connection, by the hand's ``control_path_dir``."""
    with person.serving(tmp_path, PASSWORD) as reach:
        file = cases.becoming_root(project, reach, PASSWORD, control)
        project.playbook = "become"
        expected = project.by_hand()
        assert expected == [person.NAME, ["root", person.NAME], True], reach.log.read_text()
        assert project.by_receiver("cold") == expected
        assert project.by_receiver("warm") == expected
        assert reach.log.read_text().count("auth succeeded") == 1
        file.write_text("another\n")
        run = project.place.start(run_directory.spawn, "become")
        assert run.result()["rc"] != 0
        assert "assword" in run.said()
