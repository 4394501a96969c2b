# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The highest token wins, whatever the target is called and whoever asks at the same time."""

from __future__ import annotations

import json
import threading

import pytest
from ansible_collections.autoglm.recovery.plugins.module_utils.fencing.mark import (
    HIGHEST,
    Fenced,
    MarkUnreadable,
    ShownToken,
    file_name,
    show,
)
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


X = file_name("x", None)


def ask(directory, token, service=None, run="", check_mode=False, incident=""):
    """Show a token on host x."""
    return show(directory, ShownToken("x", service, token, run, incident), check_mode)


def test_a_higher_token_is_remembered_and_a_lower_one_refused(tmp_path):
    place = tmp_path / "fence"
    assert ask(place, 5) == (None, 5)
    assert ask(place, 5) == (5, 5)
    assert ask(place, 8) == (5, 8)
    with pytest.raises(Fenced, match="token is 8, and this one's is 7") as refusal:
        ask(place, 7)
    assert refusal.value.mark == 8
    assert show(place, ShownToken("y", None, 7)) == (None, 7)


def test_the_whole_host_and_a_service_refuse_each_other_and_two_services_do_not(tmp_path):
    ask(tmp_path, 10, "llama")
    ask(tmp_path, 5, "qwen")
    with pytest.raises(Fenced, match="token is 10"):
        ask(tmp_path, 9)
    assert ask(tmp_path, 11) == (10, 11)
    for service in ("llama", "qwen", "new"):
        with pytest.raises(Fenced, match="token is 11"):
            ask(tmp_path, 10, service)
        assert ask(tmp_path, 12, service)[1] == 12


def test_the_same_token_of_another_run_is_refused_and_the_refusal_says_whose_it_is(tmp_path):
    ask(tmp_path, 7, "llama", "aa", incident="incident 3f-9")
    assert ask(tmp_path, 7, "llama", "aa") == (7, 7)
    with pytest.raises(Fenced, match="shown by incident 3f-9"):
        ask(tmp_path, 7, "llama", "bb")
    with pytest.raises(Fenced):
        ask(tmp_path, 7, None, "bb")
    with pytest.raises(Fenced):
        ask(tmp_path, 7, "llama", "bb", check_mode=True)


@pytest.mark.parametrize("incident", ["x" * 5000, "a\nb", "\x1b[31m", "\ud800"])
def test_what_others_have_told_of_themselves_is_one_short_line(tmp_path, incident):
    ask(tmp_path, 7, run="aa", incident=incident)
    with pytest.raises(Fenced) as refusal:
        ask(tmp_path, 6)
    assert str(refusal.value).isprintable()
    assert len(str(refusal.value)) < 1000


def test_a_refusal_says_when_the_newer_token_was_given_and_what_to_do(tmp_path):
    ask(tmp_path, 1_795_888_800_000_000)
    with pytest.raises(Fenced, match=r"of 2026-11-28 18:00:00 UTC.*tries again by itself.*remove that file"):
        ask(tmp_path, 1_795_888_799_000_000)


def test_marks_of_release_0_1_0_are_read_and_superseded(tmp_path):
    (tmp_path / file_name("x", "llama")).write_text("4711\n")
    with pytest.raises(Fenced, match="token is 4711, and this one's is 42"):
        ask(tmp_path, 42, "llama", "aa")
    assert ask(tmp_path, 1_795_888_800_000_000, "llama", "aa") == (4711, 1_795_888_800_000_000)
    # Release 0.1.0 beside us reads the same file.
    assert (tmp_path / file_name("x", "llama")).read_text() == "1795888800000000\n"


@pytest.mark.parametrize(
    "rubbish", ["", "{", "[]", "null", '{"token": 6, "run": "bb"}', '{"token": "7"}', "\x00" * 9000]
)
def test_whose_a_token_is_may_be_unknown_but_lets_no_lower_one_pass(tmp_path, rubbish):
    ask(tmp_path, 7, run="aa")
    (tmp_path / f"{X}.by").write_text(rubbish)
    assert ask(tmp_path, 7, run="bb") == (7, 7)
    with pytest.raises(Fenced):
        ask(tmp_path, 6, run="aa")


def test_check_mode_writes_nothing_and_refuses_the_same(tmp_path):
    assert ask(tmp_path / "fence", 5, check_mode=True) == (None, 5)
    assert not (tmp_path / "fence").exists()
    ask(tmp_path, 8)
    with pytest.raises(Fenced):
        ask(tmp_path, 7, check_mode=True)
    ask(tmp_path, 9, check_mode=True)
    assert (tmp_path / X).read_text() == "8\n"


@pytest.mark.parametrize("rubbish", ["", "nine", "-1", "1 2", "9" * 30, "7\n8\n", str(HIGHEST + 1)])
@pytest.mark.parametrize(("name", "service"), [(X, None), (X, "llama"), (f"{X}.services", None)])
def test_a_mark_that_cannot_be_read_lets_nobody_go_on(tmp_path, rubbish, name, service):
    (tmp_path / name).write_text(rubbish)
    with pytest.raises(MarkUnreadable, match="holds no fencing token"):
        ask(tmp_path, 99, service)


def test_a_place_that_cannot_be_written_lets_nobody_go_on(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(MarkUnreadable):
        ask(tmp_path / "file" / "fence", 1)
    (tmp_path / f"{X}.lock").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(MarkUnreadable):
        ask(tmp_path, 1)
    assert not (tmp_path / "elsewhere").exists()


def test_the_highest_of_many_at_once_stays(tmp_path):
    refused, barrier = [], threading.Barrier(8)

    def one(token):
        barrier.wait()
        try:
            ask(tmp_path, token, "llama" if token % 2 else None, str(token))
        except Fenced:
            refused.append(token)

    threads = [threading.Thread(target=one, args=(token,)) for token in range(1, 9)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (tmp_path / X).read_text() == "8\n"
    assert json.loads((tmp_path / f"{X}.by").read_text())["run"] == "8"
    assert 8 not in refused
    with pytest.raises(Fenced):
        ask(tmp_path, 7, "llama", "7")


def test_of_several_marks_the_highest_refuses_so_that_one_refusal_is_enough(tmp_path):
    ask(tmp_path, 5)
    ask(tmp_path, 9, "llama")
    with pytest.raises(Fenced) as refusal:
        ask(tmp_path, 4)
    assert refusal.value.mark == 9
    assert ask(tmp_path, 10) == (9, 10)
