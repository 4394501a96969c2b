# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The highest token wins, whatever the target is called and whoever asks at the same time."""

from __future__ import annotations

import threading

import pytest
from ansible_collections.autoglm.recovery.plugins.module_utils.fencing.mark import Fenced, Unreadable, file_name, show
from hypothesis import given
from hypothesis import strategies as st

NAMES = st.text(max_size=300)


@given(NAMES, st.none() | NAMES)
def test_a_name_is_one_file_of_the_directory(host, service):
    name = file_name(host, service)
    assert "/" not in name
    assert "\0" not in name
    assert not name.startswith(".")
    assert 16 < len(name.encode()) < 100


@given(st.tuples(NAMES, st.none() | NAMES), st.tuples(NAMES, st.none() | NAMES))
def test_two_targets_have_two_files(one, other):
    same = (one[0], one[1] or None) == (other[0], other[1] or None)
    alike = "\n" in one[0] + other[0]  # an inventory name has no line break
    assert (file_name(*one) == file_name(*other)) == same or alike


def test_a_higher_token_is_remembered_and_a_lower_one_refused(tmp_path):
    assert show(tmp_path / "fence", "x", 5) == (None, 5)
    assert show(tmp_path / "fence", "x", 5) == (5, 5)
    assert show(tmp_path / "fence", "x", 8) == (5, 8)
    with pytest.raises(Fenced, match="token is 8 and this one's is 7"):
        show(tmp_path / "fence", "x", 7)
    assert show(tmp_path / "fence", "y", 7) == (None, 7)


def test_check_mode_writes_nothing_and_refuses_the_same(tmp_path):
    assert show(tmp_path / "fence", "x", 5, check_mode=True) == (None, 5)
    assert not (tmp_path / "fence").exists()
    show(tmp_path, "x", 8)
    with pytest.raises(Fenced):
        show(tmp_path, "x", 7, check_mode=True)
    show(tmp_path, "x", 9, check_mode=True)
    assert (tmp_path / "x").read_text() == "8\n"


@pytest.mark.parametrize("rubbish", ["", "nine", "-1", "1 2", "9" * 30, "7\n8\n"])
def test_a_mark_that_cannot_be_read_lets_nobody_go_on(tmp_path, rubbish):
    (tmp_path / "x").write_text(rubbish)
    with pytest.raises(Unreadable, match="holds no fencing token"):
        show(tmp_path, "x", 99)


def test_a_place_that_cannot_be_written_lets_nobody_go_on(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(Unreadable):
        show(tmp_path / "file" / "fence", "x", 1)
    (tmp_path / "x.lock").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(Unreadable):
        show(tmp_path, "x", 1)
    assert not (tmp_path / "elsewhere").exists()


def test_the_highest_of_many_at_once_stays(tmp_path):
    refused, barrier = [], threading.Barrier(8)

    def ask(token):
        barrier.wait()
        try:
            show(tmp_path, "x", token)
        except Fenced:
            refused.append(token)

    threads = [threading.Thread(target=ask, args=(token,)) for token in range(1, 9)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (tmp_path / "x").read_text() == "8\n"
    assert 8 not in refused
    assert sorted(path.name for path in tmp_path.iterdir()) == ["x", "x.lock"]
