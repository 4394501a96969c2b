# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The process that is warm: ``python -m autoglm_recovery.receiver.runs.warm.zygote SOCKET ---``.

It imports Ansible, then only ever accepts connections and forks.  The fork reads what is asked, so that nothing that a
client sends, or fails to send, is ever in this process.  It runs no play, has one thread, and ends when its standard
input does, which is when the receiver ends.

A request is one line of JSON with ``directory`` and ``environment``; the answer is one line with ``pid``, together with
a descriptor of that process (pidfd_open(2)), or with ``cold`` and the reason why the run should have a cold start.
"""

from __future__ import annotations

import gc
import importlib
import json
import os
import random
import select
import shutil
import signal
import socket
import struct
import sys
import tempfile
import threading
import traceback
from dataclasses import replace
from pathlib import Path
from typing import Any, NoReturn

from autoglm_recovery.receiver.process import cleaned
from autoglm_recovery.receiver.runs import ansible_settings, configured
from autoglm_recovery.receiver.runs.warm import conditions, playbook, titles
from autoglm_recovery.receiver.runs.warm.conditions import Conditions

UNTESTED = 3  # exit code: this ansible-core is not one that the tests cover
UNFIT = 4  # exit code: something in the warm process would be shared by its forks
TITLE = "autoglm-warm"
LARGEST_REQUEST = 1 << 20
REQUEST_S = 5.0

_PRELOADED = (
    "ansible.cli.playbook",
    "ansible.executor.playbook_executor",
    "ansible.executor.task_queue_manager",
    "ansible.executor.task_executor",
    "ansible.executor.process.worker",
    "ansible.executor.module_common",
    "ansible.template",
    "ansible.plugins.strategy.linear",
    "ansible.plugins.connection.local",
    "ansible.plugins.connection.ssh",
    "ansible.plugins.action.normal",
    "ansible.plugins.action.command",
    "ansible.plugins.callback.default",
    "ansible.plugins.shell.sh",
    "ansible.plugins.become.sudo",
    "ansible.modules.command",
    "ansible.module_utils.basic",
    "ansible_runner",
    "ptyprocess.ptyprocess",
    "multiprocessing.queues",
    "multiprocessing.synchronize",
    "getpass",
    "pty",
    "zipfile",
    "autoglm_recovery.receiver.runs.local.supervisor",
)
_WARMED_PLUGINS = {
    "action_loader": ("command", "debug", "normal", "copy", "template", "include_role", "set_fact", "assert", "uri"),
    "connection_loader": ("local", "ssh"),
    "callback_loader": ("default",),
    "strategy_loader": ("linear",),
    "inventory_loader": ("host_list", "script", "auto", "yaml", "ini", "toml"),
    "shell_loader": ("sh",),
    "become_loader": ("sudo",),
    "cache_loader": ("memory", "jsonfile"),
}


def main(path: Path) -> int:
    """Get warm and serve until standard input ends."""
    own = dict(os.environ)
    own.pop(titles.PADDING, None)
    titles.set_environment(own)
    # What people see in ps, in place of the room that forks need for their own words.
    titles.show([TITLE, str(path)], own)
    version = _version()
    if not conditions.is_tested(version):
        sys.stderr.write(f"ansible-core {version} is not one that was tested for this: runs start cold\n")
        return UNTESTED
    os.environ.update({**_runners_variables(), **ansible_settings.ENVIRONMENT})
    warmed = conditions.current(os.environ, configured.file(), version)
    _preload()
    shared = _shared()
    if shared:
        sys.stderr.write(f"forks would share {shared}: runs start cold\n")
        return UNFIT
    gc.collect()
    gc.freeze()
    try:
        _serve(path, warmed, own)
    finally:
        shutil.rmtree(path.parent, ignore_errors=True)
    return 0


def _version() -> str:
    return str(importlib.import_module("ansible.release").__version__)


def _runners_variables() -> dict[str, str]:
    """Return what ansible-runner sets for every playbook, by having it prepare one."""
    config = importlib.import_module("ansible_runner.config.runner").RunnerConfig
    with tempfile.TemporaryDirectory() as directory:
        prepared = config(
            private_data_dir=directory,
            playbook="none.yml",
            ident="none",
            suppress_env_files=True,
            envvars=configured.variables(),
            **configured.NO_CACHE,
        )
        prepared.prepare()
        configured.leave_to_ansible(prepared.env)
        return {name: value for name, value in prepared.env.items() if name.startswith("ANSIBLE_")}


def _preload() -> None:
    """Import, and fill caches, without running a play: a play leaves threads and things that can be set only once."""
    for name in _PRELOADED:
        importlib.import_module(name)
    loader = importlib.import_module("ansible.plugins.loader")
    loader.init_plugin_loader()
    finder = importlib.import_module("ansible.utils.collection_loader._collection_finder")
    # Reads a large YAML file, once for all.
    finder._get_collection_metadata("ansible.builtin")
    for kind, names in _WARMED_PLUGINS.items():
        for name in names:
            getattr(loader, kind).get(f"ansible.builtin.{name}", class_only=True)
    # Not vars_loader: it keeps what it returns, and would keep classes where objects are expected.
    for kind in ("filter_loader", "test_loader"):
        list(getattr(loader, kind).all(class_only=True))
    yaml = importlib.import_module("ansible.parsing.dataloader").DataLoader()
    yaml.load("- hosts: x\n  tasks: [{name: a, debug: {msg: '{{ b }}'}}]")


def _shared() -> str | None:
    """Say what all forks would have in common although it can change; None if there is nothing."""
    if threading.active_count() != 1:
        return f"{threading.active_count()} threads"
    semaphore = importlib.import_module("multiprocessing.synchronize").SemLock
    if any(isinstance(thing, semaphore) for thing in gc.get_objects()):
        return "a semaphore"
    return None


def _serve(path: Path, warmed: Conditions, own: dict[str, str]) -> None:
    # Children are reaped by the kernel; whoever asked has a descriptor of its own to know their end.
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
        # It appears under its name when it answers, and is ours alone.
        unfinished = path.with_name("unfinished")
        listener.bind(str(unfinished))
        unfinished.chmod(0o600)
        listener.listen(64)
        unfinished.rename(path)
        while True:
            ready, _, _ = select.select([listener.fileno(), 0], [], [])
            if 0 in ready:
                return
            connection, _ = listener.accept()
            with connection:
                if _peer(connection) == os.getuid() and os.fork() == 0:
                    listener.close()
                    _fork_of_a_run(connection, warmed, own)


def _peer(connection: socket.socket) -> int:
    """Return the user at the other end (SO_PEERCRED, unix(7))."""
    size = struct.calcsize("3i")
    _pid, uid, _gid = struct.unpack("3i", connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, size))
    return int(uid)


def _fork_of_a_run(connection: socket.socket, warmed: Conditions, own: dict[str, str]) -> NoReturn:
    code = 1
    try:
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        random.seed()
        connection.settimeout(REQUEST_S)
        request = _read(connection)
        directory = Path(request["directory"])
        why = _why_cold(warmed, own, request["environment"])
        if why is not None:
            connection.sendall(json.dumps({"cold": why}).encode() + b"\n")
            os._exit(0)
        _settle(directory, request["environment"])
        descriptor = os.pidfd_open(os.getpid())
        socket.send_fds(connection, [json.dumps({"pid": os.getpid()}).encode() + b"\n"], [descriptor])
        os.close(descriptor)
        connection.close()
        playbook.replace_exec(warmed, directory)
        code = importlib.import_module("autoglm_recovery.receiver.runs.local.supervisor").main(directory)
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else 1
    except BaseException:  # noqa: BLE001 - a fork must never go on in the zygote's code
        sys.stderr.write(cleaned.output(traceback.format_exc()))
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def _read(connection: socket.socket) -> dict[str, Any]:
    content = b""
    while not content.endswith(b"\n"):
        part = connection.recv(65536)
        if not part or len(content) > LARGEST_REQUEST:
            raise ValueError("a request that is not one line")
        content += part
    request: dict[str, Any] = json.loads(content)
    return request


def _why_cold(warmed: Conditions, own: dict[str, str], environment: dict[str, str]) -> str | None:
    """Compare what is with what was at the start; ``own`` is the environment of then without ansible-runner's."""
    before = replace(warmed, environment=conditions.relevant(own))
    now = conditions.current(environment, configured.file(environment), warmed.core)
    return "; ".join(conditions.differences(before, now)) or None


def _settle(directory: Path, environment: dict[str, str]) -> None:
    """Be as ``launch.spawn`` would have started it: a session, a log, a folder and an environment of its own."""
    os.setsid()
    null = os.open(os.devnull, os.O_RDONLY)
    log = os.open(directory / "supervisor.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    for number, source in ((0, null), (1, log), (2, log)):
        os.dup2(source, number)
    os.close(null)
    os.close(log)
    os.chdir(directory)
    titles.set_environment(environment)
    playbook.open_standard_streams()
    sys.argv = [sys.argv[0], str(directory)]
    titles.show([sys.executable, "-m", "autoglm_recovery.receiver.runs.local.supervisor", str(directory)], environment)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
