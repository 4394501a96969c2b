# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The record of an OOM kill names the victim's group, whatever its users call processes and groups."""

from __future__ import annotations

import pytest
from ansible_collections.autoglm.recovery.plugins.module_utils.faults.lines.reading import parse_line
from hypothesis import given
from hypothesis import strategies as st

HEAD = "oom-kill:constraint={},nodemask=(null),cpuset={},mems_allowed=0-1,"
OURS = "/system.slice/llm.service"

# What its user may choose: no slash and no line break in one name; a process has at most 15 bytes.
TRICKS = st.sampled_from(
    [
        *",=/ a0",
        ",task=",
        ",task_memcg=",
        ",oom_memcg=",
        ",pid=1",
        ",uid=0",
        "system.slice",
        "llm.service",
        ",global_oom",
        ",mems_allowed=0",
        ",cpuset=",
        OURS,
        f",task_memcg={OURS}",
    ]
)
PATHS = st.lists(TRICKS, max_size=8).map("".join)
NAMES = st.lists(TRICKS, max_size=4).map("".join).map(lambda text: text.replace("/", "")[:15])
COMMS = st.lists(TRICKS, max_size=4).map("".join).map(lambda text: text[:15])


def record(task: str, comm: str = "llama", around: str | None = None, cpuset: str = "/") -> str:
    """Write the record as the kernel does."""
    where = ",global_oom"[1:] if around is None else f"oom_memcg={around}"
    kind = "CONSTRAINT_NONE" if around is None else "CONSTRAINT_MEMCG"
    return HEAD.format(kind, cpuset) + f"{where},task_memcg={task},task={comm},pid=9,uid=0"


def unit(group: str) -> str:
    """Return the first part of a path that is no slice: the unit."""
    return next((part for part in group.split("/")[1:] if not part.endswith(".slice")), "")


@given(PATHS, COMMS, NAMES, st.booleans())
def test_no_name_moves_a_kill_to_another_unit(inner: str, comm: str, cpuset: str, is_global: bool) -> None:
    theirs = "/user.slice/user-7.slice/user@7.service"
    event = parse_line(record(f"{theirs}/{inner}", comm, None if is_global else theirs, cpuset or "/"))
    assert event["kind"] == "oom_kill_record"
    assert unit(event.get("task_memcg", "")) in ("", "user@7.service")


@given(COMMS, NAMES, st.booleans(), st.sampled_from(["", "/x", "/a,b", "/x,task=y"]))
def test_no_name_takes_a_kill_away_from_its_unit(comm: str, cpuset: str, is_global: bool, below: str) -> None:
    event = parse_line(record(OURS + below, comm, None if is_global else OURS, cpuset or "/"))
    assert (event["pid"], unit(event["task_memcg"])) == (9, "llm.service")


@pytest.mark.parametrize(
    ("line", "process", "group"),
    [
        (record(OURS, "a,task=b,pid=1"), "a,task=b,pid=1", OURS),
        (record(f"{OURS}/a,b", around="/"), "llama", f"{OURS}/a,b"),
        (record("/u.slice/x,task_memcg=/v", around="/u.slice"), "llama", "/u.slice/x,task_memcg=/v"),
        (record("/u.slice/x", around="/u.slice/x", cpuset="y,task_memcg="), "llama", "/u.slice/x"),
    ],
)
def test_the_group_is_the_whole_path(line: str, process: str, group: str) -> None:
    event = parse_line(line)
    assert (event["process"], event["task_memcg"]) == (process, group)


def test_a_record_that_was_cut_names_no_group() -> None:
    assert "task_memcg" not in parse_line(record(f"/u/{'x' * 900},task_memcg={OURS}").partition(",task=")[0])
