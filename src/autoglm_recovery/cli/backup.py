# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Save the receiver's database, and go on from what was saved."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from autoglm_recovery.cli.options import database_url
from autoglm_recovery.cli.refusing import cannot_ask, refuse
from autoglm_recovery.knowledge.host import clocks

StateDir = Annotated[Path, typer.Option(help="The receiver's state directory.")]
DatabaseUrl = Annotated[
    str | None, typer.Option("--database", envvar="AUTOGLM_DATABASE", help="postgresql://..., as serve has it.")
]
DatabaseFile = Annotated[Path | None, typer.Option(help="A file with the database's URL, as serve has it.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for a program.")]


def backup(
    out: Annotated[Path, typer.Argument(help="The file to write, or a directory for one that is named by time.")],
    state_dir: StateDir = Path("autoglm-state"),
    database: DatabaseUrl = None,
    database_file: DatabaseFile = None,
    as_json: AsJson = False,
) -> None:
    """Save the database in one file, also while receivers work on it."""
    from autoglm_recovery.receiver.store import backup as saving  # noqa: PLC0415 - other commands start faster without
    from autoglm_recovery.receiver.store import engines  # noqa: PLC0415

    try:
        source = engines.parse(database_url(database, database_file) or f"sqlite:///{_database_of(state_dir)}")
        path, about = saving.save(source, out)
    except (ValueError, saving.BackupError) as error:
        refuse(error)
    size = path.stat().st_size
    told = {
        "path": str(path),
        "bytes": size,
        "taken_at": clocks.iso_second(about.taken_at),
        "installation": about.installation,
    }
    _print_result(told, f"saved {path} ({size} bytes) of {told['taken_at']}", as_json=as_json)


def restore(
    saved: Annotated[Path, typer.Argument(help="A file that autoglm backup wrote.")],
    state_dir: StateDir = Path("autoglm-state"),
    database: DatabaseUrl = None,
    database_file: DatabaseFile = None,
    replace: Annotated[
        bool, typer.Option("--replace", help="Move an SQLite database that is there aside; nothing is removed.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Put a backup in the place of the database.  No receiver may be running on it."""
    from autoglm_recovery.receiver.serve.serve import ServeError, only_receiver  # noqa: PLC0415 - as in backup
    from autoglm_recovery.receiver.store import restore as restoring  # noqa: PLC0415
    from autoglm_recovery.receiver.store.backup import BackupError  # noqa: PLC0415

    url = database_url(database, database_file)
    try:
        if url is not None:
            restored = restoring.into_postgresql(saved, url)
        else:
            state_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
            with only_receiver(state_dir):
                restored = restoring.into_file(saved, state_dir / "receiver.db", replace=replace)
    except (BackupError, OSError, ServeError, ValueError) as error:
        refuse(error)
    taken = clocks.iso_second(restored.about.taken_at)
    lines = [f"restored the backup of {taken}; the installation is now {restored.installation[:12]}"]
    if restored.kept:
        lines.append(f"the database of before is {restored.kept}")
    if restored.incidents:
        numbers = ", ".join(map(str, restored.incidents))
        lines.append(f"not known what became of incidents {numbers}: look at them, then close or retry each")
    if restored.forgotten:
        lines.append(f"alerts that were stored then and not acted on yet are forgotten: {restored.forgotten}")
    lines.append("start the receiver; what fires is heard again when Alertmanager repeats it")
    told = {
        "taken_at": taken,
        "installation": restored.installation,
        "kept": str(restored.kept) if restored.kept else None,
        "incidents": list(restored.incidents),
        "runs": list(restored.runs),
        "forgotten_alerts": restored.forgotten,
    }
    _print_result(told, "\n".join(lines), as_json=as_json)


def _database_of(state_dir: Path) -> Path:
    path = state_dir / "receiver.db"
    if not path.is_file():
        cannot_ask(f"{path} is not there; give the --state-dir of the receiver, or its --database")
    return path.resolve()


def _print_result(told: dict[str, Any], text: str, *, as_json: bool) -> None:
    typer.echo(json.dumps(told, indent=2) if as_json else text)
