# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the page of an incident says above all else: what failed, what was found, and where the evidence is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from autoglm_recovery.receiver.console.tones import DANGER

# Of runs that ended so, red is told whatever became of the incident.
FAILED = frozenset({"failed", "lost"})
MOST_EVIDENCE = 5


class ToldLine(Protocol):
    """A line of a timeline."""

    @property
    def kind(self) -> str:
        """What it tells of."""

    @property
    def text(self) -> str:
        """What it tells."""

    @property
    def tone(self) -> str:
        """How it looks."""


class ToldRun(Protocol):
    """A run, and what it told."""

    @property
    def id(self) -> int:
        """Its number."""

    @property
    def action(self) -> str:
        """What was run."""

    @property
    def state(self) -> str:
        """How it stands."""

    @property
    def link(self) -> str | None:
        """Where its launcher shows it."""

    @property
    def lines(self) -> Sequence[ToldLine]:
        """What it told."""


@dataclass(frozen=True)
class FindingShown:
    """One line on what was found: its ``kind`` for people, its tone, and the run that it is of."""

    kind: str
    text: str
    tone: str
    run: int | None = None


@dataclass(frozen=True)
class Findings:
    """``failed`` is the last run where that failed; ``run`` is the number of the last one, whose output is linked."""

    failed: str | None
    lines: tuple[FindingShown, ...]
    run: int | None
    link: str | None


def findings(runs: Sequence[ToldRun]) -> Findings:
    """Return what matters of runs, oldest first: the task that ended the last one, its last proof, all evidence."""
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
