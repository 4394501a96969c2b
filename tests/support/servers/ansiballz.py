# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The file of a module as ansible-core writes it for a host; and what somebody may make of one."""

from __future__ import annotations

import base64
import io
import json
import os
import re
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

MODULES = "ansible_collections.autoglm.recovery.plugins.modules."


def of(module: str, options: Mapping[str, Any]) -> str:
    """Have Ansible write the file for a module of ours, and keep it."""
    with tempfile.TemporaryDirectory(prefix="autoglm-ansiballz-") as folder:
        words = ["-i", "localhost,", "-c", "local", "localhost", "--check", "-m", f"autoglm.recovery.{module}"]
        words += ["-a", json.dumps(options), "-e", json.dumps({"ansible_python_interpreter": sys.executable})]
        # Pipelined, it would be in no file.
        kept = {"ANSIBLE_KEEP_REMOTE_FILES": "1", "ANSIBLE_REMOTE_TEMP": folder, "ANSIBLE_PIPELINING": "0"}
        program = str(Path(sys.executable).with_name("ansible"))
        done = subprocess.run(
            [program, *words], env={**os.environ, **kept}, capture_output=True, text=True, check=False
        )
        found = [*Path(folder).rglob("AnsiballZ_*.py")]
        assert len(found) == 1, done
        return found[0].read_text("utf-8")


def for_module(file: str, module: str, options: Mapping[str, Any]) -> str:
    """The same for another module: its name, or all of it, and options."""
    name = module if "." in module else MODULES + module
    params = json.dumps({"ANSIBLE_MODULE_ARGS": options})
    return _line(_line(file, "module_fqn", name), "params", params)


def with_code(file: str, module: str, code: str) -> str:
    """The same with other code in the place of the module's."""
    (held,) = re.findall(r"^zip_data='(.*)',$", file, re.MULTILINE)
    changed = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(base64.b64decode(held))) as old, zipfile.ZipFile(changed, "w") as new:
        for name in old.namelist():
            new.writestr(name, code if name.endswith(f"/modules/{module}.py") else old.read(name))
    return _line(file, "zip_data", base64.b64encode(changed.getvalue()).decode())


def _line(file: str, name: str, value: str) -> str:
    changed, times = re.subn(rf"^{name}=.*,$", lambda _: f"{name}={value!r},", file, flags=re.MULTILINE)
    assert times == 1
    return changed
