# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""When a run starts cold although there is a warm process, and that nobody else can use that."""

from __future__ import annotations

import json
import os
import shutil
import socket
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from autoglm_recovery.receiver.runs.local import run_directory
from autoglm_recovery.receiver.runs.warm import zygote
from autoglm_recovery.receiver.runs.warm.warmer import Warmer
from tests.integration.warm.running import Place, Run, ready
from tests.support.servers.waiting import until

CALLBACK = """
from ansible.plugins.callback import CallbackBase
class CallbackModule(CallbackBase):
    CALLBACK_VERSION = 2.0
    CALLBACK_NAME = "noted"
    CALLBACK_NEEDS_ENABLED = True
    def v2_playbook_on_stats(self, stats):
        open(__file__ + ".noted", "w").write("yes")
"""


def warm(run: Run) -> bool:
    """Tell whether both halves of a run were warm."""
    return not isinstance(run.process, subprocess.Popen) and run.cold is None


def test_another_environment_is_cold_and_then_warm_again(
    place: Place, own_warmer: Warmer, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert warm(place.start(own_warmer.spawn, "fail"))
    monkeypatch.setenv("ANSIBLE_VERBOSITY", "1")
    run = place.start(own_warmer.spawn, "fail")
    assert not warm(run)
    assert run.result()["rc"] == 2
    # The warm process is made anew, with the environment of now.
    ready(own_warmer)
    again = place.start(own_warmer.spawn, "fail")
    assert again.result()["rc"] == 2
    assert warm(again)
    assert "running playbook inside collection" in again.said()


def test_ansible_cfg_is_respected_and_a_change_noticed(
    place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Vault password, callback plugins and their settings come from there."""
    (tmp_path / "password").write_text("of the vault\n")
    (tmp_path / "noted.py").write_text(CALLBACK)
    configuration = tmp_path / "ansible.cfg"
    configuration.write_text(f"[defaults]\nvault_password_file = {tmp_path}/password\ncallbacks_enabled = noted\n")
    _encrypt(place.playbooks / "secret.yml", tmp_path / "password")
    monkeypatch.setenv("ANSIBLE_CONFIG", str(configuration))
    # ansible-runner adds its own to this; a path in ansible.cfg it would hide, warm or cold.
    monkeypatch.setenv("ANSIBLE_CALLBACK_PLUGINS", str(tmp_path))
    warmer = Warmer(run_directory.spawn, tmp_path / "warm.log")
    try:
        ready(warmer)
        run = place.start(warmer.spawn, "vault")
        assert run.result()["rc"] == 0, run.said()
        assert warm(run)
        assert run.out.read_text() == "from the vault"
        assert (tmp_path / "noted.py.noted").exists()
        configuration.write_text("[defaults]\nnocows = true\n")
        later = place.start(warmer.spawn, "vault")
        assert not warm(later)
        assert later.result()["rc"] != 0
        assert "vault secrets" in later.said().replace("\n", " ")
    finally:
        warmer.stop()


def _encrypt(path: Path, password: Path) -> None:
    path.write_text("secret: from the vault\n")
    command = [str(Path(sys.executable).with_name("ansible-vault")), "encrypt", "--vault-password-file", str(password)]
    subprocess.run([*command, str(path)], check=True, capture_output=True)


def test_a_folder_that_pip_touches_is_noticed(place: Place, own_warmer: Warmer) -> None:
    import sysconfig  # noqa: PLC0415

    package = Path(sysconfig.get_path("purelib")) / f"nothing_{os.getpid()}.dist-info"
    package.mkdir()
    try:
        run = place.start(own_warmer.spawn, "fail")
        assert not warm(run)
        assert run.result()["rc"] == 2
    finally:
        package.rmdir()


def test_a_release_of_ansible_that_was_not_tested_stays_cold(place: Place, tmp_path: Path) -> None:
    program = (
        "import sys; from pathlib import Path; from autoglm_recovery.receiver.runs.warm import conditions, zygote;"
        "conditions.TESTED_CORES = frozenset(); sys.exit(zygote.main(Path(sys.argv[1])))"
    )
    assert place.inventory.exists()
    done = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path / "socket")], capture_output=True, text=True, check=False
    )
    assert done.returncode == zygote.UNTESTED
    assert "runs start cold" in done.stderr


@pytest.fixture
def ask(warmer: Warmer) -> Callable[[bytes], bytes]:
    """Send bytes to the warm process, and return its answer."""

    def send(content: bytes) -> bytes:
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(30)
            connection.connect(str(warmer.socket))
            try:
                connection.sendall(content)
                connection.shutdown(socket.SHUT_WR)
                return connection.recv(65536)
            except (BrokenPipeError, ConnectionResetError):
                return b""

    return send


@pytest.mark.parametrize(
    "content",
    [b"", b"\n", b"rubbish\n", b"{}\n", b'{"directory": 3, "environment": {}}\n', b"[]\n", b"\xff\xfe\n",
     b'{"directory": "/nowhere", "environment": {}}\n', b"x" * (2 << 20)],
)  # fmt: skip
def test_rubbish_starts_nothing_and_breaks_nothing(
    place: Place, warmer: Warmer, ask: Callable[[bytes], bytes], content: bytes
) -> None:
    assert b"pid" not in ask(content)
    run = place.start(warmer.spawn, "fail")
    assert run.result()["rc"] == 2
    assert warm(run)


def test_a_client_that_says_nothing_holds_nobody_up(place: Place, warmer: Warmer) -> None:
    with socket.socket(socket.AF_UNIX) as silent:
        silent.connect(str(warmer.socket))
        assert warm(place.start(warmer.spawn, "fail"))


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can be somebody else")
def test_nobody_else_can_use_it(place: Place, own_warmer: Warmer) -> None:
    path = own_warmer.socket
    assert path is not None
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    program = (
        "import os, socket, sys; os.setgid(65534); os.setuid(65534); s = socket.socket(socket.AF_UNIX);"
        "s.settimeout(20); s.connect(sys.argv[1]); s.sendall(sys.argv[2].encode()); print(s.recv(9999))"
    )
    request = json.dumps({"directory": str(place.root), "environment": dict(os.environ)}) + "\n"
    command = [sys.executable, "-c", program, str(path), request]
    assert "PermissionError" in subprocess.run(command, capture_output=True, text=True, check=False).stderr
    # Even where the permissions are wrong, the zygote knows who it is.
    path.parent.chmod(0o755)
    path.chmod(0o666)
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.stdout.strip() == "b''" or "BrokenPipeError" in done.stderr or "ConnectionReset" in done.stderr


def test_without_a_socket_runs_start_cold_and_are_counted(place: Place, tmp_path: Path) -> None:
    counted: list[str] = []
    warmer = Warmer(run_directory.spawn, tmp_path / "warm.log", counted.append)
    try:
        ready(warmer)
        assert warmer.socket is not None
        shutil.rmtree(warmer.socket.parent)
        run = place.start(warmer.spawn, "fail")
        assert run.result()["rc"] == 2
        assert counted == ["cold"]
    finally:
        warmer.stop()


def test_the_warm_process_ends_with_its_receiver(place: Place) -> None:
    """kill -9 of the receiver leaves neither process nor folder."""
    program = (
        "import sys, time; from pathlib import Path; from autoglm_recovery.receiver.runs.local import run_directory;"
        "from autoglm_recovery.receiver.runs.warm.warmer import Warmer;"
        "w = Warmer(run_directory.spawn, Path(sys.argv[1])); w.tend(); print(w.process.pid, w.socket, flush=True);"
        "time.sleep(600)"
    )
    with subprocess.Popen([sys.executable, "-c", program, str(place.root / "log")], stdout=subprocess.PIPE) as receiver:
        assert receiver.stdout is not None
        pid, path = receiver.stdout.readline().decode().split()
        until("its socket", Path(path).exists)
        receiver.kill()
    until("the end of the warm process", lambda: not Path(f"/proc/{pid}").exists())
    assert not Path(path).parent.exists()
