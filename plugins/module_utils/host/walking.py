# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Walking directories that may be nested as deeply as the length of a path allows.

os.walk() is recursive up to Python 3.11 (https://github.com/python/cpython/issues/89727): the owner of a directory with
a thousand levels could make any program that walks it fail with a RecursionError.
"""

from __future__ import annotations

import os
from collections.abc import Iterator


def walk(root: str | os.PathLike[str]) -> Iterator[tuple[str, list[str], list[str]]]:
    """Yield what os.walk() yields from the top down: a directory, the names of those in it, and all other names.

    Links are not followed and do not count as directories. Directories that cannot be read, or whose path is too long
    for the system, are skipped.
    """
    waiting = [os.fspath(root)]
    while waiting:
        directory = waiting.pop()
        try:
            with os.scandir(directory) as entries:
                there = [(entry.name, entry.is_dir(follow_symlinks=False)) for entry in entries]
        except OSError:
            continue
        names = [name for name, is_directory in there if is_directory]
        yield directory, names, [name for name, is_directory in there if not is_directory]
        waiting.extend(os.path.join(directory, name) for name in names)
