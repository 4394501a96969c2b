# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Run a program of this machine as a user that it does not have: nothing is left of it afterwards.

In a mount namespace of its own the program sees accounts of ours, and folders that hold what it needs may be entered.
"""

from __future__ import annotations

import os
import shlex
import stat
import sys
from pathlib import Path

from tests.lab.places import CHECKOUT

NAME = "autoglm-receiver"
UID = 64317


def command(scratch: Path, home: Path, *program: str) -> list[str]:
    """Words that become the program, as user and group ``UID``, with no capability and none to be had.

    ``scratch`` is a folder of root's for this.
    """
    scratch.mkdir(exist_ok=True, parents=True)
    lines = ["set -e"]
    for name, entry in (("passwd", f"{NAME}:x:{UID}:{UID}::{home}:/bin/sh"), ("group", f"{NAME}:x:{UID}:")):
        file = scratch / name
        file.write_text(f"{Path('/etc', name).read_text('utf-8').rstrip()}\n{entry}\n", "utf-8")
        lines.append(f"mount --bind {shlex.quote(str(file))} /etc/{name}")
    lines += _opened(scratch)
    drop = f"--reuid={UID} --regid={UID} --clear-groups --no-new-privs --inh-caps=-all --bounding-set=-all"
    lines.append(f'exec setpriv {drop} -- "$@"')
    return ["unshare", "--mount", "sh", "-c", "\n".join(lines), "sh", *program]


def _opened(scratch: Path) -> list[str]:
    """Lines that lay an empty folder over each one that others may not enter, with what is needed in its place."""
    needed = list(dict.fromkeys(Path(each).resolve() for each in (sys.base_prefix, sys.prefix, CHECKOUT)))
    closed: dict[Path, list[Path]] = {}
    for path in needed:
        shut = [above for above in reversed(path.parents) if not os.stat(above).st_mode & stat.S_IXOTH]
        if shut:
            closed.setdefault(shut[0], []).append(path)
    lines = []
    for above, paths in closed.items():
        held = [
            (shlex.quote(str(path)), shlex.quote(str(scratch / f"held-{number}"))) for number, path in enumerate(paths)
        ]
        lines += [f"mkdir -p {place}\nmount --bind {path} {place}" for path, place in held]
        lines.append(f"mount -t tmpfs -o mode=0755 tmpfs {shlex.quote(str(above))}")
        lines += [f"mkdir -p {path}\nmount --move {place} {path}" for path, place in held]
    return lines
