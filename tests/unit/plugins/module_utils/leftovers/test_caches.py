# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A cache is emptied; nothing outside of it, and nothing that is not one, is touched."""

from __future__ import annotations

import contextlib
import errno
import gc
import os
import resource
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from ansible_collections.autoglm.recovery.plugins.module_utils.host import paths
from ansible_collections.autoglm.recovery.plugins.module_utils.leftovers import caches
from hypothesis import given
from hypothesis import strategies as st


@pytest.mark.parametrize(
    "path",
    ["", "/", ".", "cache", "/etc", "/var/lib", "/var/cache/", "/dev/shm", "/home", "/root", "/usr/lib", "//x/y",
     "/a/../etc/x", "/var/cache/vllm/..", "/var/cache/./", "/tmp", "/tmp/."],
)  # fmt: skip
def test_paths_that_are_refused(path: str) -> None:
    assert caches.refuse(path)
    with pytest.raises(ValueError, match=r"."):
        caches.empty(path, False)


@given(st.text(alphabet="/.ab", max_size=10))
def test_whatever_is_taken_is_deep_and_without_dots(path: str) -> None:
    if not caches.refuse(path):
        assert path.startswith("/")
        assert len(Path(path).parts) >= 3
        assert ".." not in path.split("/")


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    directory = tmp_path / "cache"
    (directory / "sub").mkdir(parents=True)
    (directory / "sub" / "graph").write_text("12345")
    (directory / "file").write_text("123")
    (tmp_path / "precious").write_text("keep")
    (directory / "link").symlink_to(tmp_path / "precious")
    (directory / "linked-dir").symlink_to(tmp_path)
    return directory


def test_the_content_goes_and_the_rest_stays(cache: Path) -> None:
    done = caches.empty(str(cache), False)
    assert sorted(Path(path).name for path in done.removed) == ["file", "link", "linked-dir", "sub"]
    assert done.freed >= 8
    assert list(cache.iterdir()) == []
    assert (cache.parent / "precious").read_text() == "keep"


def test_check_mode_removes_nothing(cache: Path) -> None:
    assert len(caches.empty(str(cache), True).removed) == 4
    assert len(list(cache.iterdir())) == 4


def test_a_path_through_a_link_is_left(cache: Path) -> None:
    through = cache.parent / "other"
    through.symlink_to(cache)
    done = caches.empty(str(through), False)
    assert done.removed == []
    assert "through a link" in done.left[0]
    assert len(list(cache.iterdir())) == 4


def test_a_cache_that_is_not_there_is_empty(tmp_path: Path) -> None:
    assert caches.empty(str(tmp_path / "absent"), False) == caches.EmptiedCaches()


def test_another_file_system_inside_is_left(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(caches, "_measure_entry", lambda *_arguments: (0, "/mounted"))
    done = caches.empty(str(cache), False)
    assert done.removed == []
    assert all("another file system" in left for left in done.left)


@contextlib.contextmanager
def nested(place: Path, levels: int) -> Iterator[None]:
    """A directory with that many in each other; pytest itself could not remove them."""
    place.mkdir()
    around = os.open(place, os.O_RDONLY)
    for _level in range(levels):
        os.mkdir("d", dir_fd=around)
        inside = os.open("d", os.O_RDONLY, dir_fd=around)
        os.close(around)
        around = inside
    os.close(around)
    try:
        yield
    finally:
        subprocess.run(["rm", "-rf", place], check=True)


@contextlib.contextmanager
def descriptors(most: int) -> Iterator[None]:
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(most, before[1]), before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)


# With 1500 levels the stack ends first up to Python 3.11, else the descriptors do.
@pytest.mark.parametrize(("levels", "most"), [(1500, 1400), (400, 300)])
@pytest.mark.parametrize("dry_run", [True, False])
def test_what_is_nested_too_deeply_is_left_and_told(cache: Path, levels: int, most: int, dry_run: bool) -> None:
    with nested(cache / "deep", levels), descriptors(most):
        done = caches.empty(str(cache), dry_run)
        assert sorted(Path(path).name for path in done.removed) == ["file", "link", "linked-dir", "sub"]
        (left,) = done.left
        assert left.startswith(f"{cache}/deep: ")
        assert "nested too deeply" in left or "Too many open files" in left


@pytest.mark.parametrize(("levels", "most"), [(1500, 1400), (400, 300)])
def test_a_tree_that_is_nested_too_deeply_is_an_error_of_the_system(tmp_path: Path, levels: int, most: int) -> None:
    with nested(tmp_path / "deep", levels), descriptors(most):
        around = os.open(tmp_path, os.O_RDONLY)
        own = os.open("deep", os.O_RDONLY, dir_fd=around)
        before = len(os.listdir("/proc/self/fd"))
        try:
            for remove in (lambda: paths.remove_below(around, "deep"), lambda: paths.remove_open(own, around, "deep")):
                with pytest.raises(OSError, match=r"nested too deeply|Too many open files") as refused:
                    remove()
                assert refused.value.errno in (errno.ELOOP, errno.EMFILE)
            gc.collect()
            assert len(os.listdir("/proc/self/fd")) == before
        finally:
            os.close(own)
            os.close(around)
