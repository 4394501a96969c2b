# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Services that are processes with PID files: a real llama-server, and programs that misbehave."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import threading
import time
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest
from ansible_collections.autoglm.recovery.plugins.module_utils.health.probe import read_service
from ansible_collections.autoglm.recovery.plugins.module_utils.host.unread import Unread
from ansible_collections.autoglm.recovery.plugins.module_utils.leftovers import processes, selection
from ansible_collections.autoglm.recovery.plugins.module_utils.services import acting, process
from ansible_collections.autoglm.recovery.plugins.module_utils.services.pid_file import PidFileService
from ansible_collections.autoglm.recovery.plugins.module_utils.services.protocol import ServiceError
from ansible_collections.autoglm.recovery.plugins.module_utils.services.spawn import SpawnCommand

from tests.support.servers import llama
from tests.support.servers.freezing import freeze
from tests.support.servers.ports import free_port
from tests.support.servers.waiting import until

DEAF = ("/bin/sh", "-c", "trap '' TERM; while :; do sleep 0.1; done")
PROC = Path("/proc")


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """What ends at once in these tests needs no second for it."""
    monkeypatch.setattr(acting, "SETTLE_SECONDS", 0.3)


@pytest.fixture
def service(pid_path: str, tmp_path: Path) -> Callable[..., PidFileService]:
    """A service of this command, with a log."""

    def make(*argv: str, **more) -> PidFileService:
        return PidFileService(pid_path, SpawnCommand(argv, log_file=str(tmp_path / "service.log"), **more), 5.0)

    return make


@pytest.fixture
def stranger():
    """Somebody else's process."""
    with subprocess.Popen(["sleep", "1000"]) as sleeper:
        yield sleeper
        sleeper.kill()


def test_a_real_server_is_started_serves_and_stops(service, pid_path: str) -> None:
    port = free_port()
    chroot, *rest = llama.command(port)
    one = service(f"/usr/sbin/{chroot}", *rest)
    status = acting.start(one, 10)
    assert Path(pid_path).read_text() == f"{status.main_pid}\n"
    assert stat.S_IMODE(os.stat(pid_path).st_mode) == 0o644
    until("it to serve", lambda: _serves(port))
    assert "llama" in one.logs(500).text
    assert os.getsid(status.main_pid) == status.main_pid
    stopped = acting.stop(one, 20, True)
    assert stopped.by == "SIGTERM"
    assert (one.status().state, os.path.exists(pid_path)) == ("stopped", False)


def test_a_server_that_waits_for_its_clients_is_killed_when_its_time_is_over(service) -> None:
    """llama.cpp does not end on SIGTERM while a request is under way."""
    port = free_port()
    chroot, *rest = llama.command(port)
    one = service(f"/usr/sbin/{chroot}", *rest)
    acting.start(one, 10)
    url = f"http://127.0.0.1:{port}"
    until("it to serve", lambda: _serves(port))
    threading.Thread(target=_long_request, args=(url,), daemon=True).start()
    until("the request", lambda: "llamacpp:requests_processing 1" in httpx.get(f"{url}/metrics").text)
    assert acting.stop(one, 1.0, True).by == "SIGKILL"
    assert one.status().process_gone


def _long_request(url: str) -> None:
    try:
        httpx.post(f"{url}/completion", json={"prompt": "a", "n_predict": 7000, "ignore_eos": True}, timeout=60)
    except httpx.HTTPError:
        return  # the server dies under it


def _serves(port: int) -> bool:
    try:
        return httpx.get(f"http://127.0.0.1:{port}/health", timeout=1, trust_env=False).is_success
    except httpx.HTTPError:
        return False


