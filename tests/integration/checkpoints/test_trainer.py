# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A real trainer process that writes its checkpoint slowly when it is sent a signal, and commands that write one."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.autoglm.recovery.plugins.module_utils.checkpoints import operation, trainer
from ansible_collections.autoglm.recovery.plugins.module_utils.checkpoints.problems import CheckpointError
from ansible_collections.autoglm.recovery.plugins.module_utils.checkpoints.trainer import Source

from tests.support.checkpoints import builders

# Writes the header, waits, and writes the rest: in between the file is still, and not whole.
TRAINER = """
import os, signal, sys, time
place, content = sys.argv[1], open(sys.argv[2], "rb").read()
step = 0
asked = False
def handler(*_):
    global asked
    asked = True
signal.signal(signal.SIGUSR1, handler)
print("ready", flush=True)
while True:
    while not asked:
        time.sleep(0.01)
    asked, step = False, step + 1
    with open(f"{place}/step-{step}.safetensors", "wb") as file:
        half = len(content) // 2
        file.write(content[:half]); file.flush()
        time.sleep(0.6)
        file.write(content[half:])
    if sys.argv[3] == "once":
        break
"""


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., subprocess.Popen[bytes]]]:
    started = []

    def begin(how: str = "for ever", program: str = TRAINER) -> subprocess.Popen[bytes]:
        content = builders.safetensors_file(tmp_path / "content", {"w": 1000})
        (tmp_path / "out").mkdir(exist_ok=True)
        command = [sys.executable, "-c", program, str(tmp_path / "out"), str(content), how]
        process = subprocess.Popen(command, stdout=subprocess.PIPE)
        started.append(process)
        assert process.stdout is not None
        process.stdout.readline()
        (tmp_path / "pid").write_text(f"{process.pid}\n")
        return process

    yield begin
    for process in started:
        process.kill()
        process.wait()


def params(tmp_path: Path, **more: Any) -> dict[str, Any]:
    asked = {"pid_file": str(tmp_path / "pid"), "unit": None, "signal": "SIGUSR1"}
    place = {"source": str(tmp_path / "out"), "pattern": "step-*", "store": str(tmp_path / "store")}
    return {"name": "m", "timeout": 30.0, "signal": asked, **place, **more}


@pytest.mark.parametrize("how", ["for ever", "once"])
def test_what_the_trainer_writes_is_taken_when_it_is_whole(start: Callable[..., Any], how: str, tmp_path: Path) -> None:
    start(how)
    (tmp_path / "out/step-0.safetensors").write_bytes((tmp_path / "content").read_bytes())
    done = operation.save(params(tmp_path))
    assert done["checkpoint"]["files"] == ["step-1.safetensors"]
    assert done["checkpoint"]["bytes"] == (tmp_path / "content").stat().st_size


def test_a_trainer_that_dies_in_the_middle_is_said_to_have(start: Callable[..., Any], tmp_path: Path) -> None:
    process = start()
    (tmp_path / "out/step-0.safetensors").write_bytes((tmp_path / "content").read_bytes())

    def kill() -> None:
        while not (tmp_path / "out/step-1.safetensors").exists():
            time.sleep(0.01)
        process.kill()

    killer = threading.Thread(target=kill)
    killer.start()
    with pytest.raises(CheckpointError, match="ended before it had written a whole checkpoint"):
        operation.save(params(tmp_path))
    killer.join()


def test_a_trainer_that_writes_nothing_is_waited_for_no_longer(start: Callable[..., Any], tmp_path: Path) -> None:
    deaf = "import signal, time\nsignal.signal(signal.SIGUSR1, lambda *_: None)\nprint(flush=True)\ntime.sleep(60)"
    start(program=deaf)
    with pytest.raises(CheckpointError, match=r"within 0\.5 s: it wrote nothing new"):
        operation.save(params(tmp_path, timeout=0.5))


def test_a_process_that_the_signal_would_end_is_not_sent_it(start: Callable[..., Any], tmp_path: Path) -> None:
    process = start(program="import time\nprint(flush=True)\ntime.sleep(60)")
    with pytest.raises(CheckpointError, match="has no handler for SIGUSR1, which would end it"):
        operation.save(params(tmp_path))
    assert process.poll() is None


SERVICE_USER, ANOTHER_USER = 12345, 12346
# Says when it is ready, and each time that it is sent the signal.
LISTENS = "trap 'echo asked' USR1; echo ready; while :; do sleep 0.05; done"


@pytest.fixture
def of_user() -> Iterator[Callable[[int], subprocess.Popen[bytes]]]:
    """Start a real process of a user, which handles the signal."""
    started = []

    def begin(user: int) -> subprocess.Popen[bytes]:
        process = subprocess.Popen(["/bin/sh", "-c", LISTENS], stdout=subprocess.PIPE, user=user, cwd="/")
        started.append(process)
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        return process

    yield begin
    for process in started:
        process.kill()
        process.wait()


def pid_file(directory: Path, process: subprocess.Popen[bytes], owner: int, mode: int = 0o644) -> Path:
    file = directory / "trainer.pid"
    file.write_text(f"{process.pid}\n")
    os.chown(file, owner, owner)
    file.chmod(mode)
    return file


@pytest.fixture
def theirs(tmp_path: Path) -> Path:
    """A directory of the service's user."""
    place = tmp_path / "theirs"
    place.mkdir()
    os.chown(place, SERVICE_USER, SERVICE_USER)
    return place


needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root starts processes of others")


@needs_root
@pytest.mark.parametrize("user", [0, ANOTHER_USER])
def test_a_service_that_owns_its_pid_file_names_no_process_of_another(
    of_user: Callable[[int], subprocess.Popen[bytes]], theirs: Path, user: int
) -> None:
    process = of_user(user)
    found = trainer.find(pid_file(theirs, process, SERVICE_USER), None)
    said = f"belongs to user {SERVICE_USER} and process {process.pid} to user {user}: .* it was not sent"
    with pytest.raises(CheckpointError, match=said):
        trainer.ask(found, "SIGUSR1")
    process.terminate()
    assert process.communicate()[0] == b""


@needs_root
@pytest.mark.parametrize("owner", [SERVICE_USER, 0])
def test_a_service_is_asked_by_its_own_pid_file_or_by_roots(
    of_user: Callable[[int], subprocess.Popen[bytes]], theirs: Path, tmp_path: Path, owner: int
) -> None:
    process = of_user(SERVICE_USER)
    trainer.ask(trainer.find(pid_file(theirs if owner else tmp_path, process, owner), None), "SIGUSR1")
    assert process.stdout is not None
    assert process.stdout.readline() == b"asked\n"


@needs_root
@pytest.mark.parametrize("mode", [0o644, 0o664, 0o646])
def test_a_file_of_roots_that_another_may_have_put_there_or_written_names_nobody(
    of_user: Callable[[int], subprocess.Popen[bytes]], theirs: Path, tmp_path: Path, mode: int
) -> None:
    place = theirs if mode == 0o644 else tmp_path
    file = pid_file(place, of_user(0), 0, mode)
    with pytest.raises(CheckpointError, match=r"must belong to root|may be written by"):
        trainer.find(file, None)


@pytest.mark.parametrize("text", ["", "1", "-5", "abc", "99999999"])
def test_a_pid_file_with_rubbish_is_refused(text: str, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "pid").write_text(text)
    with pytest.raises(CheckpointError, match="process"):
        operation.save(params(tmp_path))


def test_the_newest_whole_one_is_saved_and_the_torn_one_is_named(tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    for number in (1, 2):
        builders.safetensors_file(out / f"step-{number}.safetensors", {"w": 100})
        os.utime(out / f"step-{number}.safetensors", (number, number))
    os.truncate(out / "step-2.safetensors", 200)
    os.utime(out / "step-2.safetensors", (2, 2))
    done = operation.save(params(tmp_path, signal=None))
    assert done["checkpoint"]["files"] == ["step-1.safetensors"]
    assert "step-2" in done["passed_over"][0]["id"]
    assert not operation.save(params(tmp_path, signal=None))["changed"]


@pytest.mark.parametrize("name", ["SIGKILL", "SIGSTOP", "NOSUCH", "; rm -rf /"])
def test_a_signal_is_one_that_can_be_handled(name: str) -> None:
    with pytest.raises(ValueError, match=r"is none|cannot be handled"):
        trainer.signal_number(name)


class TestCommand:
    WRITE = "import os, shutil, sys; shutil.copy(sys.argv[1], os.environ['AUTOGLM_CHECKPOINT_DIR'] + '/m.safetensors')"

    def params(self, tmp_path: Path, *command: str, **more: Any) -> dict[str, Any]:
        (tmp_path / "work").mkdir(exist_ok=True)
        place = {"store": str(tmp_path / "store"), "workdir": str(tmp_path / "work")}
        return {"name": "m", "timeout": 30.0, "command": list(command), **place, **more}

    def test_what_it_wrote_is_saved(self, tmp_path: Path) -> None:
        source = builders.safetensors_file(tmp_path / "content")
        done = operation.save(self.params(tmp_path, sys.executable, "-c", self.WRITE, str(source)))
        assert (done["checkpoint"]["format"], done["checkpoint"]["files"]) == ("safetensors", ["m.safetensors"])
        assert list((tmp_path / "work").iterdir()) == []

    def test_words_are_no_shell(self, tmp_path: Path) -> None:
        source = builders.safetensors_file(tmp_path / "content")
        words = ("cp", str(source), "{directory}/m; touch $(pwd)`x`")
        assert operation.save(self.params(tmp_path, *words))["checkpoint"]["files"] == ["m; touch $(pwd)`x`"]

    @pytest.mark.parametrize(
        ("command", "said"),
        [
            (("false",), "exit status 1"),
            (("true",), "wrote nothing"),
            (("/no/such/program",), "exit status 127"),
            (("sleep", "60"), "did not end within 0.5 s"),
        ],
    )
    def test_one_that_fails_saves_nothing(self, command: tuple[str, ...], said: str, tmp_path: Path) -> None:
        with pytest.raises(CheckpointError, match=said):
            operation.save(self.params(tmp_path, *command, timeout=0.5))
        assert list((tmp_path / "work").iterdir()) == []
        assert not (tmp_path / "store").exists()


def test_plain_files_never_show_that_they_are_finished(tmp_path: Path) -> None:
    (tmp_path / "notes").write_text("hello")
    assert "no structure" in (trainer._why_not_whole(tmp_path, None, {}) or "")
    assert Source(tmp_path).entries() == [tmp_path]
