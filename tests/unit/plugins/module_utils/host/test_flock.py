# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whoever holds a lock that root waits for is named, and root does not wait without end."""

from __future__ import annotations

import fcntl
import os
import re
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from ansible_collections.autoglm.recovery.plugins.module_utils.balancers import lock
from ansible_collections.autoglm.recovery.plugins.module_utils.checkpoints.local_store import LocalStore
from ansible_collections.autoglm.recovery.plugins.module_utils.checkpoints.restoring import RestoreTarget, restore
from ansible_collections.autoglm.recovery.plugins.module_utils.checkpoints.saving import SaveRequest, save
from ansible_collections.autoglm.recovery.plugins.module_utils.fencing import mark
from ansible_collections.autoglm.recovery.plugins.module_utils.host import flock, paths
from ansible_collections.autoglm.recovery.plugins.module_utils.locks import holding, host_lock
from ansible_collections.autoglm.recovery.plugins.module_utils.services import spawn

from tests.support.checkpoints import builders

SERVICE_USER = 12345
ROUNDS = 2000

only_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root becomes another user")


@contextmanager
def locked_by_another(path: Path) -> Iterator[int]:
    """Have the service's user hold the lock of what is open for reading, which is enough. Give the process' number."""
    read, write = os.pipe()
    opened = os.open(path, os.O_RDONLY)  # pytest's own directories let nobody through
    child = os.fork()
    if child == 0:
        try:
            os.setuid(SERVICE_USER)
            fcntl.flock(opened, fcntl.LOCK_EX)
            os.write(write, b"x")
            signal.pause()
        finally:
            os._exit(1)
    os.close(opened)
    os.close(write)
    try:
        assert os.read(read, 1) == b"x"
        yield child
    finally:
        os.close(read)
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)


def start_service(place: Path) -> None:
    with spawn.alone(str(place), 0.2):
        pass


def take_pool(place: Path) -> None:
    with lock.exclusively("pool", str(place), 0.2):
        pass


def take_host(place: Path) -> None:
    holder = holding.Holder("run", "a", "node-a", None, 0.0, host_lock.now() + 60, "boot", {})
    host_lock.take(holder, None, str(place))
    host_lock.release("run", str(place))


def show_token(place: Path) -> None:
    mark.show(place, mark.ShownToken("node-a", None, 5))


def keep(place: Path) -> None:
    save(LocalStore(place / "store"), SaveRequest("m", builders.safetensors_file(place / "m.safetensors")))


def bring_back(place: Path) -> None:
    if not (place / "store").exists():
        keep(place)
    restore(LocalStore(place / "store"), "m", RestoreTarget(place / "back/model"), None)


@only_root
@pytest.mark.parametrize(
    ("work", "locked"),
    [
        (start_service, lambda place: next(place.glob("start-*.lock"))),
        (take_pool, lambda place: next(place.glob("*.lock"))),
        (take_host, lambda place: place / host_lock._GUARD),
        (show_token, lambda place: next(place.glob("*.lock"))),
        (bring_back, lambda place: next(path for path in (place / "store/m").iterdir() if path.is_dir())),
    ],
)
def test_root_waits_for_no_lock_without_end_and_names_who_holds_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, work: Callable[[Path], None], locked: Callable[[Path], Path]
) -> None:
    monkeypatch.setattr(flock, "SECONDS", 0.2)
    monkeypatch.setattr(flock, "DIRECTORY", str(tmp_path))
    (tmp_path / "back").mkdir()
    work(tmp_path)  # makes what is locked then
    (tmp_path / "back/model").unlink(missing_ok=True)
    with locked_by_another(locked(tmp_path)) as holder, pytest.raises(Exception) as raised:  # noqa: PT011 - each its own
        work(tmp_path)
    assert re.search(rf"locked for 0\.2 s by process {holder} \('.+' of user {SERVICE_USER}\)", str(raised.value))
    work(tmp_path)


@only_root
@pytest.mark.parametrize(
    ("work", "locked"),
    [(start_service, "service"), (keep, "service/store"), (keep, "service/store/m"), (bring_back, "service/back")],
)
def test_a_directory_that_others_may_list_and_lock_is_not_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, work: Callable[[Path], None], locked: str
) -> None:
    monkeypatch.setattr(flock, "SECONDS", 0.2)
    monkeypatch.setattr(flock, "DIRECTORY", str(tmp_path / "locks"))
    place = tmp_path / "service"
    (place / "back").mkdir(parents=True)
    keep(place)
    with locked_by_another(tmp_path / locked):
        work(place)


def test_what_is_made_is_never_taken_for_what_a_killed_process_left(tmp_path: Path) -> None:
    """Makers and a cleaner at once: whoever has been given a directory keeps it, and its name."""
    place = os.open(tmp_path, os.O_RDONLY)
    cleaner = os.fork()
    if cleaner == 0:
        try:
            while True:
                for name in os.listdir(place):
                    dead = flock.try_directory(place, name)
                    if dead is not None:
                        paths.remove_open(dead, place, name)
                        os.close(dead)
        finally:
            os._exit(1)
    try:
        for number in range(ROUNDS):
            own = flock.make_directory(place, f"draft-{number}", "draft")
            assert paths.is_at(own, place, f"draft-{number}")
            os.close(own)
    finally:
        os.kill(cleaner, signal.SIGKILL)
        os.waitpid(cleaner, 0)
        os.close(place)


def test_who_only_waits_for_a_lock_is_not_named(tmp_path: Path) -> None:
    """Lines as proc_locks(5) has them; the second one is of who waits, the last of another PID namespace."""
    about = tmp_path.stat()
    at = f"{os.major(about.st_dev):02x}:{os.minor(about.st_dev):02x}:{about.st_ino}"
    (tmp_path / "locks").write_text(
        f"1: FLOCK  ADVISORY  WRITE 71 {at} 0 EOF\n"
        f"1: -> FLOCK  ADVISORY  WRITE 72 {at} 0 EOF\n"
        f"2: POSIX  ADVISORY  WRITE 73 {at} 0 EOF\n"
        f"3: FLOCK  ADVISORY  READ 74 {at}0 0 EOF\n"
        f"4: FLOCK  ADVISORY  READ 0 {at} 0 EOF\n"
        "5: FLOCK  ADVISORY  READ x y z\n5:\n\n"
    )
    (tmp_path / "71").mkdir()
    (tmp_path / "71/comm").write_bytes(b"a\x1b[31m\n")
    descriptor = os.open(tmp_path, os.O_RDONLY)
    try:
        assert re.fullmatch(r"process 71 \('a\\x1b\[31m' of user \d+\)", flock.holders(descriptor, tmp_path))
        assert "does not name" in flock.holders(descriptor, tmp_path / "nowhere")
    finally:
        os.close(descriptor)