def test_a_start_beside_a_running_process_starts_nothing(service) -> None:
    one = service(*DEAF)
    first = acting.start(one, 5).main_pid
    threads = [threading.Thread(target=acting.start, args=(one, 5)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert one.status().main_pid == first
    marks = process.marks(PROC, [int(entry.name) for entry in PROC.iterdir() if entry.name.isdigit()], 5.0)
    leaders = [pid for pid, mark in marks.items() if mark == f"{one.name}:{pid}"]
    assert leaders == [first]


def test_what_stands_still_is_stopped_all_the_same(service) -> None:
    one = service(*DEAF)
    pid = acting.start(one, 5).main_pid
    freeze(pid)
    until("it to stand still", lambda: one.status().process_state == "T")
    assert acting.stop(one, 0.3, True).by == "SIGKILL"
    assert not os.path.exists(f"/proc/{pid}") or process.state_of(PROC, pid) == "Z"


def test_workers_go_with_their_server(service) -> None:
    one = service("/bin/sh", "-c", "setsid sleep 7177 & sleep 7178 & trap 'exit 0' TERM; while :; do sleep 0.1; done")
    acting.start(one, 5)
    workers = [pid for pid in (_pid_of("7177"), _pid_of("7178")) if pid]
    assert len(workers) == 2
    assert acting.stop(one, 10, True).by == "SIGTERM"
    assert [pid for pid in workers if process.state_of(PROC, pid) not in (None, "Z")] == []


def test_workers_of_a_server_that_crashed_are_leftovers_and_nobody_else_is(service, stranger) -> None:
    one = service("/bin/sh", "-c", "sleep 7179 & wait")
    pid = acting.start(one, 5).main_pid
    os.kill(pid, signal.SIGKILL)
    until("its end", lambda: one.status().process_gone)
    ownership = one.ownership()
    found = selection.select(processes.read(PROC, ownership, 5.0), ownership)
    assert [worker.pid for worker in found.own if worker.pid != pid] == [_pid_of("7179")]
    (worker,) = (worker for worker in found.own if worker.pid != pid)
    assert processes.end(worker, ownership, 5.0)
    assert stranger.poll() is None


def _pid_of(argument: str) -> int | None:
    for entry in PROC.iterdir():
        if entry.name.isdigit():
            try:
                if (entry / "cmdline").read_bytes() == f"sleep\0{argument}\0".encode():
                    return int(entry.name)
            except OSError:
                continue
    return None


def test_kill_9_is_a_crash(service) -> None:
    one = service(*DEAF)
    os.kill(acting.start(one, 5).main_pid, signal.SIGKILL)
    until("its end", lambda: one.status().process_gone)
    status = read_service(one, 10.0)
    assert (status.state, status.oom, status.end.clean) == ("failed", False, None)


def test_want_of_memory_is_told_by_the_number(service, memory_group: Path) -> None:
    greedy = "echo $$ > $GROUP/cgroup.procs; sleep 1.5; x=a; while :; do x=$x$x; done"
    one = service("/bin/sh", "-c", greedy, environment={"GROUP": str(memory_group)})
    pid = acting.start(one, 5).main_pid
    until("its end", lambda: one.status().process_gone)
    status = until("the evidence", lambda: seen if (seen := read_service(one, 10.0)).oom else None)
    assert f"ended process {pid} (sh), the service's main process" in " ".join(status.oom_evidence)


def test_a_number_that_has_gone_to_another_program_is_nobodys_to_stop(service, stranger, pid_path: str) -> None:
    """The file is from yesterday; since then the number was given away."""
    Path(pid_path).write_text(f"{stranger.pid}\n")
    os.utime(pid_path, (time.time() - 86400, time.time() - 86400))
    one = service(*DEAF)
    status = one.status()
    assert (status.readable, status.state, status.main_pid) == (True, "failed", None)
    assert "gone to another program" in status.detail
    assert acting.stop(one, 0, True).by == ""
    assert stranger.poll() is None
    assert acting.start(one, 5).main_pid != stranger.pid


def test_the_same_program_behind_an_older_file_is_a_doubt_and_stays_untouched(service, stranger, pid_path: str) -> None:
    Path(pid_path).write_text(f"{stranger.pid}\n")
    os.utime(pid_path, (time.time() - 86400, time.time() - 86400))
    one = service("/bin/sleep", "1000")
    assert not one.status().readable
    for act in (lambda: acting.stop(one, 0, True), lambda: acting.start(one, 1)):
        with pytest.raises(ServiceError, match="was the clock set"):
            act()
    assert stranger.poll() is None


def test_a_clock_that_was_set_back_does_not_hide_our_own_process(service, pid_path: str) -> None:
    one = service(*DEAF)
    pid = acting.start(one, 5).main_pid
    os.utime(pid_path, (time.time() - 86400, time.time() - 86400))  # as the file looks after a leap of the clock
    assert one.status().main_pid == pid


@pytest.mark.parametrize("text", ["", "0\n", "1\n", "-5\n", "abc\n", "99999999\n", "12 34\n", "\0\n", "4194305"])
def test_rubbish_is_unknown_and_starts_nothing(service, pid_path: str, text: str) -> None:
    Path(pid_path).write_text(text)
    one = service(*DEAF)
    assert not one.status().readable
    with pytest.raises(ServiceError, match="no process's number"):
        acting.start(one, 1)
    assert Path(pid_path).read_text() == text


@pytest.mark.parametrize("kind", ["a directory", "a pipe", "writable by anybody"])
def test_a_file_that_is_none_or_everybodys_is_unknown(service, pid_path: str, kind: str) -> None:
    path = Path(pid_path)
    if kind == "a directory":
        path.mkdir()
    elif kind == "a pipe":
        os.mkfifo(path)  # opening it must not wait for a writer
    else:
        path.write_text("4711\n")
        path.chmod(0o666)
    assert not service(*DEAF).status().readable


def test_a_file_of_another_user_cannot_have_us_end_a_process(service, stranger, pid_path: str) -> None:
    Path(pid_path).write_text(f"{stranger.pid}\n")
    os.chown(pid_path, 65534, 65534)
    with pytest.raises(ServiceError, match="whoever may write the file"):
        acting.stop(service(*DEAF), 0, True)
    assert stranger.poll() is None


@pytest.mark.parametrize(
    ("argv", "more", "reason"),
    [
        (("/bin/false",), {}, "ended at once"),
        (("/bin/sh", "-c", "echo no such model >&2; exit 3"), {}, "no such model"),
        (("/no/such/program",), {}, "its program cannot be run: No such file"),
        (("llama-server",), {}, "absolute path"),
        ((), {}, "absolute path"),
        (DEAF, {"user": "no-such-user"}, "this host has no user"),
        (DEAF, {"working_dir": "/no/such/place"}, "cannot be entered"),
    ],
)
def test_a_start_that_fails_says_why(service, argv, more, reason: str) -> None:
    with pytest.raises(ServiceError, match=reason):
        acting.start(service(*argv, **more), 5)


@pytest.mark.parametrize("where", ["the PID file", "the log"])
def test_a_place_that_cannot_be_written_starts_nothing(tmp_path: Path, where: str) -> None:
    missing = str(tmp_path / "no" / "x")
    pid_file = missing if where == "the PID file" else str(tmp_path / "x.pid")
    log_file = missing if where == "the log" else None
    with pytest.raises(ServiceError, match=r"cannot be (used|written)"):
        acting.start(PidFileService(pid_file, SpawnCommand(DEAF, log_file=log_file), 2.0), 2)
    assert list(tmp_path.iterdir()) == []


def test_it_has_its_own_environment_user_place_and_files(service, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setenv("OF_ANSIBLE", "1")
    tmp_path.chmod(0o755)
    program = (
        'echo "user $(id -u) in $(pwd) umask $(umask) variables" $(env | cut -d= -f1); while :; do sleep 0.1; done'
    )
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})  # as a careless parent would have it
    try:
        one = service("/bin/sh", "-c", program, user="nobody", working_dir="/usr", environment={"HF_HOME": "/m"})
        pid = acting.start(one, 5).main_pid
    finally:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})
    told = until("its word", lambda: one.logs(5).text)
    assert told.startswith("user 65534 in /usr umask 0022 variables ")
    variables = set(told.partition("variables")[2].split()) - {"PWD", "OLDPWD", "SHLVL", "_"}  # these are the shell's
    assert variables == {"AUTOGLM_SERVICE", "HF_HOME", "HOME", "LANG", "LOGNAME", "PATH", "USER"}
    assert {"0", "1", "2"} == set(os.listdir(f"/proc/{pid}/fd"))
    assert os.stat(tmp_path / "service.log").st_uid == 65534
    assert acting.stop(one, 5, True).by == "SIGTERM"


def test_a_log_that_is_a_pipe_without_a_reader_hangs_nothing(pid_path: str, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "log")
    with pytest.raises(ServiceError, match="cannot be written"):
        acting.start(PidFileService(pid_path, SpawnCommand(DEAF, log_file=str(tmp_path / "log")), 2.0), 2)


def test_without_a_log_file_there_is_no_log(pid_path: str) -> None:
    with pytest.raises(Unread, match="no log_file"):
        PidFileService(pid_path, SpawnCommand(DEAF), 1.0).logs(1)
