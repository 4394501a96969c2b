# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who may act on a host: the decisions, and the files that keep them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from ansible_collections.autoglm.recovery.plugins.module_utils.locks import holding, host_lock
from ansible_collections.autoglm.recovery.plugins.module_utils.locks.holding import Holder, HostNow
from hypothesis import given
from hypothesis import strategies as st

ALICE = Holder("a", "alice on ops-1", "node-a", None, 1.0, 100.0, "boot", {"pid": 1})
BOB = replace(ALICE, run="b", who="bob on ops-2")
INCIDENT = replace(ALICE, run="i", who="incident 7", token=5)
NOW = HostNow(50.0, "boot", False)


@pytest.mark.parametrize(
    ("held", "asking", "moment", "ended", "refused"),
    [
        (None, BOB, NOW, None, False),
        (ALICE, ALICE, NOW, None, False),
        (ALICE, BOB, NOW, None, True),
        (ALICE, INCIDENT, NOW, None, True),
        (INCIDENT, ALICE, NOW, None, True),
        # Over by time, by the process' end, or by a boot.
        (ALICE, BOB, replace(NOW, now=100.0), None, False),
        (ALICE, BOB, NOW, "a", False),
        (ALICE, BOB, NOW, "another", True),
        (ALICE, BOB, replace(NOW, boot="next"), None, False),
        # Its last task has not ended.
        (ALICE, BOB, replace(NOW, now=100.0, at_work=True), None, True),
        (ALICE, BOB, replace(NOW, at_work=True), "a", True),
        # A newer run of the receivers on the same target, and no other.
        (INCIDENT, replace(INCIDENT, run="j", token=6), replace(NOW, at_work=True), None, False),
        (INCIDENT, replace(INCIDENT, run="j", token=5), NOW, None, True),
        (INCIDENT, replace(INCIDENT, run="j", token=4), NOW, None, True),
        (INCIDENT, replace(INCIDENT, run="j", token=6, host="also-node-a"), NOW, None, True),
    ],
)
def test_who_may_take_the_host(
    held: Holder | None, asking: Holder, moment: HostNow, ended: str | None, refused: bool
) -> None:
    assert (holding.why_not(held, asking, moment, ended) is not None) == refused


def test_who_has_lost_it() -> None:
    assert holding.why_lost(ALICE, ALICE) is None
    assert "bob on ops-2 has taken it over" in str(holding.why_lost(BOB, ALICE))
    assert "nobody holds it any more" in str(holding.why_lost(None, ALICE))


@given(
    held=st.builds(replace, st.just(ALICE), until=st.floats(0, 200), token=st.none() | st.integers(1, 9)),
    token=st.none() | st.integers(1, 9),
    now=st.floats(0, 200),
    at_work=st.booleans(),
)
def test_nobody_is_put_out_while_its_lease_stands(held: Holder, token: int | None, now: float, at_work: bool) -> None:
    """But by a newer run of a receiver."""
    taken = holding.why_not(held, replace(BOB, token=token), HostNow(now, "boot", at_work), None) is None
    newer = token is not None and held.token is not None and token > held.token
    assert taken == (newer or (now >= held.until and not at_work))


def asks(run: str, seconds: float = 100.0, token: int | None = None) -> Holder:
    return Holder(run, f"{run} on ops", "node-a", token, 1.0, host_lock.now() + seconds, host_lock.boot(), {"pid": 1})


def test_one_at_a_time(tmp_path: Path) -> None:
    place = str(tmp_path / "locks")
    assert host_lock.take(asks("a"), directory=place) is None
    assert host_lock.take(asks("a"), directory=place) is not None
    with pytest.raises(host_lock.HostHeld, match="a on ops holds it") as refused:
        host_lock.take(asks("b"), directory=place)
    assert refused.value.holder is not None
    assert refused.value.holder.process == {"pid": 1}
    assert not host_lock.release("b", place)
    host_lock.keep(asks("a"), place)
    assert host_lock.release("a", place)
    with pytest.raises(host_lock.HostHeld, match="nobody holds it any more"):
        host_lock.keep(asks("a"), place)
    host_lock.take(asks("b"), directory=place)


