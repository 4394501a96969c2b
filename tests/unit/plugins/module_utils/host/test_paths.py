# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a service's user puts in root's way leads root nowhere, also while root is at work."""

from __future__ import annotations

import contextlib
import ctypes
import itertools
import mmap
import os
import pwd
import select
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from ansible_collections.autoglm.recovery.plugins.module_utils.balancers import files, lock, nginx_workers
from ansible_collections.autoglm.recovery.plugins.module_utils.balancers.haproxy_socket import RuntimeSocket
from ansible_collections.autoglm.recovery.plugins.module_utils.balancers.protocol import BalancerError
from ansible_collections.autoglm.recovery.plugins.module_utils.checkpoints import hook, trainer
from ansible_collections.autoglm.recovery.plugins.module_utils.checkpoints.local_store import LocalStore
from ansible_collections.autoglm.recovery.plugins.module_utils.checkpoints.problems import CheckpointError, Damaged
from ansible_collections.autoglm.recovery.plugins.module_utils.checkpoints.restoring import RestoreTarget, restore
from ansible_collections.autoglm.recovery.plugins.module_utils.checkpoints.saving import SaveRequest, save
from ansible_collections.autoglm.recovery.plugins.module_utils.evidence import bundle, retention
from ansible_collections.autoglm.recovery.plugins.module_utils.fencing import mark
from ansible_collections.autoglm.recovery.plugins.module_utils.gpu.nvlink import baseline as nvlink_baseline
from ansible_collections.autoglm.recovery.plugins.module_utils.host import paths
from ansible_collections.autoglm.recovery.plugins.module_utils.host.piece import Collected, Part, Piece
from ansible_collections.autoglm.recovery.plugins.module_utils.host.unread import Unread
from ansible_collections.autoglm.recovery.plugins.module_utils.leftovers import caches
from ansible_collections.autoglm.recovery.plugins.module_utils.locks import holding, host_lock
from ansible_collections.autoglm.recovery.plugins.module_utils.services import spawn
from ansible_collections.autoglm.recovery.plugins.module_utils.services.pid_file import PidFileService

from tests.support.checkpoints import builders

SERVICE_USER = 12345
ROUNDS = 2000

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root gives directories away")


@pytest.fixture
def theirs(tmp_path: Path) -> Path:
    """A directory of the service's user."""
    place = tmp_path / "theirs"
    place.mkdir()
    os.chown(place, SERVICE_USER, SERVICE_USER)
    return place


@pytest.fixture
def ours(tmp_path: Path) -> Path:
    """What nobody but root may read or change."""
    place = tmp_path / "ours"
    place.mkdir(mode=0o700)
    (place / "secret").write_text("secret")
    return place


def link(at: Path, to: Path | str) -> Path:
    """A link that the service's user has made."""
    at.symlink_to(to)
    os.chown(at, SERVICE_USER, SERVICE_USER, follow_symlinks=False)
    return at


@contextmanager
def swapping(place: Path, other: Path) -> Iterator[Callable[[], int]]:
    """Put a link to another directory in the place of one, and back, again and again; give how often that was."""
    aside = place.with_name(f"{place.name}.aside")
    stop, rounds = mmap.mmap(-1, 1), mmap.mmap(-1, 8)

    def swap() -> None:
        for number in itertools.count(1):
            with contextlib.suppress(OSError):
                os.rename(place, aside)
                os.symlink(other, place)
                os.chown(place, SERVICE_USER, SERVICE_USER, follow_symlinks=False)
            with contextlib.suppress(OSError):
                os.unlink(place)
            with contextlib.suppress(OSError):
                os.rename(aside, place)
            rounds[:] = number.to_bytes(8, "little")
            if stop[0]:
                os._exit(0)

    # A process of its own: two threads of one would wait for each other most of the time.
    child = os.fork()
    if child == 0:
        try:
            swap()
        finally:
            os._exit(1)
    try:
        yield lambda: int.from_bytes(rounds[:], "little")
    finally:
        stop[0] = 1
        assert os.waitpid(child, 0)[1] == 0


