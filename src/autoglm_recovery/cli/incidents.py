# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""``autoglm incidents``: look at incidents of a running receiver, and order what a person may order."""

from __future__ import annotations

import json
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from autoglm_recovery.cli.asking import AskedReceiver, asks_receiver
from autoglm_recovery.cli.refusing import cannot_ask
from autoglm_recovery.cli.watching import follow, heading, timeline_line, watch_list, watch_list_as_json
from autoglm_recovery.knowledge.host.plain import plain

app = typer.Typer(help="Look at incidents and approve, reject, retry, close or cancel them.", no_args_is_help=True)

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for a program.")]
Watch = Annotated[bool, typer.Option("--watch", help="Look again every two seconds, until Ctrl-C.")]
Number = Annotated[int, typer.Argument(min=1, help="The incident's number.")]
Comment = Annotated[str, typer.Option("--comment", "-m", help="Why; it is kept in the audit log.")]


class Format(StrEnum):
    """How a report is written."""

    markdown = "md"
    html = "html"
    text = "txt"


@app.command("list")
@asks_receiver
def list_(
    receiver: AskedReceiver,
    state: Annotated[str | None, typer.Option(help="Only incidents in this state.")] = None,
    failure_class: Annotated[str | None, typer.Option("--class", help="Only incidents of this failure class.")] = None,
    host: Annotated[str | None, typer.Option(help="Only incidents on this host, by its exact name.")] = None,
    watch: Watch = False,
    as_json: AsJson = False,
) -> None:
    """List incidents, newest first."""
    wanted = {"state": state, "failure_class": failure_class, "host": host}
    query = {name: value for name, value in wanted.items() if value is not None}

    def look() -> dict[str, Any]:
        return receiver.ask("GET", "/api/v1/incidents", query, wanted="incidents")

    if watch:
        watch_list_as_json(look) if as_json else watch_list(look, _table)
    elif as_json:
        typer.echo(json.dumps(look(), indent=2))
    else:
        Console().print(_table(look()))


def _table(answer: dict[str, Any]) -> Table:
    table = Table()
    for column in ("no.", "opened", "state", "class", "host", "service"):
        table.add_column(column, no_wrap=True)
    table.add_column("cause, and how it stands")
    for row in answer["incidents"]:
        opened = datetime.fromisoformat(row["opened_at"]).astimezone().strftime("%m-%d %H:%M")
        cells = (
            row["id"],
            opened,
            row["state"],
            row["failure_class"],
            row["host"],
            row["service"] or "",
            f"{row['cause']} - {row['reason']}" if row.get("cause") else row["reason"],
        )
        # As Text, so that a label is no markup.
        table.add_row(*(Text(plain(cell)) for cell in cells))
    return table


@app.command()
@asks_receiver
def show(receiver: AskedReceiver, number: Number, watch: Watch = False, as_json: AsJson = False) -> None:
    """Show one incident as a timeline; with --watch as it grows, until the incident has ended."""

    def look() -> dict[str, Any]:
        return receiver.ask("GET", f"/api/v1/incidents/{number}", wanted="timeline")

    if watch:
        follow(look, as_json=as_json)
    elif as_json:
        typer.echo(json.dumps(look(), indent=2))
    else:
        _print(look())


@app.command()
@asks_receiver
def report(
    receiver: AskedReceiver,
    number: Number,
    form: Annotated[Format, typer.Option("--format", help="Markdown, one HTML file, or plain text.")] = Format.markdown,
    out: Annotated[Path | None, typer.Option(help="Write it here; to standard output by default.")] = None,
) -> None:
    """Write what happened in one incident, for the people who look at it afterwards."""
    from autoglm_recovery.report import report_on, to_html, to_markdown, to_text  # noqa: PLC0415 - others start faster without

    told = report_on(receiver.ask("GET", f"/api/v1/incidents/{number}", wanted="timeline"))
    text = {Format.html: to_html, Format.markdown: to_markdown, Format.text: to_text}[form](told)
    if out is None:
        typer.echo(text, nl=False)
        return
    try:
        out.write_text(text, "utf-8")
    except OSError as error:
        cannot_ask(f"{out} cannot be written: {error.strerror}")
    typer.echo(f"wrote {out}")


def _offer(order: str, does: str) -> None:
    """Make an order a command of its own."""

    @asks_receiver
    def give(receiver: AskedReceiver, number: Number, comment: Comment = "", as_json: AsJson = False) -> None:
        body = {"comment": comment} if comment else None
        incident = receiver.ask("POST", f"/api/v1/incidents/{number}/{order}", body=body, wanted="state")
        typer.echo(json.dumps(incident, indent=2) if as_json else f"incident {number} is {incident['state']}")

    app.command(order, help=does)(give)


_offer("approve", "Let a held action run.")
_offer("reject", "Refuse a held action and close the incident.")
_offer("retry", "Climb the ladder again from its first rung.")
_offer("close", "Close an incident by hand.")
_offer("cancel", "End the run that is under way; the incident is left with a person.")


@asks_receiver
def pause(receiver: AskedReceiver, comment: Comment = "", as_json: AsJson = False) -> None:
    """Stop all actions on the whole fleet until resume, also over restarts.  Runs under way go on to their end."""
    _turn(receiver, "pause", comment, as_json)


@asks_receiver
def resume(receiver: AskedReceiver, comment: Comment = "", as_json: AsJson = False) -> None:
    """Let actions be begun again after pause."""
    _turn(receiver, "resume", comment, as_json)


def _turn(receiver: AskedReceiver, turn: str, comment: str, as_json: bool) -> None:
    state = receiver.ask("POST", f"/api/v1/{turn}", body={"comment": comment} if comment else None, wanted="paused")
    said = "paused" if state["paused"] else "not paused"
    typer.echo(json.dumps(state, indent=2) if as_json else f"actions are {said}, by {plain(state['by'])}")


def _print(incident: dict[str, Any]) -> None:
    console = Console()
    console.print(heading(incident))
    before: datetime | None = None
    for line in incident["timeline"]:
        at = datetime.fromisoformat(line["at"])
        console.print(timeline_line(line, before or at), soft_wrap=True)
        before = at
    if left_out := incident.get("left_out", {}).get("timeline"):
        typer.echo(f"{left_out} lines between the first and the newest are left out")
