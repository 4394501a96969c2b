# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The fake library is tested as it is used: by the real pynvml, in a child process."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest

from tests.support.fake_nvml import FakeNvml
from tests.support.fake_nvml.plugin import *  # noqa: F403

PRELUDE = """
import json, sys
import pynvml as n
def ask(function, *arguments):
    "A value, or the error's number."
    try:
        return function(*arguments)
    except n.NVMLError as error:
        return f"error {error.value}"
"""


@pytest.fixture
def ask_pynvml() -> Callable[..., Any]:
    """Run lines of Python that leave their answer in ``out``, in a process that finds the fake as a real library."""

    def run(fake: FakeNvml, lines: str, init: bool = True) -> Any:
        start = "n.nvmlInit()\n" if init else ""
        program = f"{PRELUDE}{start}{lines}\nprint(json.dumps(out))"
        command = [sys.executable, "-c", program]
        done = subprocess.run(command, env=fake.environment(), capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    return run
