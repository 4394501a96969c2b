# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One task at a time: a lock among the tasks of one host.

It ends with the process that holds it, however that ends.  It does not reach other hosts: policy.py says what happens
when two hosts drain one pool.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import Iterator

from ..host import flock
from .protocol import BalancerError

DIRECTORY = flock.DIRECTORY


@contextlib.contextmanager
def exclusively(key: str, directory: str = DIRECTORY, seconds: float = 30.0) -> Iterator[None]:
    """Hold the lock of this key. Raises BalancerError when another has it for too long, or it cannot be made."""
    name = hashlib.sha256(key.encode()).hexdigest()[:16]
    path = os.path.join(directory, f"autoglm-{name}.lock")
    with contextlib.ExitStack() as held:
        try:
            held.enter_context(flock.alone(directory, os.path.basename(path), seconds))
        except flock.Held as error:
            words = f"another task has held {path} for {key}: {error.strerror}"
            raise BalancerError("refused", words) from error
        except OSError as error:
            words = f"the lock of this pool in {directory} (lock_dir) cannot be used: {error.strerror}"
            hint = ". Without root, give a lock_dir of your own" if isinstance(error, PermissionError) else ""
            raise BalancerError("denied", words + hint) from error
        yield
