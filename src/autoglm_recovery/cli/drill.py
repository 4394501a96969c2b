# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""``autoglm drill``: break a declared test service as a class of failures does, and tell how the fleet heals it."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from autoglm_recovery.cli.asking import AskedReceiver, asks_receiver
from autoglm_recovery.cli.options import duration
from autoglm_recovery.cli.refusing import cannot_ask, refuse
from autoglm_recovery.cli.watching import ENDED, timeline_line
from autoglm_recovery.knowledge.host.plain import plain

PLAYBOOK = "autoglm.recovery.drill"
_LOOK_EVERY_S = 1.0
_INJECTION_S = 300.0
_LAST_LINES = 12
# A drill has shown then that it takes a person; what is held waits for one who looks at the drill.
_FOR_A_PERSON = "escalated"


class DrilledClass(StrEnum):
    """Classes of which a fault can be made on purpose."""

    crash = "crash"
    unresponsive = "unresponsive"
    deadlock = "deadlock"


@dataclass
class DrillWatch:
    """What was seen of the incident that a drill has made.  Times in seconds since the epoch.

    seen_as: the class by which it was opened.  The repair itself may add another: a process that hangs is killed in the
    end, and while none runs the service looks like one that has crashed.
    """

    injected_at: float
    before: frozenset[int]
    incident: dict[str, Any] | None = None
    seen_as: str | None = None
    shown: set[int] = field(default_factory=set)

    def choose(self, rows: list[dict[str, Any]]) -> int | None:
        """Return the incident of the drill among those of the host: the first that was not there before."""
        new = sorted(row["id"] for row in rows if row["id"] not in self.before)
        return new[0] if new else None

    def take(self, incident: dict[str, Any]) -> None:
        """Keep what the incident is now."""
        self.incident = incident
        self.seen_as = self.seen_as or incident["failure_class"]

    def news(self) -> Iterator[dict[str, Any]]:
        """Yield the lines of its timeline that were not shown yet."""
        for line in (self.incident or {}).get("timeline", ()):
            if line["id"] not in self.shown:
                self.shown.add(line["id"])
                yield line

    @property
    def over(self) -> bool:
        """Tell whether nothing more comes by itself."""
        return self.incident is not None and self.incident["state"] in (*ENDED, _FOR_A_PERSON)

    @property
    def recovered(self) -> bool:
        """Tell whether it was healed, by proof and without a person."""
        return self.incident is not None and self.incident["state"] == "resolved"

    def seconds(self) -> float | None:
        """Return how long it took until it was proven well, None where it was not."""
        if not self.recovered or self.incident is None:
            return None
        last = max(datetime.fromisoformat(line["at"]).timestamp() for line in self.incident["timeline"])
        return last - self.injected_at


@asks_receiver
def drill(  # noqa: PLR0917 - options are arguments
    receiver: AskedReceiver,
    failure_class: Annotated[DrilledClass, typer.Argument(help="What kind of failure is made.")],
    host: Annotated[str, typer.Option(help="The exact name of a host with autoglm_drill: true.")],
    inventory: Annotated[Path, typer.Option("--inventory", "-i", help="The Ansible inventory of the fleet.")],
    service: Annotated[str | None, typer.Option(help="One of its services; not needed where it has one.")] = None,
    within: Annotated[str, typer.Option(help="How long it may take to heal, as in 10m.")] = "10m",
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON for a program.")] = False,
) -> None:
    """Break a service of a host that is declared for it, and tell how the fleet notices and heals it.

    Exit code 0: it was healed without a person; 1: refused, or not healed within the time.
    """
    patience = duration(within, "--within")

    def rows() -> list[dict[str, Any]]:
        return list(receiver.ask("GET", "/api/v1/incidents", {"host": host}, wanted="incidents")["incidents"])

    def look(number: int) -> dict[str, Any]:
        return receiver.ask("GET", f"/api/v1/incidents/{number}", wanted="timeline")

    known = rows()
    if busy := [row["id"] for row in known if row["state"] not in ENDED]:
        refuse(f"{host} has an incident already, number {busy[0]}: nothing was changed")
    said = Console(quiet=as_json)
    asked = {"target": host, **({"service": service} if service else {})}
    _play(inventory, {**asked, "fault": failure_class.value})
    watch = DrillWatch(time.time(), frozenset(row["id"] for row in known))
    said.print(f"{host} is broken, as by {failure_class.value}; waiting for the fleet to heal it, {within} at most")
    _follow(watch, rows, look, said, watch.injected_at + patience)
    if not watch.recovered:
        _play(inventory, {**asked, "fault": "none"})
    _tell(watch, failure_class.value, host, as_json=as_json)


def _play(inventory: Path, extra: dict[str, str]) -> None:
    """Run the playbook; end with what it said last where it fails."""
    program = [sys.executable, "-P", "-m", "ansible", "playbook", PLAYBOOK, "--inventory", str(inventory)]
    try:
        done = subprocess.run(
            [*program, "--extra-vars", json.dumps(extra)],
            capture_output=True,
            text=True,
            check=False,
            stdin=subprocess.DEVNULL,
            timeout=_INJECTION_S,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        cannot_ask(f"the playbook {PLAYBOOK} could not be run: {plain(error)}")
    if done.returncode != 0:
        last = [line for line in (done.stdout + done.stderr).splitlines() if line.strip()][-_LAST_LINES:]
        refuse("\n".join([f"the playbook {PLAYBOOK} has failed:", *map(plain, last)]))


def _follow(
    watch: DrillWatch,
    rows: Callable[[], list[dict[str, Any]]],
    look: Callable[[int], dict[str, Any]],
    said: Console,
    until: float,
) -> None:
    """Print the timeline as it grows, until the incident is over or the time is."""
    begun = datetime.fromtimestamp(watch.injected_at, UTC)
    while not watch.over and time.time() < until:
        number = watch.incident["id"] if watch.incident else watch.choose(rows())
        if number is not None:
            watch.take(look(number))
            for line in watch.news():
                said.print(timeline_line(line, begun), soft_wrap=True)
        if not watch.over:
            time.sleep(_LOOK_EVERY_S)


def _tell(watch: DrillWatch, failure_class: str, host: str, *, as_json: bool) -> None:
    """Say how it ended, and end."""
    incident, seconds = watch.incident, watch.seconds()
    told = {
        "failure_class": failure_class,
        "host": host,
        "injected_at": watch.injected_at,
        "incident": incident and incident["id"],
        "seen_as": watch.seen_as,
        "state": incident and incident["state"],
        "recovered_s": seconds and round(seconds, 1),
    }
    if as_json:
        typer.echo(json.dumps(told, indent=2))
    elif seconds is not None and incident is not None:
        typer.echo(f"healed {seconds:.1f} s after the fault: incident {incident['id']}, {watch.seen_as}")
    elif incident is None:
        typer.echo("NOT HEALED: no incident was opened; does the alert get to the receiver? (autoglm doctor)")
    else:
        typer.echo(f"NOT HEALED: incident {incident['id']} is {incident['state']}: {plain(incident['reason'])}")
    raise typer.Exit(0 if watch.recovered else 1)
