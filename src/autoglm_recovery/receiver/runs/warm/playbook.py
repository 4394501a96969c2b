# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Be ansible-playbook, in a fork that has it imported, where ansible-runner would execute the program.

ansible-runner starts a playbook with ``ptyprocess``, which forks and then executes.  In a supervisor that the zygote
has forked, that last step is replaced by what follows.  So everything else is as in a cold start: the terminal, the
process tree, the signals, the environment.  Where the conditions are not those of the zygote, the program is executed
after all.
"""

from __future__ import annotations

import atexit
import fcntl
import importlib
import os
import random
import signal
import sys
import threading
import traceback
import weakref
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any, NoReturn

from autoglm_recovery.receiver.runs import configured
from autoglm_recovery.receiver.runs.warm import conditions, titles
from autoglm_recovery.receiver.runs.warm.conditions import Conditions

PROGRAM = "ansible-playbook"
# Left in the run's directory where its playbook had a cold start after all: the reason.
COLD = "cold-start"


class InsteadOfExec:
    """Stands for the module ``os`` in ``ptyprocess``, and is it but for one function."""

    def __init__(self, warmed: Conditions, directory: Path) -> None:
        """``directory`` is the run's."""
        self._warmed = warmed
        self._directory = directory

    def __getattr__(self, name: str) -> Any:
        return getattr(os, name)

    def execvpe(self, file: str | bytes, arguments: Sequence[str], environment: Mapping[Any, Any]) -> NoReturn:
        """Go on as the program, in this process or by executing it."""
        decoded = {os.fsdecode(name): os.fsdecode(value) for name, value in environment.items()}
        why = self._cold(os.fsdecode(file), decoded)
        if why is None:
            become(arguments, decoded)
        try:
            (self._directory / COLD).write_text(f"{why}\n", "utf-8")
        finally:
            os.execvpe(file, list(arguments), environment)  # noqa: S606 - as ptyprocess would

    def _cold(self, file: str, environment: dict[str, str]) -> str | None:
        if os.path.basename(file) != PROGRAM:
            return f"{file} is another program"
        if Path(file).parent != Path(sys.executable).parent:
            return f"{file} is not the one beside {sys.executable}"
        try:
            now = conditions.current(environment, configured.file(environment), self._warmed.core)
        except Exception as error:  # noqa: BLE001 - whatever it is, a cold start finds out
            return repr(error)
        return "; ".join(conditions.differences(self._warmed, now)) or None


def replace_exec(warmed: Conditions, directory: Path) -> None:
    """Have ptyprocess go on in the fork.  For a process that runs one playbook and ends."""
    module = importlib.import_module("ptyprocess.ptyprocess")
    setattr(module, "os", InsteadOfExec(warmed, directory))  # noqa: B010 - mypy knows better what a module has


def become(arguments: Sequence[str], environment: Mapping[str, str]) -> NoReturn:
    """Run the command line of ansible-playbook in this process, and end it with its exit code."""
    code = 250
    try:
        _as_exec_does(arguments, environment)
        _forget_the_parent()
        cli = importlib.import_module("ansible.cli.playbook").PlaybookCLI
        cli.cli_executor([os.fsdecode(word) for word in arguments])
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:  # noqa: BLE001 - a fork must never go on in its parent's code
        traceback.print_exc()
    finally:
        _exit_process(code)


def _exit_process(code: int) -> NoReturn:
    """End as the interpreter does, but for what the parents of this process would do at their end."""
    try:
        _private(threading, "_shutdown")()
        _private(atexit, "_run_exitfuncs")()
        sys.stdout.flush()
        sys.stderr.flush()
    except BaseException:  # noqa: BLE001
        traceback.print_exc()
    finally:
        os._exit(code)


def _as_exec_does(arguments: Sequence[str], environment: Mapping[str, str]) -> None:
    """Do what execve(2) and the start of the interpreter do."""
    for number in range(1, signal.NSIG):
        if callable(signal.getsignal(number)):
            signal.signal(number, signal.SIG_DFL)
    if signal.getsignal(signal.SIGINT) is not signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGPIPE, signal.SIG_IGN)
    for name in os.listdir("/proc/self/fd"):
        _close_if_exec_would(int(name))
    titles.set_environment(environment)
    titles.show([sys.executable, *map(os.fsdecode, arguments)], environment)
    sys.argv = [os.fsdecode(word) for word in arguments]
    open_standard_streams()
    random.seed()


def open_standard_streams() -> None:
    """Make ``sys.stdin``, ``sys.stdout`` and ``sys.stderr`` anew for what is open now, as the interpreter does."""
    sys.stdin = os.fdopen(0, encoding="utf-8", closefd=False)
    sys.stdout = os.fdopen(1, "w", encoding="utf-8", buffering=1 if os.isatty(1) else -1, closefd=False)
    sys.stderr = os.fdopen(2, "w", encoding="utf-8", buffering=1, errors="backslashreplace", closefd=False)


def _close_if_exec_would(descriptor: int) -> None:
    try:
        if fcntl.fcntl(descriptor, fcntl.F_GETFD) & fcntl.FD_CLOEXEC:
            os.close(descriptor)
    except OSError:  # the one with which the folder was listed
        return


def _forget_the_parent() -> None:
    """Renew what Ansible and the interpreter made in the zygote and a new process would make for itself."""
    manager = importlib.import_module("ansible.config.manager")
    # The zygote's folder for temporary files: each run has one of its own, and removes no other.
    atexit.unregister(manager.cleanup_tmp_file)
    _private(weakref.finalize, "_registry").clear()
    constants = importlib.import_module("ansible.constants")
    name = "DEFAULT_LOCAL_TMP"
    constants.set_constant(name, constants.config.get_config_value(name, variables=vars(constants)))
    # Whether there are colours was decided for the zygote's output.
    importlib.reload(importlib.import_module("ansible.utils.color"))
    # Everybody holds the one display: its streams, locks and what it has shown already are made anew.
    importlib.import_module("ansible.utils.display").Display().__init__()
    _keep_the_collection_finder()


def _keep_the_collection_finder() -> None:
    """Do without the warning that the finder was set up before: it was, with the paths that count here."""
    loader = importlib.import_module("ansible.plugins.loader")
    original = loader._configure_collection_loader

    def configure(prefix: Sequence[str] | None = None) -> None:
        if prefix:  # paths from the command line: the finder of the zygote does not have them
            importlib.import_module(_FINDER)._AnsibleCollectionFinder._remove()
            original(prefix)

    loader._configure_collection_loader = configure  # type: ignore[attr-defined]


_FINDER = "ansible.utils.collection_loader._collection_finder"


def _private(owner: ModuleType | type, name: str) -> Any:
    return getattr(owner, name)
