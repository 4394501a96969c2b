# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Look again and again at what a receiver shows, until a person or the thing itself says that it is enough."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Any

import typer
from rich.console import Console, RenderableType
from rich.live import Live
from rich.text import Text

from autoglm_recovery.knowledge.host.plain import plain

EVERY_S = 2.0
ENDED = ("resolved", "closed")


@contextmanager
def until_interrupted() -> Iterator[None]:
    """Let Ctrl-C be the ordinary end."""
    try:
        yield
    except KeyboardInterrupt:
        typer.echo(err=True)


def watch_list(look: Callable[[], dict[str, Any]], draw: Callable[[dict[str, Any]], RenderableType]) -> None:
    """Draw the newest look in place on a terminal; elsewhere draw each below the one before."""
    console = Console()
    with until_interrupted():
        if not console.is_terminal:
            while True:
                console.print(draw(look()))
                time.sleep(EVERY_S)
        with Live(draw(look()), console=console, auto_refresh=False) as live:
            while True:
                time.sleep(EVERY_S)
                live.update(draw(look()), refresh=True)


def watch_list_as_json(look: Callable[[], dict[str, Any]]) -> None:
    """Print each look as one line."""
    with until_interrupted():
        while True:
            typer.echo(json.dumps(look()))
            time.sleep(EVERY_S)


def follow(look: Callable[[], dict[str, Any]], *, as_json: bool) -> None:
    """Print the timeline of an incident line by line as it grows, until the incident has ended."""
    console, seen = Console(), set[int]()
    with until_interrupted():
        incident = look()
        if not as_json:
            console.print(heading(incident))
        while True:
            for line in incident["timeline"]:
                if line["id"] not in seen:
                    seen.add(line["id"])
                    typer.echo(json.dumps(line)) if as_json else console.print(timeline_line(line), soft_wrap=True)
            if incident["state"] in ENDED:
                break
            time.sleep(EVERY_S)
            incident = look()
        if not as_json:
            console.print(heading(incident))


def heading(incident: dict[str, Any]) -> Text:
    """Say in one line what an incident is and how it stands."""
    head = f"incident {incident['id']}: {incident['failure_class']} on {incident['host']}, {incident['state']}"
    cause = f"\n{plain(incident['cause'])}" if incident.get("cause") else ""
    return Text(f"{plain(head)}{cause}", style="bold")


def timeline_line(line: dict[str, Any], before: datetime | None = None) -> Text:
    """Write a line of a timeline, with the seconds since the one before where there is one."""
    at = datetime.fromisoformat(line["at"])
    since = f"{(at - before).total_seconds():+7.1f} s  " if before else ""
    stamp = at.astimezone().strftime("%H:%M:%S.%f")[:-4]
    return Text(f"{stamp} {since}{line['kind']:12} {plain(line['text'])}")
