# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""No line of the log holds a secret, wherever in the line it is: in texts, in what contains them, in errors."""

from __future__ import annotations

import subprocess
import sys

import pytest

PROGRAM = """
import logging, sys, threading
import structlog
from autoglm_recovery import logs

logs.configure(sys.argv[1])
log, url = structlog.get_logger(), "https://me:hunter2@host/x"
log.error("text", where=url)
log.error("list", wrong=["ok", f"refused {url}"], more={"inner": (url, {url})})
log.error("error", why=OSError(f"no answer of {url}"))
try:
    raise ValueError(f"wrong: {url}")
except ValueError:
    log.exception("traceback")
    logging.getLogger("uvicorn").exception("of a library, %s", url)
log.error("plain", number=5, nothing=None, path="/etc/x", words=["a", "b"])
"""


@pytest.mark.parametrize("form", ["json", "text"])
def test_no_line_holds_a_secret(form: str) -> None:
    done = subprocess.run([sys.executable, "-c", PROGRAM, form], capture_output=True, text=True, check=True)
    assert "hunter2" not in done.stdout + done.stderr
    assert done.stderr.count("[redacted]@host/x") >= 8
    assert "no answer of" in done.stderr
    assert "/etc/x" in done.stderr
