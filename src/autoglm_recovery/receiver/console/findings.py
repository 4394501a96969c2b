# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The head of an incident's page: what failed, what was found, and where the evidence is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from autoglm_recovery.receiver.console.tones import DANGER

# Runs that ended in these states are shown in red, however the incident ended.
FAILED = frozenset({"failed", "lost"})
MOST_EVIDENCE = 5


class LineOfRun(Protocol):
    """A line of a timeline."""

    @property
    def kind(self) -> str:
        """The kind of event."""

    @property
    def text(self) -> str:
        """The text of the line."""

    @property
    def tone(self) -> str:
        """The tone that the page shows it in."""


class RunWithLines(Protocol):
    """A run with the lines that it reported."""

    @property
    def id(self) -> int:
        """The run's number."""

    @property
    def action(self) -> str:
        """The action."""

    @property
    def state(self) -> str:
        """The run's state."""

    @property
    def link(self) -> str | None:
        """The address at which its launcher shows the run."""

    @property
    def lines(self) -> Sequence[LineOfRun]:
        """The lines that it reported."""


@dataclass(frozen=True)
class FindingShown:
    """One finding: its ``kind`` in words for people, its tone, and the number of its run."""

    kind: str
    text: str
    tone: str
    run: int | None = None


@dataclass(frozen=True)
class Findings:
    """``failed`` describes the last run if it failed; ``run`` is the number of the last run, whose output is linked."""

    failed: str | None
    lines: tuple[FindingShown, ...]
    run: int | None
    link: str | None


def findings(runs: Sequence[RunWithLines]) -> Findings:
    """Return the findings of runs, oldest first: the task that ended the last run, its last proof, all evidence."""
    if not runs:
        return Findings(None, (), None, None)
    last = runs[-1]
    failed = f"{last.action} {last.state}" if last.state in FAILED else None
    lines: list[FindingShown] = []
    if failed:
        ended_by = [line for line in last.lines if line.kind == "task" and line.tone == DANGER]
        lines += [FindingShown("failed task", line.text, line.tone, last.id) for line in ended_by[-1:]]
    proofs = [(line, run) for run in runs for line in run.lines if line.kind == "proof"]
    lines += [FindingShown("found", line.text, line.tone, run.id) for line, run in proofs[-1:]]
    saved = [(line.text, run.id) for run in reversed(runs) for line in run.lines if line.kind == "evidence"]
    lines += [FindingShown("evidence", text, "", of) for text, of in dict(saved).items()][:MOST_EVIDENCE]
    return Findings(failed, tuple(lines), last.id, last.link)
