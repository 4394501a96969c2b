# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The output of a run's playbook, if this receiver has it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import sqlalchemy as sa

from autoglm_recovery.receiver.console.rendering import link
from autoglm_recovery.receiver.process import cleaned
from autoglm_recovery.receiver.process.redact import without_secrets
from autoglm_recovery.receiver.runs import kept_evidence
from autoglm_recovery.receiver.store.schema import runs

MOST_BYTES = 256 << 10
NO_EVIDENCE = (
    "Nothing of this run's evidence is kept here: it saved none, or another receiver followed it, or its directory is "
    "removed. The bundle itself is on the host.\n"
)
# Ansible's colours are removed; all other control characters are shown as escapes.
_COLOURS = re.compile(r"\x1b\[[0-9;]*m")


@dataclass(frozen=True)
class OutputPage:
    """The end of the output.  ``why_not`` says why there is none."""

    run: int
    incident: int
    action: str
    host: str
    state: str
    lines: tuple[str, ...]
    cut: bool
    why_not: str | None
    link: str | None


def page(connection: sa.Connection, run_id: int, runs_in: Path) -> OutputPage | None:
    """Return the output of a run, or None if there is no such run."""
    run = connection.execute(sa.select(runs).where(runs.c.id == run_id)).one_or_none()
    if run is None:
        return None
    raw, cut, why_not = _read_end(Path(run.directory), runs_in)
    # The output of an ended run has been redacted already.
    text = cleaned.output(raw)
    return OutputPage(
        run=run.id,
        incident=run.incident_id,
        action=run.action,
        host=run.host,
        state=run.state,
        lines=tuple(_COLOURS.sub("", text).splitlines()),
        cut=cut,
        why_not=why_not,
        link=link(run.link),
    )


def evidence(connection: sa.Connection, run_id: int, runs_in: Path) -> str | None:
    """Return this receiver's excerpts of a run's evidence, as plain text; None if there are none."""
    run = connection.execute(sa.select(runs.c.directory).where(runs.c.id == run_id)).one_or_none()
    if run is None:
        return None
    # Another receiver may have begun a run of AWX, in its own directories.
    directory = runs_in / Path(run.directory).name
    if directory.resolve().parent != runs_in.resolve():
        return None
    bundles = kept_evidence.kept(directory)
    # The host has redacted the evidence, but a compromised host may not have.
    return without_secrets(kept_evidence.as_text(bundles)) if bundles else None


def _read_end(directory: Path, runs_in: Path) -> tuple[str, bool, str | None]:
    """Read the end of the output; only below the directory of runs, whatever the database says."""
    if not directory.resolve().is_relative_to(runs_in.resolve()):
        return "", False, "the run's directory is not on this receiver"
    found = sorted(directory.glob("artifacts/*/stdout"))
    if not found:
        return "", False, "there is no output here: the run has not begun, or it was on another receiver, or is removed"
    with open(found[-1], "rb") as file:
        size = file.seek(0, 2)
        file.seek(max(0, size - MOST_BYTES))
        return file.read(MOST_BYTES).decode("utf-8", "replace"), size > MOST_BYTES, None
