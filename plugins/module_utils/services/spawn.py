# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Starting a process that outlives ours: with its own session and files, inheriting only the control group."""

from __future__ import annotations

import contextlib
import fcntl
import grp
import hashlib
import os
import pwd
import select
import signal
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from ..host import flock, paths, whole_file
from .ownership import MARK
from .protocol import ServiceError

_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_FIRST_FREE = 3


@dataclass(frozen=True)
class SpawnCommand:
    """What is started. argv: a program by its absolute path, and its arguments; no shell reads them.

    environment: beside PATH, HOME, USER, LOGNAME and LANG, which are all that it gets otherwise.
    """

    argv: tuple[str, ...]
    user: str | None = None
    working_dir: str = "/"
    environment: Mapping[str, str] = field(default_factory=dict)
    log_file: str | None = None


@dataclass(frozen=True)
class _PreparedStart:
    argv: tuple[str, ...]
    environment: dict[str, str]
    account: pwd.struct_passwd
    working_dir: str
    streams: tuple[int, int]  # for standard input, and for both outputs


def start(command: SpawnCommand, pid_file: str, seconds: float) -> int:
    """Start the process and write its PID file. Returns its number once its program runs. Raises ServiceError.

    seconds: how long the start of the program may take, which a hung file system can draw out.
    """
    prepared = _prepare_start(command)
    readable, writable = os.pipe()
    first = os.fork()
    if first == 0:
        _first_child(prepared, pid_file, writable)
    os.close(writable)
    for descriptor in prepared.streams:
        os.close(descriptor)
    try:
        answer = _read_all(readable, seconds)
    finally:
        os.close(readable)
        with contextlib.suppress(ChildProcessError):
            os.waitpid(first, 0)
    number, newline, problem = answer.partition("\n")
    if problem or not newline or not number.isdigit():
        raise ServiceError(f"{command.argv[0]} was not started: {problem or 'the process that was to become it ended'}")
    return int(number)


@contextlib.contextmanager
def alone(directory: str, seconds: float) -> Iterator[None]:
    """Hold the lock for starts with a PID file in this directory. Raises ServiceError."""
    try:
        descriptor = paths.open_directory(directory)
    except OSError as error:
        raise ServiceError(f"the PID file's directory {directory} cannot be used: {error.strerror}") from error
    with contextlib.ExitStack() as held:
        held.callback(os.close, descriptor)
        try:
            if os.geteuid() == 0:
                # A lock on the directory itself could be held by any user who can list it.
                name = hashlib.sha256(os.fsencode(os.readlink(f"/proc/self/fd/{descriptor}"))).hexdigest()[:16]
                held.enter_context(flock.alone(flock.DIRECTORY, f"start-{name}.lock", seconds))
            else:
                flock.take(descriptor, fcntl.LOCK_EX, directory, seconds)
        except OSError as error:
            raise ServiceError(f"no service can be started in {directory}: {error.strerror}") from error
        yield


def write_atomically(path: str, text: str) -> None:
    """Replace a file atomically, so that no reader gets half a number. Raises OSError."""
    directory = paths.open_directory(os.path.dirname(path))
    try:
        # Readable by other users, whatever the umask of this process.
        whole_file.put(directory, os.path.basename(path), path, text, 0o644)
    finally:
        os.close(directory)


def _prepare_start(command: SpawnCommand) -> _PreparedStart:
    """Do everything that may fail with a reason for the operator. Raises ServiceError."""
    if not command.argv or not os.path.isabs(command.argv[0]):
        raise ServiceError("start_command must begin with the absolute path of a program")
    try:
        account = pwd.getpwnam(command.user) if command.user else pwd.getpwuid(os.geteuid())
    except KeyError:
        raise ServiceError(f"this host has no user {command.user or os.geteuid()!r}") from None
    environment = {
        "PATH": _PATH,
        "LANG": "C.UTF-8",
        "HOME": account.pw_dir,
        "USER": account.pw_name,
        "LOGNAME": account.pw_name,
        **command.environment,
    }
    try:
        streams = (os.open(os.devnull, os.O_RDONLY), _open_log(command.log_file, account))
    except OSError as error:
        raise ServiceError(f"log_file {command.log_file} cannot be written: {error.strerror}") from error
    return _PreparedStart(command.argv, environment, account, command.working_dir, streams)


