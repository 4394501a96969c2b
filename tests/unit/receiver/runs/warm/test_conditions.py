# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""When a warm start is as good as a cold one."""

from __future__ import annotations

import sys
import sysconfig
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autoglm_recovery.receiver.runs.warm.conditions import (
    Conditions,
    code_stamps,
    current,
    differences,
    is_tested,
    relevant,
    stamp,
)

WARMED = Conditions("2.21.5", "/", (("/site", 1, 2, 3), None), None, {"ANSIBLE_FORKS": "5", "HOME": "/root"})


@pytest.mark.parametrize(
    ("version", "tested"),
    [
        ("2.19.14", True),
        ("2.21.0", True),
        ("2.21.0rc1", True),
        ("2.20.1", False),
        ("2.2", False),
        ("3.0", False),
        ("", False),
    ],
)
def test_only_releases_that_the_tests_cover(version: str, tested: bool) -> None:
    assert is_tested(version) is tested


def test_the_same_is_no_difference() -> None:
    assert list(differences(WARMED, WARMED)) == []


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"core": "2.21.6"}, "ansible-core is 2.21.6"),
        ({"files": (("/site", 9, 2, 3), None)}, "installed packages"),
        ({"folder": "/srv/fleet"}, "the folder is /srv/fleet and was /"),
        ({"configuration": "/etc/ansible/ansible.cfg"}, "ansible.cfg is /etc/ansible/ansible.cfg and was absent"),
        ({"environment": {"ANSIBLE_FORKS": "6", "HOME": "/root"}}, "another ANSIBLE_FORKS"),
        ({"environment": {"ANSIBLE_FORKS": "5"}}, "another HOME"),
    ],
)
def test_every_difference_is_said(change: dict, words: str) -> None:
    assert words in "; ".join(differences(WARMED, replace(WARMED, **change)))


@given(
    st.dictionaries(st.sampled_from(["ANSIBLE_X", "PATH", "HOME", "LC_ALL", "PYTHONPATH", "SECRET", "TERM"]), st.text())
)
def test_what_ansible_reads_at_its_start_counts(environment: dict[str, str]) -> None:
    expected = {"ANSIBLE_X", "HOME", "LC_ALL", "PYTHONPATH"} & environment.keys()
    assert relevant(environment).keys() == expected


def test_stamps_change_with_files(tmp_path: Path) -> None:
    file = tmp_path / "ansible.cfg"
    assert stamp(file) is None
    assert stamp(None) is None
    file.write_text("[defaults]\n")
    first = stamp(file)
    file.write_text("[defaults]\nforks = 9\n")
    assert first != stamp(file)


def test_installed_packages_have_stamps() -> None:
    assert sysconfig.get_path("purelib") in {each[0] for each in code_stamps() if each}
    assert current({"HOME": "/x"}, None, "2.21.5").environment == {"HOME": "/x"}
    assert sys.version_info >= (3, 11)
