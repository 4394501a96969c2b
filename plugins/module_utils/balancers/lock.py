# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One task at a time: a lock among the tasks of one host.

It ends with the process that holds it, however that ends.  It does not reach other hosts: policy.py says what happens
when two hosts drain one pool.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import stat
import time
from collections.abc import Iterator

from .protocol import BalancerError

DIRECTORY = "/run/lock"
_POLL_SECONDS = 0.05


@contextlib.contextmanager
def exclusively(key: str, directory: str = DIRECTORY, seconds: float = 30.0) -> Iterator[None]:
    """Hold the lock of this key. Raises BalancerError when another has it for too long, or it cannot be made."""
    name = hashlib.sha256(key.encode()).hexdigest()[:16]
    path = os.path.join(directory, f"autoglm-{name}.lock")
    handle = _open(path)
    try:
        _wait(handle, path, key, seconds)
        yield
    finally:
        os.close(handle)


def _open(path: str) -> int:
    """Open what is there before making it: the kernel may forbid O_CREAT on another user's file in such a directory."""
    flags = os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC
    try:
        try:
            handle = os.open(path, flags)
        except FileNotFoundError:
            handle = os.open(path, flags | os.O_CREAT, 0o600)
    except OSError as error:
        raise BalancerError("denied", f"the lock {path} cannot be opened: {error.strerror}") from error
    if not stat.S_ISREG(os.fstat(handle).st_mode):
        os.close(handle)
        raise BalancerError("denied", f"the lock {path} is not a file")
    return handle


def _wait(handle: int, path: str, key: str, seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while True:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if time.monotonic() >= deadline:
                raise BalancerError("refused", f"another task has held {path} for {key} {seconds:g} s") from error
            time.sleep(_POLL_SECONDS)
        else:
            return
