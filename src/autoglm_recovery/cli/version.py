# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""``autoglm version``: what is installed here, for a report of a mistake and for programs."""

from __future__ import annotations

import json
import platform
from importlib import metadata
from typing import Annotated

import typer

from autoglm_recovery import __version__

# Where a mistake of ours often is one of theirs.
_TOLD_OF = ("ansible-core", "ansible-runner", "pydantic", "SQLAlchemy", "starlette", "uvicorn")


def version(as_json: Annotated[bool, typer.Option("--json", help="Print JSON for a program.")] = False) -> None:
    """Say which release this is, and on what it runs."""
    from autoglm_recovery.receiver.store.backup import newest_revision  # noqa: PLC0415 - other commands start faster without

    told = {
        "autoglm-recovery": __version__,
        "database schema": newest_revision(),
        "Python": platform.python_version(),
        **{name: metadata.version(name) for name in _TOLD_OF},
    }
    if as_json:
        typer.echo(json.dumps({name.replace("-", "_").replace(" ", "_").lower(): said for name, said in told.items()}))
        return
    for name, said in told.items():
        typer.echo(f"{name:16} {said}")
