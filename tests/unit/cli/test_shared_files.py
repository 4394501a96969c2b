# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The man page says what the parser knows, and a real shell completes."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from autoglm_recovery.cli.main import app
from tests.support.tooling.shared_files import MAN_PAGE, SHARE, files


@pytest.mark.parametrize("path", files())
def test_what_is_shipped_is_what_would_be_written_now(path):
    assert (SHARE / path).read_text("utf-8") == files()[path], "run python -m tests.support.tooling.shared_files"


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_command_prints_what_is_shipped(shell):
    assert CliRunner().invoke(app, ["completion", shell]).stdout in files().values()


@pytest.mark.skipif(shutil.which("groff") is None, reason="there is no groff")
def test_the_man_page_is_one_without_a_warning():
    done = subprocess.run(
        ["groff", "-man", "-Tascii", "-P-cbou", "-ww", str(SHARE / MAN_PAGE)],
        capture_output=True,
        check=True,
        text=True,
    )
    assert done.stderr == ""
    told = " ".join(done.stdout.split())
    assert all(
        word in told for word in ("incidents approve NUMBER", "--state-dir", "AUTOGLM_TOKEN_FILE", "EXIT STATUS")
    )


def completed(line):
    """Return what bash offers behind a line, by the completion that is shipped."""
    words = line.split(" ")
    call = f"COMP_WORDS=({line}); COMP_CWORD={len(words) - 1}; _autoglm_completion autoglm"
    ask = f'source "$1"; {call}; printf "%s\\n" "${{COMPREPLY[@]}}"'
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    script = SHARE / "bash-completion/completions/autoglm"
    command = ["bash", "-c", ask, "bash", str(script)]
    return subprocess.run(
        command, env={**os.environ, "PATH": path}, capture_output=True, check=True, text=True
    ).stdout.split()


def test_bash_completes_commands_and_options():
    assert completed("autoglm inc") == ["incidents"]
    assert completed("autoglm incidents list --tok") == ["--token-file"]
