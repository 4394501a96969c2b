# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Pack a folder, or an inventory file with its group_vars and host_vars, so that the same files give the same archive.

pack.py ARCHIVE PATH: links are followed, and whose files they are and when they were written is left out.
"""

from __future__ import annotations

import os
import sys
import tarfile

LEFT_OUT = {".git", ".svn", "__pycache__"}
BESIDE_A_FILE = ("group_vars", "host_vars")


def wanted(path):
    """Return what is packed for a path: pairs of a name in the archive and a path."""
    if os.path.isdir(path):
        return [(name, os.path.join(path, name)) for name in os.listdir(path) if name not in LEFT_OUT]
    folder = os.path.dirname(os.path.abspath(path))
    beside = [(name, os.path.join(folder, name)) for name in BESIDE_A_FILE if os.path.isdir(os.path.join(folder, name))]
    return [(os.path.basename(path), path), *beside]


def plain(member):
    """Keep of a member what it says, and whether it may be executed; nothing that is no file or folder."""
    if os.path.basename(member.name) in LEFT_OUT or member.name.endswith(".pyc"):
        return None
    if not (member.isfile() or member.isdir()):
        raise SystemExit(f"{member.name} is no file and no folder")
    member.uid = member.gid = member.mtime = 0
    member.uname = member.gname = ""
    member.mode = 0o755 if member.isdir() or member.mode & 0o100 else 0o644
    return member


def main():
    """Write the archive."""
    archive, path = sys.argv[1:]
    with tarfile.open(archive, "w", format=tarfile.GNU_FORMAT, dereference=True) as tar:
        for name, each in sorted(wanted(path)):
            tar.add(each, arcname=name, filter=plain)  # members of a folder in the order of their names


if __name__ == "__main__":
    main()
