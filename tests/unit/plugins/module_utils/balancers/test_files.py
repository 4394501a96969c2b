# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Edits of a balancer's file: whole or not at all, and nobody's change is lost."""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from ansible_collections.autoglm.recovery.plugins.module_utils.balancers import files, lock
from ansible_collections.autoglm.recovery.plugins.module_utils.balancers.protocol import BalancerError
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st


def test_mode_owner_and_attributes_stay(tmp_path: Path) -> None:
    path = tmp_path / "f"
    path.write_text("old")
    path.chmod(0o640)
    os.chown(path, 1234, 1235) if os.geteuid() == 0 else None
    before = path.stat()
    files.edit(str(path), lambda content: content + b" and new")
    after = path.stat()
    assert path.read_text() == "old and new"
    assert (after.st_mode, after.st_uid, after.st_gid) == (before.st_mode, before.st_uid, before.st_gid)
    assert list(tmp_path.iterdir()) == [path]


def test_a_link_stays_a_link(tmp_path: Path) -> None:
    (tmp_path / "real").write_text("old")
    (tmp_path / "link").symlink_to("real")
    files.edit(str(tmp_path / "link"), lambda _content: b"new")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "real").read_text() == "new"


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    parts=st.lists(st.one_of(st.sampled_from(["eds", "..", ".", "link", "", "proc", "self"]), st.text()), max_size=6)
)
def test_whatever_a_balancer_names_only_what_is_declared_is_found(tmp_path: Path, parts: list[str]) -> None:
    (tmp_path / "eds").mkdir(exist_ok=True)
    if not (tmp_path / "eds/link").is_symlink():
        (tmp_path / "eds/link").symlink_to(tmp_path)
    for beginning in ("", "/", f"{tmp_path}/", f"{tmp_path}/eds/"):
        found = files.declared(beginning + "/".join(parts), {str(tmp_path / "eds"), "/e/llm.json"})
        assert found in {None, str(tmp_path / "eds"), "/e/llm.json"} or Path(found).parent == tmp_path / "eds"


def test_a_change_of_somebody_who_knows_no_lock_is_built_upon(tmp_path: Path) -> None:
    path = tmp_path / "f"
    path.write_text("1")
    others = iter([b"2", b"3"])

    def change(content: bytes) -> bytes:
        path.write_bytes(next(others, content))
        return content + b"!"

    files.edit(str(path), change)
    assert path.read_text() == "3!"


def test_who_is_always_overtaken_gives_up_and_says_so(tmp_path: Path) -> None:
    path = tmp_path / "f"
    path.write_text("x")

    def change(content: bytes) -> bytes:
        path.write_bytes(content + b"x")
        return b"mine"

    with pytest.raises(BalancerError, match="changed by somebody else"):
        files.edit(str(path), change)
    assert path.read_text().strip("x") == ""


def _count_up(path: str, folder: str, times: int) -> None:
    for _time in range(times):
        with lock.exclusively(path, folder):
            files.edit(path, lambda content: str(int(content) + 1).encode())


@pytest.mark.slow
def test_many_who_know_the_lock_lose_nothing(tmp_path: Path) -> None:
    path = tmp_path / "f"
    path.write_text("0")
    context = multiprocessing.get_context("spawn")
    workers = [context.Process(target=_count_up, args=(str(path), str(tmp_path), 25)) for _worker in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(60)
    assert path.read_text() == "100"


def test_a_killed_edit_leaves_one_whole_file(tmp_path: Path) -> None:
    path = tmp_path / "f"
    whole = {b"a" * 100_000, b"b" * 100_000}
    path.write_bytes(b"a" * 100_000)
    code = (
        "import sys; from ansible_collections.autoglm.recovery.plugins.module_utils.balancers import files\n"
        "while True: files.edit(sys.argv[1], lambda c: (b'b' if c[:1] == b'a' else b'a') * 100000)"
    )
    for _time in range(8):
        before = path.stat().st_ino
        process = subprocess.Popen([sys.executable, "-c", code, str(path)])
        deadline = time.monotonic() + 30
        while path.stat().st_ino == before and time.monotonic() < deadline:  # until it is at work
            assert path.read_bytes() in whole
        process.send_signal(signal.SIGKILL)
        process.wait()
        assert path.read_bytes() in whole
    files.edit(str(path), lambda _content: b"end")
    assert list(tmp_path.iterdir()) == [path]  # what a killed one left is gone


def test_a_full_disk_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "f"
    path.write_text("old")

    def full(_handle: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(files.os, "fsync", full)
    with pytest.raises(BalancerError, match="No space left"):
        files.edit(str(path), lambda _content: b"new")
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    ("name", "text"), [("a.json", "{"), ("a.yaml", "a: [1"), ("a.yml", "a: !!python/name:os.system x")]
)
def test_what_cannot_be_parsed_is_told(tmp_path: Path, name: str, text: str) -> None:
    with pytest.raises(BalancerError, match=name):
        files.parse(str(tmp_path / name), text.encode())


def test_comments_of_a_yaml_file_are_not_lost_in_silence() -> None:
    before = b"# written by hand\n---\n- targets: [a]\n"
    assert files.render("a.yml", [{"targets": ["b"]}], before) == b"# written by hand\n---\n- targets:\n  - b\n"
    with pytest.raises(BalancerError, match="comments in line 2"):
        files.render("a.yml", [], b"- a\n- b  # why\n")
    assert json.loads(files.render("a.json", {"ä": 1}, b"{}")) == {"ä": 1}


def test_a_lock_is_waited_for_and_not_for_ever(tmp_path: Path) -> None:
    with lock.exclusively("x", str(tmp_path)):
        with pytest.raises(BalancerError, match="another task has held"), lock.exclusively("x", str(tmp_path), 0.1):
            pass
        with lock.exclusively("y", str(tmp_path), 0.1):
            pass
    with lock.exclusively("x", str(tmp_path), 0.1):
        pass


def test_a_lock_that_is_a_link_is_not_followed(tmp_path: Path) -> None:
    with lock.exclusively("x", str(tmp_path)):
        name = next(tmp_path.iterdir())
    name.unlink()
    (tmp_path / "precious").write_text("x")
    name.symlink_to("precious")
    with pytest.raises(BalancerError, match="cannot be used"), lock.exclusively("x", str(tmp_path)):
        pass


def test_whose_file_it_is_decides_who_may_replace_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "f"
    path.write_text("{}")
    assert files.obstacles(str(path)) == []
    monkeypatch.setattr(os, "geteuid", lambda: path.stat().st_uid + 12345)
    (obstacle,) = files.obstacles(str(path))
    assert "could not give a new file" in obstacle.what
    assert "root" in obstacle.do
    assert list(tmp_path.iterdir()) == [path]


def test_a_lock_that_could_not_be_made_is_told_and_none_is_made(tmp_path: Path) -> None:
    assert lock.obstacles(str(tmp_path / "a/b")) == []
    tmp_path.chmod(0o777)
    (obstacle,) = lock.obstacles(str(tmp_path / "a/b"))
    assert "must belong to root" in obstacle.what
    (tmp_path / "f").write_text("")
    tmp_path.chmod(0o700)
    assert "Not a directory" in lock.obstacles(str(tmp_path / "f/locks"))[0].what
    assert [path.name for path in tmp_path.iterdir()] == ["f"]