def test_roots_own_links_are_followed_and_no_others(theirs: Path, ours: Path) -> None:
    (ours / "link").symlink_to("secret-place")
    (ours / "secret-place").mkdir()
    os.close(paths.open_directory(str(ours / "link")))
    with pytest.raises(OSError, match="leads through the link"):
        paths.open_directory(str(ours / "link"), follow=False)
    for to in (ours, "../ours", "/proc/self/cwd"):
        name = link(theirs / "link", to)
        with pytest.raises(paths.UnsafePath, match="others than root"):
            paths.open_directory(str(name))
        name.unlink()
    # Also a link of root's own, where others may replace it.
    (theirs / "link").symlink_to(ours)
    with pytest.raises(paths.UnsafePath, match="others than root"):
        paths.open_file(str(theirs / "link/secret"))


def test_links_that_lead_in_a_circle_end(ours: Path) -> None:
    (ours / "a").symlink_to("b")
    (ours / "b").symlink_to("a")
    with pytest.raises(OSError, match="symbolic links"):
        paths.open_directory(str(ours / "a/x"))


def test_a_directory_of_ours_is_not_anothers_that_was_put_in_its_place(
    theirs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make, around = os.mkdir, os.open(theirs, os.O_RDONLY)

    def make_and_swap(name: str, mode: int = 0o777, *, dir_fd: int | None = None) -> None:
        make(name, mode, dir_fd=dir_fd)
        if name == "stage":
            (theirs / name).rename(theirs / "aside")
            (theirs / name).mkdir(mode=0o700)
            os.chown(theirs / name, SERVICE_USER, SERVICE_USER)

    monkeypatch.setattr(os, "mkdir", make_and_swap)
    with pytest.raises(paths.UnsafePath, match="was replaced"):
        paths.make_directory(around, "stage", "stage")
    os.close(around)


def test_a_directory_is_ours_where_groups_are_inherited_and_where_a_file_server_makes_root_another(
    theirs: Path,
) -> None:
    """setfsuid(2) does what root_squash does: what root makes belongs to somebody else."""
    theirs.chmod(0o2755)
    around, libc = os.open(theirs, os.O_RDONLY), ctypes.CDLL(None)
    os.close(paths.make_directory(around, "inherited", "inherited"))
    assert (theirs / "inherited").stat().st_mode & 0o7777 == 0o2700
    libc.setfsuid(SERVICE_USER)
    try:
        os.close(paths.make_directory(around, "squashed", "squashed"))
    finally:
        libc.setfsuid(0)
    assert (theirs / "squashed").stat().st_uid == SERVICE_USER
    assert list((theirs / "squashed").iterdir()) == []
    os.close(around)


def test_what_is_no_plain_file_is_never_opened_for_one(theirs: Path, ours: Path) -> None:
    os.mkfifo(theirs / "pipe")
    (theirs / "folder").mkdir()
    os.link(ours / "secret", theirs / "hard")
    link(theirs / "soft", ours / "secret")
    for name in ("pipe", "folder", "hard", "soft"):
        with pytest.raises(OSError):  # noqa: PT011 - each says its own
            paths.open_file(str(theirs / name))
    with pytest.raises(paths.UnsafePath, match="the kernel's own"):
        paths.open_file("/proc/version")
    with pytest.raises(paths.UnsafePath, match="not an absolute path"):
        paths.open_file("relative")


def test_a_pid_file_that_is_a_link_names_nobody(theirs: Path, ours: Path) -> None:
    (ours / "pid").write_text(f"{os.getpid()}\n")
    for at in (link(theirs / "s.pid", ours / "pid"), link(theirs / "way", ours) / "pid"):
        status = PidFileService(str(at), spawn.SpawnCommand(("/bin/true",)), 5.0).status()
        assert not status.readable


def test_a_log_that_is_a_link_is_not_read_and_not_written(theirs: Path, ours: Path) -> None:
    for at in (link(theirs / "log", ours / "secret"), link(theirs / "logs", ours) / "secret"):
        command = spawn.SpawnCommand(("/bin/true",), log_file=str(at))
        with pytest.raises(Unread):
            PidFileService(str(theirs / "s.pid"), command, 5.0).logs(10)
        with pytest.raises(Exception, match="log_file"):
            spawn.start(command, str(theirs / "s.pid"), 5.0)
    assert (ours / "secret").read_text() == "secret"


def test_a_pid_files_directory_that_is_swapped_leads_nowhere(theirs: Path, ours: Path) -> None:
    place = theirs / "run"
    place.mkdir()
    os.chown(place, SERVICE_USER, SERVICE_USER)
    (ours / "s.pid").write_text(f"{os.getpid()}\n")
    service = PidFileService(str(place / "s.pid"), spawn.SpawnCommand(("/bin/true",)), 5.0)
    with swapping(place, ours) as rounds:
        while rounds() < ROUNDS:
            assert service.status().main_pid is None


def test_a_cache_that_is_swapped_while_it_is_emptied_costs_nobody_else_anything(theirs: Path, ours: Path) -> None:
    cache = theirs / "cache"
    cache.mkdir()
    os.chown(cache, SERVICE_USER, SERVICE_USER)
    with swapping(cache, ours) as rounds:
        while rounds() < ROUNDS:
            with contextlib.suppress(OSError):
                (cache / "x").mkdir(exist_ok=True)
            caches.empty(str(cache), False)
    assert (ours / "secret").read_text() == "secret"


def test_a_directory_inside_of_a_cache_that_is_swapped_is_not_followed(theirs: Path, ours: Path) -> None:
    cache = theirs / "cache"
    inner = cache / "inner"
    inner.mkdir(parents=True)
    with swapping(inner, ours) as rounds:
        while rounds() < ROUNDS:
            caches.empty(str(cache), False)
            with contextlib.suppress(OSError):
                inner.mkdir()
    assert (ours / "secret").read_text() == "secret"


def test_a_stage_that_is_swapped_while_a_checkpoint_is_restored_leads_nowhere(
    tmp_path: Path, theirs: Path, ours: Path
) -> None:
    store = LocalStore(tmp_path / "store")
    save(store, SaveRequest("m", builders.hf_sharded(tmp_path / "model")))
    before, stop = sorted(ours.iterdir()), threading.Event()

    def swap() -> None:
        number = 0
        while not stop.is_set():
            for stage in theirs.glob(".autoglm-restore-*"):
                number += 1
                with contextlib.suppress(OSError):
                    stage.rename(theirs / f"aside-{number}")
                    link(stage, ours)

    thread = threading.Thread(target=swap)
    thread.start()
    try:
        for _again in range(30):
            with contextlib.suppress(CheckpointError):
                restore(store, "m", RestoreTarget(theirs / "model"), None)
    finally:
        stop.set()
        thread.join()
    assert sorted(ours.iterdir()) == before
    assert (ours / "secret").read_text() == "secret"


def test_a_restore_into_a_directory_of_others_follows_no_link(tmp_path: Path, theirs: Path, ours: Path) -> None:
    store = LocalStore(tmp_path / "store")
    save(store, SaveRequest("m", builders.hf_sharded(tmp_path / "model")))
    link(theirs / "way", ours)
    with pytest.raises(CheckpointError):
        restore(store, "m", RestoreTarget(theirs / "way/model"), None)
    assert [path.name for path in ours.iterdir()] == ["secret"]


@pytest.mark.parametrize("mode", [0o1777, 0o777, 0o775])
def test_a_directory_of_roots_that_others_may_write_in_is_no_place_for_a_lock(tmp_path: Path, mode: int) -> None:
    place = tmp_path / "shared"
    place.mkdir()
    place.chmod(mode)
    with pytest.raises(BalancerError, match="must belong to root"), lock.exclusively("pool", str(place)):
        pass
    assert not list(place.iterdir())
    # Below one like /tmp it may be: what root has made there nobody else takes away.
    if mode & 0o1000:
        with lock.exclusively("pool", str(place / "ours")):
            assert len(list((place / "ours").iterdir())) == 1


def test_the_lock_of_a_pool_is_not_where_any_user_can_make_it_first() -> None:
    assert lock.DIRECTORY.startswith("/run/autoglm/")


def take_pool(place: str) -> None:
    with lock.exclusively("pool", place):
        pass


def take_host(place: str) -> None:
    host_lock.take(holding.Holder("run", "a", "node-a", None, 0.0, host_lock.now() + 60, "boot", {}), None, place)


def show_token(place: str) -> None:
    mark.show(Path(place), mark.ShownToken("node-a", None, 5))


def keep_baseline(place: str) -> None:
    nvlink_baseline.save(Path(place), nvlink_baseline.Baseline({}))


@pytest.mark.parametrize(
    ("work", "refusal"),
    [
        (take_pool, BalancerError),
        (take_host, host_lock.HostLockUnusable),
        (show_token, mark.MarkUnreadable),
        (keep_baseline, OSError),
    ],
)
def test_locks_marks_and_baselines_are_not_kept_where_others_can_swap_their_directory(
    theirs: Path, ours: Path, work: Callable[[str], None], refusal: type[Exception]
) -> None:
    place = theirs / "place"
    place.mkdir()
    with swapping(place, ours) as rounds:
        while rounds() < ROUNDS:
            with pytest.raises(refusal):
                work(str(place))
    assert [path.name for path in ours.iterdir()] == ["secret"]
    assert not list(place.iterdir())


def test_a_baseline_that_others_could_have_written_is_of_no_use(theirs: Path) -> None:
    nvlink_baseline.save(theirs.parent, nvlink_baseline.Baseline({}))
    assert nvlink_baseline.load(theirs.parent, {}, 1.0).note is None
    (theirs / nvlink_baseline.FILE).write_bytes((theirs.parent / nvlink_baseline.FILE).read_bytes())
    assert "must belong to root" in (nvlink_baseline.load(theirs, {}, 1.0).note or "")


def test_a_log_of_one_line_of_a_gigabyte_is_read_from_its_end(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.touch()
    os.truncate(log, 2**30)
    with log.open("ab") as file:
        file.write(b"\nits last words\n")
    service = PidFileService(str(tmp_path / "s.pid"), spawn.SpawnCommand(("/bin/true",), log_file=str(log)), 5.0)
    assert service.logs(10).text == "its last words\n"


def test_a_balancers_file_whose_directory_is_swapped_leads_to_no_other(theirs: Path, ours: Path) -> None:
    place = theirs / "targets"
    place.mkdir()
    for folder, content in ((place, b"theirs 1"), (ours, b"ours")):
        (folder / "pool.json").write_bytes(content)
    seen = set()

    def change(content: bytes) -> bytes:
        seen.add(content)
        return b"theirs 2" if content == b"theirs 1" else b"theirs 1"

    with swapping(place, ours) as rounds:
        while rounds() < ROUNDS:
            with contextlib.suppress(BalancerError):
                files.edit(str(place / "pool.json"), change)
    assert (ours / "pool.json").read_bytes() == b"ours"
    assert [path.name for path in ours.iterdir() if path.name.startswith(".")] == []
    assert seen <= {b"theirs 1", b"theirs 2"}


def test_a_balancers_file_and_pid_file_are_no_links_of_others(theirs: Path, ours: Path) -> None:
    link(theirs / "pool.json", ours / "secret")
    with pytest.raises(BalancerError) as refused:
        files.edit(str(theirs / "pool.json"), lambda _content: b"x")
    assert refused.value.kind == "denied"
    (ours / "pid").write_text(f"{os.getpid()}\n")
    with pytest.raises(BalancerError, match="cannot be found"):
        nginx_workers.read(str(link(theirs / "nginx.pid", ours / "pid")))
    for no_number in ("5_0", "²", "-1", "9" * 60):
        (ours / "nginx.pid").write_text(no_number)
        with pytest.raises(BalancerError, match="holds no process number"):
            nginx_workers.read(str(ours / "nginx.pid"))
    (ours / "link").symlink_to("secret")
    assert files.real(str(ours / "link")) == str(ours / "secret")


def test_a_balancers_socket_whose_directory_is_swapped_leads_to_no_other(theirs: Path, ours: Path) -> None:
    place = theirs / "run"
    place.mkdir()
    with socket.socket(socket.AF_UNIX) as listener, socket.socket(socket.AF_UNIX) as another:
        for listening, folder in ((listener, place), (another, ours)):
            listening.bind(str(folder / "admin.sock"))
            listening.listen(64)
        answered = 0
        with swapping(place, ours) as rounds:
            while rounds() < ROUNDS or not answered:
                with contextlib.suppress(BalancerError):
                    RuntimeSocket(str(place / "admin.sock"), 0.001).ask("show info")
                if select.select([listener], [], [], 0)[0]:
                    listener.accept()[0].close()
                    answered += 1
        assert not select.select([another], [], [], 0)[0]
    (place / "admin.sock").unlink()
    link(place / "admin.sock", ours / "admin.sock")
    with pytest.raises(BalancerError, match="leads through the link"):
        RuntimeSocket(str(place / "admin.sock")).ask("show info")


@pytest.mark.parametrize("swapped", ["model", "model/parts"])
def test_a_source_that_is_swapped_while_a_checkpoint_is_saved_brings_in_nothing_else(
    tmp_path: Path, theirs: Path, ours: Path, swapped: str
) -> None:
    source = theirs / "model"
    (source / "parts").mkdir(parents=True)
    for folder in (source, source / "parts", ours):
        (folder / "secret").write_text("theirs" if folder != ours else "secret")
    # For a moment a link that swapping() makes is root's; in a directory of theirs that is no reason to follow it.
    os.chown(source, SERVICE_USER, SERVICE_USER)
    (ours / "parts").mkdir()
    (ours / "parts/secret").write_text("secret")
    store = LocalStore(tmp_path / "store")
    with swapping(theirs / swapped, ours) as rounds:
        while rounds() < ROUNDS:
            with contextlib.suppress(CheckpointError, Damaged, OSError):
                save(store, SaveRequest("m", source, format="files"))
    save(store, SaveRequest("m", source, format="files"))
    kept = {path.read_text() for path in (tmp_path / "store").rglob("secret")}
    assert kept == {"theirs"}
    with pytest.raises(Damaged, match="leads through the link"):
        save(store, SaveRequest("m", link(theirs / "way", ours) / "parts", format="files"))


def test_a_store_whose_directory_is_swapped_leads_nowhere(tmp_path: Path, theirs: Path, ours: Path) -> None:
    source = tmp_path / "model"
    source.mkdir()
    (source / "weights").write_text("weights")
    (ours / "m").mkdir()
    place = theirs / "store"
    place.mkdir()
    with swapping(place, ours) as rounds:
        while rounds() < ROUNDS:
            with contextlib.suppress(CheckpointError, Damaged, OSError):
                save(LocalStore(place), SaveRequest("m", source, format="files"))
    assert not list(ours.rglob("weights"))
    assert not list(ours.rglob("manifest.json"))
    with pytest.raises(CheckpointError, match="leads through the link"):
        save(LocalStore(link(theirs / "way", ours)), SaveRequest("m", source, format="files"))


def test_a_store_of_others_costs_nobody_else_anything(tmp_path: Path, theirs: Path, ours: Path) -> None:
    """Drafts, commits, removals and what killed saves left, while the directory of the series is swapped."""
    source = tmp_path / "model"
    source.mkdir()
    (source / "weights").write_text("weights")
    store, series = LocalStore(theirs), theirs / "m"
    first = save(store, SaveRequest("m", source, format="files"))
    os.chown(series, SERVICE_USER, SERVICE_USER)
    (ours / first.id / "files").mkdir(parents=True)
    (ours / ".draft-x").mkdir()
    before = sorted(ours.rglob("*"))
    with swapping(series, ours) as rounds:
        while rounds() < ROUNDS:
            with contextlib.suppress(CheckpointError, Damaged, OSError):
                save(store, SaveRequest("m", source, format="files"))
            with contextlib.suppress(CheckpointError, Damaged, OSError):
                for identity in store.ids("m"):
                    store.remove("m", identity)
            with contextlib.suppress(CheckpointError, OSError):
                store.leftovers("m", remove=True)
    assert sorted(ours.rglob("*")) == before


def test_a_workdir_of_others_is_no_way_out_of_it(tmp_path: Path, theirs: Path, ours: Path) -> None:
    place, before = theirs / "work", sorted(ours.rglob("*"))
    place.mkdir()
    os.chown(place, SERVICE_USER, SERVICE_USER)
    wrote = 0
    with swapping(place, ours) as rounds:
        while rounds() < ROUNDS or not wrote:
            with contextlib.suppress(CheckpointError), hook.workplace(place) as work:
                # As the command does, which is another process.
                assert work.given.parts[:3] == ("/", "proc", str(os.getpid()))
                (work.given / "weights").write_text("weights")
                assert (work.inside / "weights").read_text() == "weights"
                wrote += 1
    assert sorted(ours.rglob("*")) == before
    assert list(place.iterdir()) == []
    with hook.workplace(tmp_path) as work:
        assert work.given.parent.parent == tmp_path  # where nobody else can swap anything, it is a plain path


@pytest.mark.slow
def test_a_trainers_directory_that_is_swapped_shows_nothing_else(theirs: Path, ours: Path) -> None:
    run = theirs / "out/run-1"
    run.mkdir(parents=True)
    (run / "step-1.pt").write_text("x")
    for folder in (theirs / "out", run):
        os.chown(folder, SERVICE_USER, SERVICE_USER)
    (ours / "step-secret.pt").write_text("x")
    for pattern in ("run-*/*.pt", "**/*.pt"):
        source, seen = trainer.Source(theirs / "out", pattern), set()
        with swapping(run, ours) as rounds:
            while rounds() < ROUNDS:
                seen |= {path.name for path in source.entries()}
        assert seen == {"step-1.pt"}
    link(theirs / "out/run-2", ours)
    assert [path.name for path in source.entries()] == ["step-1.pt"]
    with pytest.raises(CheckpointError, match="leads through the link"):
        trainer.Source(link(theirs / "way", ours), "*").entries()


@pytest.mark.slow
def test_a_log_whose_directory_is_swapped_is_no_other_file(theirs: Path, ours: Path) -> None:
    place = theirs / "logs"
    place.mkdir()
    os.chown(place, SERVICE_USER, SERVICE_USER)
    for folder, text in ((place, "theirs\n"), (ours, "secret\n")):
        (folder / "s.log").write_text(text)
    command = spawn.SpawnCommand(("/bin/true",), log_file=str(place / "s.log"))
    service, seen = PidFileService(str(theirs / "s.pid"), command, 5.0), set()
    account = pwd.getpwuid(os.geteuid())
    with swapping(place, ours) as rounds:
        while rounds() < ROUNDS or not seen:
            with contextlib.suppress(Unread):
                seen.add(service.logs(10).text)
            for name in ("s.log", "new.log"):
                with contextlib.suppress(OSError):
                    os.close(spawn._open_log(str(place / name), account))
            with contextlib.suppress(OSError):
                (place / "new.log").unlink()
    assert seen == {"theirs\n"}
    assert sorted(path.name for path in ours.iterdir()) == ["s.log", "secret"]


@pytest.mark.slow
def test_a_place_that_is_swapped_while_a_checkpoint_is_restored_leads_nowhere(
    tmp_path: Path, theirs: Path, ours: Path
) -> None:
    source = tmp_path / "model"
    source.mkdir()
    store, place, kept = LocalStore(tmp_path / "store"), theirs / "place", []
    for content in ("one", "another"):
        (source / "weights").write_text(content)
        kept.append(save(store, SaveRequest("m", source, format="files")).id)
    place.mkdir()
    os.chown(place, SERVICE_USER, SERVICE_USER)
    (ours / "model").mkdir()
    (ours / ".autoglm-restore-model-0123456789ab").mkdir()
    before, restored = sorted(ours.rglob("*")), 0
    with swapping(place, ours) as rounds:
        for identity in itertools.cycle(kept):
            with contextlib.suppress(CheckpointError, Damaged, OSError):
                restored += restore(store, "m", RestoreTarget(place / "model"), None, identity).changed
            if rounds() >= ROUNDS and restored:
                break
    assert sorted(ours.rglob("*")) == before
    assert [path.name for path in place.iterdir()] == ["model"]


def write_bundle(dest: Path, number: int) -> bundle.FinishedBundle:
    parts = [Part("a.txt", lambda: Piece("", ""))]
    collected = Collected(b"evidence", 8, "test", ())
    head = {"host": "node-a", "taken_at": f"{number:09}"}
    return bundle.write(dest / f"inc-{number}", head, parts, bundle.BundleLimits(2**20, 60.0), lambda *_: collected)


def test_evidence_whose_directory_is_swapped_goes_nowhere_else(theirs: Path, ours: Path) -> None:
    dest = theirs / "evidence"
    dest.mkdir()
    os.chown(dest, SERVICE_USER, SERVICE_USER)
    with swapping(dest, ours) as rounds:
        for number in itertools.count():
            with contextlib.suppress(bundle.SnapshotError):
                written = write_bundle(dest, number)
                with contextlib.suppress(OSError):
                    retention.apply(dest, "node-a", 2, written.path)
            if rounds() >= ROUNDS:
                break
    assert [path.name for path in ours.iterdir()] == ["secret"]
    link(theirs / "way", ours)
    with pytest.raises(bundle.SnapshotError, match="leads through the link"):
        write_bundle(theirs / "way", 0)


def test_what_others_have_put_among_the_evidence_is_not_taken_for_it(theirs: Path, ours: Path) -> None:
    dest = theirs / "evidence"
    kept = write_bundle(dest, 1).path
    assert [each["text"] for each in bundle.excerpts(kept, 1000)] == ["evidence"]
    (kept / "a.txt").unlink()
    link(kept / "a.txt", ours / "secret")
    assert bundle.excerpts(kept, 1000) == []
    os.chown(kept / bundle.MANIFEST, SERVICE_USER, SERVICE_USER)
    assert bundle.read_manifest(kept) is None