def _open_log(path: str | None, account: pwd.struct_passwd) -> int:
    if path is None:
        return os.open(os.devnull, os.O_WRONLY)
    # Owned by the service's user, so that this user can rotate it; an existing file keeps its owner.
    flags = os.O_WRONLY | os.O_APPEND
    try:
        descriptor = paths.open_file(path, flags)
    except FileNotFoundError:
        descriptor = paths.open_file(path, flags | os.O_CREAT | os.O_EXCL, 0o640)
        if os.geteuid() == 0:
            os.fchown(descriptor, account.pw_uid, account.pw_gid)
    os.set_blocking(descriptor, True)
    return descriptor


def _first_child(prepared: _PreparedStart, pid_file: str, writable: int) -> None:
    """Fork again and exit, so that init adopts the service and no process here has to wait for it. Never returns."""
    try:
        if os.fork() == 0:
            _become_program(prepared, pid_file, writable)
    except OSError as error:
        os.write(writable, f"\nno second process: {error.strerror}".encode())
    finally:
        os._exit(0)


def _become_program(prepared: _PreparedStart, pid_file: str, writable: int) -> None:
    """Run in the service's process. Never returns: it executes the program, or writes the reason why not."""
    problem = "it could not be prepared"
    written = False
    try:
        pid = os.getpid()
        os.write(writable, f"{pid}\n".encode())  # any further text is an error
        os.setsid()  # leader of a new session, whose number identifies all its processes
        problem = f"the PID file {pid_file} cannot be written"
        write_atomically(pid_file, f"{pid}\n")
        written = True
        os.dup2(prepared.streams[0], 0)
        os.dup2(prepared.streams[1], 1)
        os.dup2(prepared.streams[1], 2)
        os.dup2(writable, _FIRST_FREE)
        _close_all_above(_FIRST_FREE)
        writable = _FIRST_FREE
        os.set_inheritable(writable, False)  # exec closes it, by which the parent knows that the program has started
        _forget_signals()
        os.umask(0o022)
        problem = f"it cannot be user {prepared.account.pw_name}"
        _become_user(prepared.account)
        problem = f"its working directory {prepared.working_dir} cannot be entered"
        os.chdir(prepared.working_dir)
        problem = "its program cannot be run"
        mark = {MARK: f"{pid_file}:{pid}"}
        os.execve(prepared.argv[0], prepared.argv, {**prepared.environment, **mark})  # noqa: S606  # it was asked for
    except BaseException as error:  # noqa: BLE001  # this process must never continue as a second parent
        with contextlib.suppress(OSError):
            if written:
                os.unlink(pid_file)
        reason = error.strerror if isinstance(error, OSError) else f"{type(error).__name__}: {error}"
        with contextlib.suppress(OSError):
            os.write(writable, f"{problem}: {reason}".encode())
    finally:
        os._exit(127)


def _close_all_above(last: int) -> None:
    """Close descriptors by listing them: with a limit of a billion, older Pythons would try each number."""
    for name in os.listdir("/proc/self/fd"):
        if int(name) > last:
            with contextlib.suppress(OSError):  # the listing's own descriptor is closed already
                os.close(int(name))


def _become_user(account: pwd.struct_passwd) -> None:
    if account.pw_uid == os.geteuid():
        return
    os.setgroups(_groups_of(account))
    os.setgid(account.pw_gid)
    os.setuid(account.pw_uid)


def _groups_of(account: pwd.struct_passwd) -> Sequence[int]:
    others = {entry.gr_gid for entry in grp.getgrall() if account.pw_name in entry.gr_mem}
    return sorted({account.pw_gid, *others})


def _forget_signals() -> None:
    """Reset signals: Ansible and its shells ignore or block some, which the service would inherit."""
    for number in signal.valid_signals():
        with contextlib.suppress(OSError, ValueError):
            signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())


def _read_all(descriptor: int, seconds: float) -> str:
    deadline, text = time.monotonic() + seconds, b""
    while True:
        remaining = deadline - time.monotonic()
        if remaining <= 0 or not select.select([descriptor], [], [], remaining)[0]:
            raise ServiceError(f"the program did not begin within {seconds:g} s")
        chunk = os.read(descriptor, 4096)
        if not chunk:
            return text.decode("utf-8", "replace")
        text += chunk