def test_looking_takes_and_makes_nothing(tmp_path: Path) -> None:
    place = str(tmp_path / "locks")
    host_lock.take(asks("a"), directory=place, dry=True)
    assert not Path(place).exists()
    host_lock.take(asks("a"), directory=place)
    with pytest.raises(host_lock.HostHeld):
        host_lock.take(asks("b"), directory=place, dry=True)


def test_a_frozen_run_finds_that_it_was_overtaken(tmp_path: Path) -> None:
    host_lock.take(asks("frozen", seconds=-1), directory=str(tmp_path))
    host_lock.take(asks("b"), directory=str(tmp_path))
    with pytest.raises(host_lock.HostHeld, match="b on ops has taken it over"):
        host_lock.keep(asks("frozen"), str(tmp_path))


def test_a_task_that_outlives_its_run_is_waited_for(tmp_path: Path) -> None:
    """A killed run leaves the module that it was in; what that starts does not count as at work."""
    program = f"""
import subprocess, sys
from ansible_collections.autoglm.recovery.plugins.module_utils.locks import host_lock
host_lock.at_work({str(tmp_path)!r})
started = subprocess.Popen(["sleep", "600"], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
print(started.pid, flush=True)
sys.stdin.read()
"""
    host_lock.take(asks("killed"), directory=str(tmp_path))
    task = subprocess.Popen([sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert task.stdin is not None
    assert task.stdout is not None
    started = int(task.stdout.readline())
    try:
        with pytest.raises(host_lock.HostHeld, match="one of its tasks is still at work"):
            host_lock.take(asks("b"), "killed", str(tmp_path))
        task.stdin.close()
        task.wait()
        host_lock.take(asks("b"), "killed", str(tmp_path))
    finally:
        os.kill(started, 9)


@pytest.mark.parametrize("text", ["", "{", "[]", '{"run": "a"}', "[" * 9000])
def test_a_record_that_cannot_be_read_is_no_free_host(tmp_path: Path, text: str) -> None:
    (tmp_path / "host").write_text(text)
    with pytest.raises(host_lock.HostLockUnusable, match="cannot be read"):
        host_lock.take(asks("a"), directory=str(tmp_path))


def test_a_directory_of_somebody_else_is_not_used(tmp_path: Path) -> None:
    (tmp_path / "open").mkdir(mode=0o777)
    (tmp_path / "open").chmod(0o777)
    (tmp_path / "open/link").symlink_to(tmp_path)
    for name in ("open", "open/link"):
        with pytest.raises(host_lock.HostLockUnusable):
            host_lock.take(asks("a"), directory=str(tmp_path / name))


def test_files_that_are_none_are_not_opened(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "host.guard")
    with pytest.raises(host_lock.HostLockUnusable, match="not a plain file"):
        host_lock.take(asks("a"), directory=str(tmp_path))
    (tmp_path / "host.guard").unlink()
    (tmp_path / "target").write_text(json.dumps({}))
    (tmp_path / "host").symlink_to(tmp_path / "target")
    with pytest.raises(host_lock.HostLockUnusable):
        host_lock.take(asks("a"), directory=str(tmp_path))


def test_nobody_else_may_hold_what_is_locked(tmp_path: Path) -> None:
    """Whoever may open a file, if only to read it, may flock it: every repair of this host would wait for him."""
    directory = tmp_path / "locks"
    host_lock.take(ALICE, directory=str(directory))
    script = f"from {host_lock.__name__} import at_work; at_work({str(directory)!r})"
    subprocess.run([sys.executable, "-c", script], check=True)
    locked = {path.name: path.stat().st_mode & 0o777 for path in directory.iterdir() if path.name != "host"}
    assert locked == {"host.guard": 0o600, "at_work": 0o600}
    (directory / "host.guard").chmod(0o644)  # as an earlier release made it
    host_lock.keep(ALICE, directory=str(directory))
    assert (directory / "host.guard").stat().st_mode & 0o777 == 0o600


def test_a_host_whose_kernel_does_not_say_which_boot_this_is_is_not_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asking = asks("one")
    monkeypatch.setattr(host_lock.clocks, "boot_id", lambda: None)
    with pytest.raises(host_lock.HostLockUnusable, match="which boot this is"):
        host_lock.take(asking, None, str(tmp_path))
    assert not (tmp_path / "host").exists()
