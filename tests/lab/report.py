# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the demo tells: one line per event, a table of the stages, the traffic, and what is to complain about."""

from __future__ import annotations

import shutil
import textwrap

from rich.console import Console
from rich.table import Table

from tests.support.servers.traffic import Counts

from . import engine
from .laboratory import Lab
from .progress import say
from .receiver import Receiver
from .timeline import Event, Timeline

# Rows of the table: what people call the stage, and the first event that marks it (its kind, words in its text).
STAGES = (
    ("kernel killed llama-server on node-a", "fault", ""),
    ("alert fires in Prometheus", "firing", ""),
    ("webhook committed by the receiver", "committed", ""),
    ("failure class known", "classified", ""),
    ("action decided", "decided", ""),
    ("playbook launched", "run_started", ""),
    ("first task done", "task", ""),
    ("node-a generates again", "up", ""),
    ("proven healthy by the playbook", "proof", "is healthy"),
    ("playbook finished", "run_finished", ""),
    ("incident resolved", "resolved", ""),
)

HEADING = f"  {'since fault':>11} {'step':>8}  what happened"
MARGIN = " " * 24


def line(event: Event, fault: float, before: float) -> str:
    """One event: seconds since the fault, seconds since the event before, what it was."""
    head = f"  {event.at - fault:9.2f} s {max(0.0, event.at - before):6.2f} s  "
    text = f"{event.kind:<12} {event.text}"
    return textwrap.fill(text, max(80, _width()), initial_indent=head, subsequent_indent=MARGIN + " " * 13)


def _width() -> int:
    return min(140, shutil.get_terminal_size((110, 24)).columns)


def complaints(lab: Lab, receiver: Receiver, story: Timeline) -> list[str]:
    """Say what speaks against it that the service really came back, by the right hand and no other."""
    found = []
    if engine.generates(lab.node_a, seconds=5) is None:
        found.append("node-a does not generate")
    incident = story.incident
    if incident is None:
        return [*found, f"no incident reached the receiver; its last words: {receiver.last_words()}"]
    if incident["state"] != "resolved":
        found.append(f"the incident is {incident['state']}, not resolved")
    if incident["failure_class"] != "oom":
        found.append(f"the failure class is {incident['failure_class']}, not oom")
    everything = [receiver.incident(one["id"]) for one in receiver.incidents()]
    where = [run["host"] for one in everything for run in one["runs"]]
    if where != ["node-a"]:
        found.append(f"there should be one run, on node-a; there were runs on: {', '.join(where) or 'no host'}")
    return found


def show_stages(story: Timeline) -> None:
    """Print how long each stage took."""
    marks = [(text, story.first(kind, said)) for text, kind, said in STAGES]
    table = Table(title="From the kill to the cure")
    table.add_column("stage")
    table.add_column("since the fault", justify="right")
    table.add_column("since the stage before", justify="right")
    before = story.fault.at
    for at, text in sorted((at, text) for text, at in marks if at is not None):
        table.add_row(text, f"{at - story.fault.at:.2f} s", f"{at - before:.2f} s")
        before = at
    for text in (text for text, at in marks if at is None):
        table.add_row(text, "not reached", "")
    print()
    Console(width=max(80, _width())).print(table)


def show_traffic(counts: Counts, retried: int) -> None:
    """Print what the users saw."""
    say(
        f"Requests through HAProxy: {counts.sent} sent, {counts.ok} answered whole, {counts.failed} failed, "
        f"{counts.truncated} streams broken off; {retried} sent again by HAProxy"
    )
    for error, times in counts.errors.items():
        say(f"  {times} x {error}")
    shares = ", ".join(f"{times} by {node}" for node, times in sorted(counts.by_node.items()))
    say(f"Answered whole: {shares}")
