# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A drop-in gives a unit more environment and nothing else, whatever the values are, and is known again."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.autoglm.recovery.plugins.module_utils.services import drop_in
from hypothesis import given
from hypothesis import strategies as st

PATH = {"NCCL_P2P_DISABLE": 1, "NCCL_IB_HCA": "^mlx5_3"}
NAMES = st.from_regex(r"[A-Za-z_][A-Za-z0-9_]{0,20}", fullmatch=True)
VALUES = st.text(st.characters(min_codepoint=32, exclude_characters="\x7f", exclude_categories=["Cs"]), max_size=40)


def test_it_is_what_systemd_reads() -> None:
    assert drop_in.render(drop_in.checked("slow", PATH, "7")).splitlines()[1:] == [
        "[Service]",
        'Environment="NCCL_IB_HCA=^mlx5_3"',
        'Environment="NCCL_P2P_DISABLE=1"',
    ]


def test_what_systemd_would_make_more_of_is_quoted() -> None:
    text = drop_in.render(drop_in.checked("slow", {"A": 'a "b" %h \\n $X'}))
    assert 'Environment="A=a \\"b\\" %%h \\\\n $X"\n' in text


@given(st.dictionaries(NAMES, VALUES, min_size=1, max_size=5))
def test_every_environment_is_read_back_and_is_one_line_for_each_variable(environment: dict[str, str]) -> None:
    made = drop_in.checked("slow", environment)
    text = drop_in.render(made)
    assert drop_in.parse(text) == made
    lines = text.split("\n")
    assert lines[1] == "[Service]"
    assert [line.partition("=")[0] for line in lines[2:-1]] == ["Environment"] * len(environment)


@pytest.mark.parametrize(
    ("label", "environment"),
    [
        ("", PATH),
        ("a b", PATH),
        ("a\n", PATH),
        ("../a", PATH),
        ("slow", {}),
        ("slow", {"A\n": "1"}),
        ("slow", {"1A": "1"}),
        ("slow", {"A=B": "1"}),
        ("slow", {7: "1"}),
        ("slow", {"A": 'b"\nExecStartPre=/bin/sh'}),
        ("slow", {"A": "b\0"}),
        ("slow", {"A": None}),
        # What YAML makes of yes and no; the environment would have True.
        ("slow", {"A": True}),
        ("slow", {"A": ["1"]}),
    ],
)
def test_what_is_no_environment_is_refused(label: str, environment: dict[Any, Any]) -> None:
    with pytest.raises(ValueError, match=r".+"):
        drop_in.checked(label, environment)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[Service]\nEnvironment=A=1\n",
        drop_in.render(drop_in.checked("slow", PATH)) + "MemoryMax=1G\n",
        drop_in.render(drop_in.checked("slow", PATH)).replace("P2P_DISABLE=1", "P2P_DISABLE=0"),
        "# autoglm.recovery made this file, and takes it away: []\n",
        "# autoglm.recovery made this file, and takes it away: {" + '"a": {' * 5000,
    ],
)
def test_what_somebody_has_made_or_edited_is_nobody_s_to_replace(text: str) -> None:
    with pytest.raises(drop_in.ForeignError):
        drop_in.parse(text)


def test_it_comes_and_goes_with_its_directory(tmp_path: Path) -> None:
    path = drop_in.path_of(str(tmp_path), "vllm.service", "comm-path")
    made = drop_in.checked("slow", PATH)
    assert drop_in.read(path) is None
    drop_in.write(path, made)
    assert drop_in.read(path) == made
    assert Path(path).stat().st_mode & 0o777 == 0o644
    drop_in.remove(path)
    assert list(tmp_path.iterdir()) == []


def test_drop_ins_of_others_stay(tmp_path: Path) -> None:
    path = drop_in.path_of(str(tmp_path), "vllm.service", "comm-path")
    drop_in.write(path, drop_in.checked("slow", PATH))
    other = Path(path).with_name("override.conf")
    other.write_text("[Service]\n")
    drop_in.remove(path)
    assert list(other.parent.iterdir()) == [other]


def test_what_is_in_force_the_process_tells(tmp_path: Path) -> None:
    (tmp_path / "7").mkdir()
    (tmp_path / "7/environ").write_bytes(b"PATH=/bin\0A=1\0B=2\0")
    assert drop_in.in_force(7, {"A": "1", "B": "2"}, tmp_path) is True
    assert drop_in.in_force(7, {"A": "0"}, tmp_path) is False
    assert drop_in.in_force(7, {"C": ""}, tmp_path) is False
    assert drop_in.in_force(8, {"A": "1"}, tmp_path) is None
    assert drop_in.in_force(None, {"A": "1"}, tmp_path) is None
    (tmp_path / "7/environ").write_bytes(b"")
    assert drop_in.in_force(7, {"A": "1"}, tmp_path) is None


def test_a_real_process_tells_it() -> None:
    name = next(iter(os.environ))
    started_with = dict(
        pair.partition(b"=")[::2] for pair in Path("/proc/self/environ").read_bytes().split(b"\0") if pair
    )
    assert drop_in.in_force(os.getpid(), {name: started_with[name.encode()].decode()}) is True
