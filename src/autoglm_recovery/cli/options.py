# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Durations, moments and the database as options."""

from __future__ import annotations

import re
import sys
from datetime import datetime
from pathlib import Path

import typer

from autoglm_recovery.cli.refusing import cannot_ask, refuse
from autoglm_recovery.durations import parse_duration
from autoglm_recovery.knowledge.host.redaction import redact_text


def duration(value: str, option: str) -> float:
    """Read a duration such as 30s, in seconds; wrong usage if it is none."""
    try:
        return parse_duration(value).total_seconds()
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint=option) from error


def moment(value: str, option: str) -> float:
    """Read a moment as ISO 8601 with its offset from UTC, in seconds since the epoch; wrong usage if it is none."""
    try:
        read = datetime.fromisoformat(value)
    except ValueError as error:
        raise typer.BadParameter(f"{value!r} is no moment; write 2026-11-24T08:00:00Z", param_hint=option) from error
    if read.tzinfo is None:
        raise typer.BadParameter(f"{value!r} has no offset from UTC; add Z, or for example +01:00", param_hint=option)
    return read.timestamp()


def database_url(given: str | None, file: Path | None) -> str | None:
    """Return the URL that one of two options gives: itself, or the file that holds it; end where it does not.

    A URL with a password is refused where it was given on the command line, which everybody on the machine can read.
    """
    if file is None:
        # Not where the environment gave it: nobody else can read that.
        if given is not None and _holds_password(given) and any(given in word for word in sys.argv):
            refuse(
                "--database holds a password, which everybody on this machine can read in the list of processes; "
                "put the URL into a file for --database-file, or into AUTOGLM_DATABASE, and change the password"
            )
        return given
    if given is not None:
        raise typer.BadParameter("give --database or --database-file, not both", param_hint="--database-file")
    try:
        lines = file.read_text("utf-8").split()
    except (OSError, UnicodeDecodeError) as error:
        cannot_ask(f"--database-file {file} cannot be read: {error}")
    if len(lines) != 1:
        refuse(f"--database-file {file} must hold one URL, for example postgresql://user:password@host/name")
    return lines[0]


def _holds_password(url: str) -> bool:
    """Tell whether a URL has a password, in front of its host or among its parameters; a user's name is none."""
    _address, _sign, parameters = url.partition("?")
    return re.search(r"://[^:/@]*:[^@]+@", url) is not None or redact_text(parameters) != parameters
