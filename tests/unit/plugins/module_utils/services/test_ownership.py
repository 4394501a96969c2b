# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Only what is provably a service's own is its own."""

from __future__ import annotations

import pytest
from ansible_collections.autoglm.recovery.plugins.module_utils.services.ownership import Ownership, own_group
from hypothesis import given
from hypothesis import strategies as st

ID = "9f986fd1092a1bc764369315e7586ce2aabb927a3b718e603f01ee2cd0fa0339"
CONTAINER = Ownership(container_id=ID)


@pytest.mark.parametrize(
    "group",
    [
        f"/libpod_parent/libpod-{ID}",
        f"/machine.slice/libpod-{ID}.scope/container",
        f"/docker/{ID}",
        f"/system.slice/docker-{ID}.scope",
    ],
)
def test_a_container_owns_what_is_in_its_group(group: str) -> None:
    assert CONTAINER.owns((group,))


@pytest.mark.parametrize(
    "group", [f"/machine.slice/libpod-conmon-{ID}.scope", f"/docker/{ID[:12]}", f"/docker/x{ID}", "/", "", ID[:-1]]
)
def test_nor_its_monitor_nor_what_is_named_alike(group: str) -> None:
    assert not CONTAINER.owns((group,))


def test_a_mark_is_the_whole_mark() -> None:
    own = Ownership(mark="/run/x.pid:77")
    assert own.owns((), "/run/x.pid:77")
    assert not own.owns(("/run/x.pid:77",), "")
    assert not own.owns((), "/run/x.pid:7")


@given(st.lists(st.text(max_size=12)), st.text(max_size=12))
def test_nothing_known_owns_nothing(groups: list[str], mark: str) -> None:
    assert not Ownership().owns(groups, mark)
    assert not Ownership(container_id=mark).owns(groups, "")


@pytest.mark.parametrize(
    ("text", "group"),
    [
        ("0::/system.slice/a.service\n", "/system.slice/a.service"),
        ("4:memory:/lab/a\n1:name=systemd:/system.slice/a.service\n0::/\n", "/system.slice/a.service"),
        ("4:memory:/lab/a\n1:name=systemd:/\n0::/\n", "/lab/a"),
        ("3:cpu,cpuacct:/b\n2:memory,hugetlb:/c\n", "/c"),
        ("0::/\n", "/"),
        ("", None),
    ],
)
def test_the_group_that_says_most(text: str, group: str | None) -> None:
    assert own_group(text) == group
