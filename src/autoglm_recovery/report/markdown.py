# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A report as Markdown (CommonMark with tables), for tickets and chat."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from autoglm_recovery.knowledge.host.plain import one_line
from autoglm_recovery.report.document import Report, duration, moment, output, when

# What could begin a link, an emphasis, a table cell, HTML, a heading or a mention.
_SPECIAL = re.compile(r"([\\`*_{}\[\]<>()#+!|~-])")


def to_markdown(report: Report) -> str:
    """Write the report."""
    parts = [
        f"# {_escaped(report.title)}",
        f"**{_escaped(report.outcome)}**",
        _table(("", ""), report.facts),
    ]
    if report.open_ends:
        parts += ["## Left for a person", "\n".join(f"- {_escaped(text)}" for text in report.open_ends)]
    stages = [(s.name, moment(s.at), duration(s.since_alert), duration(s.since_before)) for s in report.stages]
    parts += ["## How long it took", _table(("stage", "at", "since the first alert", "since the stage before"), stages)]
    runs = [
        (
            *(f"{run['id']}", when(run), run["action"], run["host"], run["state"], run.get("cause") or ""),
            *(run["reason"], output(run)),
        )
        for run in report.runs
    ]
    none = "No playbook was run."
    parts += [
        "## What was done",
        _table(("run", "at", "action", "host", "outcome", "cause", "why", "output"), runs) if runs else none,
    ]
    if report.earlier:
        before = [
            (str(run["incident_id"]), when(run), run["action"], run["state"], run.get("cause") or "", output(run))
            for run in report.earlier
        ]
        head = ("incident", "at", "action", "outcome", "cause", "output")
        parts += ["## What earlier incidents tried", _table(head, before)]
    if report.evidence:
        parts += ["## Evidence", "\n".join(f"- {_escaped(text)}" for text in report.evidence)]
    alerts = [
        (a["labels"].get("alertname", "?"), a["status"], a["starts_at"], a["annotations"].get("summary", ""))
        for a in report.alerts
    ]
    parts += ["## Alerts", _table(("alert", "status", "since", "summary"), alerts)]
    lines = [(moment(line.at), line.kind, line.text) for line in report.lines]
    parts += ["## Timeline", _table(("at", "what", ""), lines)]
    return "\n\n".join(parts) + "\n"


def _table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    told = [head, ["---"] * len(head)]
    lines = ["| " + " | ".join(row) + " |" for row in told]
    lines += ["| " + " | ".join(_escaped(cell) for cell in row) + " |" for row in rows]
    return "\n".join(lines)


def _escaped(text: object) -> str:
    """A text from outside on one line, with all markup escaped."""
    line = one_line(text)
    # A word joiner prevents a mention: chats and forges take a name after @ for one, escaped or not.
    return _SPECIAL.sub(r"\\\1", line).replace("&", "&amp;").replace("@", "@\u2060")
