# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""``autoglm new-token``, ``autoglm hash-password`` and ``autoglm audit``: who may come in, and who did what."""

from __future__ import annotations

import json
import secrets
import sys
from datetime import datetime
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from autoglm_recovery.cli.asking import AskedReceiver, asks_receiver
from autoglm_recovery.cli.exit_codes import ExitCode
from autoglm_recovery.cli.refusing import refuse
from autoglm_recovery.knowledge.host.plain import plain

Name = Annotated[str, typer.Argument(help="Who it is for.")]
RoleName = Annotated[str, typer.Argument(help="sender (posts alerts), viewer (reads) or operator (orders).")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for a program.")]


def new_token(name: Name, role: RoleName) -> None:
    """Make a bearer token.  The token goes to standard error, its line for the access file to standard output."""
    from autoglm_recovery.receiver.access.entries import digest  # noqa: PLC0415 - other commands start faster without

    token = secrets.token_urlsafe(32)
    _print_line(f"{name} {role} sha256:{digest(token)}")
    typer.echo(f"the token, which is shown this once: {token}", err=True)


def hash_password(name: Name, role: RoleName) -> None:
    """Read a password (from a terminal twice, else a line of standard input) and print its line for the access file."""
    from autoglm_recovery.receiver.access import passwords  # noqa: PLC0415 - as above

    if sys.stdin.isatty():
        password = typer.prompt("Password", hide_input=True, confirmation_prompt=True, err=True)
    else:
        password = sys.stdin.readline().rstrip("\n")
    try:
        kept = passwords.hash_password(password)
    except ValueError as error:
        refuse(error)
    _print_line(f"{name} {role} {kept}")


def _print_line(line: str) -> None:
    """Print a line for the access file, as which it is read first."""
    from autoglm_recovery.receiver.access.entries import parse_entry  # noqa: PLC0415 - as above

    try:
        parse_entry(line)
    except ValueError as error:
        refuse(error, ExitCode.usage)
    typer.echo(line)


@asks_receiver
def audit(
    receiver: AskedReceiver,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="How many rows, newest first.")] = 100,
    as_json: AsJson = False,
) -> None:
    """Show who ordered what, and who tried."""
    rows = receiver.ask("GET", "/api/v1/audit", {"limit": str(limit)}, wanted="audit")
    if as_json:
        typer.echo(json.dumps(rows, indent=2))
        return
    table = Table()
    for heading in ("at", "who", "how", "from", "what", "incident", "outcome"):
        table.add_column(heading, no_wrap=True)
    table.add_column("said")
    for row in rows["audit"]:
        at = datetime.fromisoformat(row["at"]).astimezone().strftime("%m-%d %H:%M:%S")
        incident = "" if row["incident_id"] is None else str(row["incident_id"])
        cells = (row["who"] or "-", row["how"], row["address"], row["what"], incident, row["outcome"])
        # As Text, so that nothing that somebody wrote is markup.
        said = " / ".join(text for text in (row["comment"], row["detail"]) if text)
        table.add_row(at, *(Text(plain(cell)) for cell in (*cells, said)))
    Console().print(table)
