# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Write the program that sudo runs on hosts: one file, with our modules and those parts of Ansible that they import."""

from __future__ import annotations

import importlib.util
import io
import zipfile
from collections.abc import Iterator
from pathlib import Path

from autoglm_recovery.knowledge.privilege.rules import BUILTIN, RULES

# -I: nothing from the environment or the current folder, only this file and what root has installed.
SHEBANG = b"#!/usr/bin/python3 -I\n"
MAIN = """import sys

from ansible_collections.autoglm.recovery.plugins.module_utils.privilege import gate

gate.main(sys.path[0])
"""
OURS = "ansible_collections/autoglm/recovery/plugins"
# The same bytes from the same release: what is installed can be compared.
_EPOCH = (1980, 1, 1, 0, 0, 0)


def write(path: Path, plugins: Path) -> None:
    """Write it to ``path``, mode 0755.  ``plugins`` is that folder of the collection."""
    held = io.BytesIO()
    with zipfile.ZipFile(held, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in sorted(_files(plugins).items()):
            archive.writestr(zipfile.ZipInfo(name, _EPOCH), content, zipfile.ZIP_DEFLATED)
    path.write_bytes(SHEBANG + held.getvalue())
    path.chmod(0o755)


def _files(plugins: Path) -> dict[str, bytes]:
    ansible = _ansible()
    files = {"__main__.py": MAIN.encode()}
    for folder in (
        "ansible",
        "ansible_collections",
        "ansible_collections/autoglm",
        "ansible_collections/autoglm/recovery",
    ):
        files[f"{folder}/__init__.py"] = b""
    files[f"{OURS}/__init__.py"] = files[f"{OURS}/modules/__init__.py"] = files["ansible/modules/__init__.py"] = b""
    for under, source in (
        ("ansible/module_utils", ansible / "module_utils"),
        (f"{OURS}/module_utils", plugins / "module_utils"),
    ):
        files |= {f"{under}/{name}": content for name, content in _python(source)}
    files |= {f"{OURS}/modules/{name}": content for name, content in _python(plugins / "modules")}
    for name in RULES:
        if name.startswith(BUILTIN):
            file = f"{name.removeprefix(BUILTIN)}.py"
            files[f"ansible/modules/{file}"] = (ansible / "modules" / file).read_bytes()
    return files


def _python(folder: Path) -> Iterator[tuple[str, bytes]]:
    for path in folder.rglob("*.py"):
        yield path.relative_to(folder).as_posix(), path.read_bytes()


def _ansible() -> Path:
    found = importlib.util.find_spec("ansible")
    if found is None or found.origin is None:
        raise FileNotFoundError("ansible-core is not installed beside autoglm")
    return Path(found.origin).parent
