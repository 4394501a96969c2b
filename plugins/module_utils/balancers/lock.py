# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One task at a time: a lock among the tasks of one host.

The lock ends with the process that holds it, however that ends. It does not reach other hosts: policy.py says what
happens when two hosts drain one pool.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import Iterator

from ..host import flock, paths
from .protocol import BalancerError, Obstacle

DIRECTORY = flock.DIRECTORY
_OWN = "Without root, give a lock_dir of your own"


@contextlib.contextmanager
def exclusively(key: str, directory: str = DIRECTORY, seconds: float = 30.0) -> Iterator[None]:
    """Hold the lock of this key. Raises BalancerError when another has it for too long, or it cannot be made."""
    name = hashlib.sha256(key.encode()).hexdigest()[:16]
    path = os.path.join(directory, f"autoglm-{name}.lock")
    with contextlib.ExitStack() as held:
        try:
            held.enter_context(flock.alone(directory, os.path.basename(path), seconds))
        except flock.LockTimeout as error:
            words = f"another task has held {path} for {key}: {error.strerror}"
            raise BalancerError("refused", words) from error
        except OSError as error:
            words = f"the lock of this pool in {directory} (lock_dir) cannot be used: {error.strerror}"
            hint = f". {_OWN}" if isinstance(error, PermissionError) else ""
            raise BalancerError("denied", words + hint) from error
        yield


def obstacles(directory: str) -> list[Obstacle]:
    """Why this user could not take the lock. Creates neither the directory nor a lock."""
    place = directory
    while True:
        try:
            # What is above only has it made: /run of a container may be open to all, with a sticky bit.
            descriptor = paths.open_directory(place, own=place == directory)
        except FileNotFoundError:  # it would be made
            place = os.path.dirname(place)
            continue
        except OSError as error:
            return [Obstacle(f"the lock of this pool in {directory} (lock_dir) cannot be used: {error.strerror}", _OWN)]
        try:
            if paths.may_change(descriptor):
                return []
        finally:
            os.close(descriptor)
        return [Obstacle(f"no lock can be made in {directory} (lock_dir) by user {os.geteuid()}", _OWN)]
