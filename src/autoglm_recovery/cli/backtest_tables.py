# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A backtest's report as tables for people."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from autoglm_recovery.durations import format_duration
from autoglm_recovery.knowledge.host.plain import plain

# So many rows of what may have no end; --json has them all.
_MOST_ROWS = 20
_COUNTS = ("incidents", "runs", "held", "escalated", "resolved")


def print_report(told: Mapping[str, Any]) -> None:
    """Print everything that a person wants to know first."""
    console = Console()
    for line in _head(told):
        console.print(Text(plain(line)), soft_wrap=True)
    for key, what in (("classes", "failure class"), ("hosts", "host")):
        rows = [(name, *(counts[column] for column in _COUNTS)) for name, counts in _busy(told[key])]
        _table(console, f"by {what}", (what, *_COUNTS), rows)
    actions = [
        (action, of["runs"], of["hosts"], ", ".join(f"{count} {state}" for state, count in of["by_state"].items()))
        for action, of in told["actions"].items()
    ]
    _table(console, "what would have run", ("action", "runs", "hosts", "how they ended"), actions)
    rails = [
        (of["rule"], of["decision"], of["times"], of["incidents"], _lasting(of["seconds"])) for of in told["guardrails"]
    ]
    _table(console, "what stood in the way", ("rule", "made it", "times", "incidents", "in all"), rails)
    for title, key in (("held", "held"), ("a person would have been called", "escalated")):
        _table(console, title, ("times", "first at", "hosts", "class", "reason"), _alike(told[key]))
    refused = [(of["times"], ", ".join(of["alerts"]), of["reason"]) for of in told["alerts"]["refused_because"]]
    refused += [(of["times"], "", of["reason"]) for of in told["alerts"]["set_aside_because"]]
    _table(console, "alerts without a target", ("times", "alerts", "reason"), refused)


def _head(told: Mapping[str, Any]) -> Iterable[str]:
    record, alerts = told["record"], told["alerts"]
    yield f"{told['prometheus']} from {_utc_time(record['since'])} to {_utc_time(record['until'])} UTC"
    if record["begins"] is None:
        yield "nothing was recorded in all that time: this says nothing about the policy"
    elif record["begins"] > record["since"]:
        yield f"the record begins at {_utc_time(record['begins'])}"
    for hole in record["holes"][:_MOST_ROWS]:
        yield f"nothing was recorded from {_utc_time(hole['from'])} to {_utc_time(hole['until'])}"
    yield from (f"Prometheus warns: {warning}" for warning in record["warnings"])
    yield (
        f"{record['series']} alerts fired {record['fired']} times: {alerts['joined']} taken in, {alerts['refused']}"
        f" without a target, {alerts['ignored']} ignored, {alerts['set_aside']} unreadable"
    )
    if alerts["own"]["fired"]:
        yield (
            f"{alerts['own']['fired']} times more one of our own fired that is for people and about no host's fault:"
            f" {', '.join(alerts['own']['alerts'])}"
        )
    if record["firing_at_the_beginning"]:
        yield f"{record['firing_at_the_beginning']} of them fired when the time began: they are taken to begin there"
    states = ", ".join(f"{count} {state}" for state, count in told["incidents"]["by_state"].items())
    standing = f", at the end {states}" if states else ""
    yield f"{told['incidents']['total']} incidents{standing}; {len(told['runs'])} runs"
    for of, most in told["busiest_minute"].items():
        if most:
            yield f"busiest minute: {most['count']} {of} at {_utc_time(most['at'])}"
    yield from (f"assumed: {assumption}" for assumption in told["assumptions"])


def _busy(counts: Mapping[str, Mapping[str, int]]) -> list[tuple[str, Mapping[str, int]]]:
    return sorted(counts.items(), key=lambda one: (-one[1]["incidents"], one[0]))


def _alike(stops: Iterable[Mapping[str, Any]]) -> list[tuple[object, ...]]:
    """Gather stops of one class for one reason, the most frequent first."""
    found: dict[tuple[str, str], list[Mapping[str, Any]]] = {}
    for stop in stops:
        found.setdefault((stop["failure_class"], stop["reason"]), []).append(stop)
    rows: list[tuple[object, ...]] = []
    for (failure_class, reason), mine in sorted(found.items(), key=lambda one: -len(one[1])):
        hosts = sorted({stop["host"] for stop in mine})
        named = hosts[0] if len(hosts) == 1 else f"{len(hosts)} hosts"
        rows.append((len(mine), _utc_time(mine[0]["at"]), named, failure_class, reason))
    return rows


def _table(console: Console, title: str, headings: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    if not rows:
        return
    table = Table(title=Text(title, style="bold"), title_justify="left")
    for heading in headings:
        table.add_column(heading, no_wrap=heading != "reason", overflow="fold")
    for row in rows[:_MOST_ROWS]:
        # As Text, so that a label is no markup.
        table.add_row(*(Text(plain(cell)) for cell in row))
    console.print(table)
    if len(rows) > _MOST_ROWS:
        console.print(f"and {len(rows) - _MOST_ROWS} more; --json has all of them")


def _utc_time(at: str) -> str:
    return datetime.fromisoformat(at).astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S")


def _lasting(seconds: float) -> str:
    return format_duration(timedelta(seconds=round(seconds)))
