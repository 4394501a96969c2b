# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A report as plain text, for a terminal, a telephone or a mail: nothing in it is markup, and nothing is escaped."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Iterator, Sequence

from autoglm_recovery.knowledge.host.plain import one_line, plain
from autoglm_recovery.report.document import Report, duration, moment, output, when

WIDTH = 100


def to_text(report: Report) -> str:
    """Write the report."""
    parts = [
        [*_heading(report.title, "="), *_wrapped(report.outcome, "  ", "  "), "", *_pair_lines(report.facts)],
        _section("Left for a person", (line for end in report.open_ends for line in _wrapped(end, "- ", "  "))),
        _section("What was done", _run_lines(report)),
        _section("What earlier incidents tried", _earlier_lines(report)),
        _section("Evidence", (line for text in report.evidence for line in _wrapped(text, "- ", "  "))),
        _section("How long it took", _stage_lines(report)),
        _section("Alerts", _alert_lines(report)),
        _section("Timeline (UTC)", _timeline_lines(report)),
    ]
    return "\n\n".join("\n".join(lines) for lines in parts if lines) + "\n"


def _section(name: str, lines: Iterable[str]) -> list[str]:
    told = list(lines)
    return [*_heading(name, "-"), *told] if told else []


def _heading(text: str, rule: str) -> list[str]:
    line = plain(text)
    return [line, rule * min(WIDTH, len(line))]


def _pair_lines(pairs: Sequence[tuple[str, str]]) -> Iterator[str]:
    widest = max((len(name) for name, _ in pairs), default=0)
    for name, value in pairs:
        yield from _wrapped(value, f"{name + ':':{widest + 2}}", " " * (widest + 2))


def _run_lines(report: Report) -> Iterator[str]:
    if not report.runs:
        yield "No playbook was run."
    for run in report.runs:
        began = f", began {when(run)}" if when(run) else ""
        yield from _wrapped(f"{run['action']} on {run['host']}: {run['state']}{began}", f"run {run['id']}: ", "    ")
        yield from _wrapped(str(run.get("cause") or ""), "    cause: ", "           ")
        yield from _wrapped(str(run["reason"]), "    why: ", "         ")
        if output(run):
            yield f"    output: {plain(output(run))}"


def _earlier_lines(report: Report) -> Iterator[str]:
    for run in report.earlier:
        told = f"{run['action']}: {run['state']}, began {when(run)}"
        yield from _wrapped(told, f"incident {run['incident_id']}: ", "    ")
        yield from _wrapped(str(run.get("cause") or ""), "    cause: ", "           ")


def _stage_lines(report: Report) -> Iterator[str]:
    for stage in report.stages:
        yield f"{stage.name:28} {moment(stage.at)}  +{duration(stage.since_alert)}"


def _alert_lines(report: Report) -> Iterator[str]:
    for alert in report.alerts:
        name = alert["labels"].get("alertname", "?")
        yield from _wrapped(f"{name}, {alert['status']}, since {alert['starts_at']}", "", "    ")
        yield from _wrapped(str(alert["annotations"].get("summary", "")), "    ", "    ")


def _timeline_lines(report: Report) -> Iterator[str]:
    for line in report.lines:
        yield from _wrapped(line.text, f"{line.at:%H:%M:%S} {line.kind:12} ", " " * 22)


def _wrapped(text: str, first: str = "", others: str = "") -> list[str]:
    """Wrap a text from outside to a readable width; an empty text gives no lines."""
    line = one_line(text)
    return textwrap.wrap(line, WIDTH, initial_indent=first, subsequent_indent=others) if line else []
