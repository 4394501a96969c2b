# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""``autoglm doctor``: is this installation whole, and what is to be done."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Collection
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from autoglm_recovery.cli.asking import DEFAULT_URL
from autoglm_recovery.cli.exit_codes import ExitCode
from autoglm_recovery.knowledge.host.plain import plain

if TYPE_CHECKING:
    from autoglm_recovery.receiver.doctor.finding import FindingLevel


def doctor(  # noqa: PLR0917 - options are arguments
    inventory: Annotated[Path, typer.Option("--inventory", "-i", help="The Ansible inventory of the fleet.")],
    policy: Annotated[Path | None, typer.Option(help="The policy file; without one, defaults hold.")] = None,
    prometheus: Annotated[
        str | None, typer.Option(help="Prometheus' URL; by default the policy's monitoring.prometheus.")
    ] = None,
    url: Annotated[
        str | None, typer.Option(help="The URL of the running receiver, to ask whether it is ready.")
    ] = None,
    ca_file: Annotated[Path | None, typer.Option(help="Authorities (PEM) for --url and --prometheus.")] = None,
    access_file: Annotated[list[Path] | None, typer.Option(help="As for serve: who may come in.")] = None,
    hosts: Annotated[bool, typer.Option(help="Reach the hosts, as a run would.")] = True,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON for a program.")] = False,
) -> None:
    """Check a whole installation, and say what to do.  Run it where serve runs: same folder, account and environment.

    Exit code 0: nothing has to be done; 1: something is wrong; 3: nothing that was seen, but not all could be seen.
    """
    from autoglm_recovery.receiver.doctor.examine import Installation, examine  # noqa: PLC0415 - see serve
    from autoglm_recovery.receiver.doctor.finding import FindingLevel, well  # noqa: PLC0415

    with tempfile.TemporaryDirectory(prefix="autoglm-doctor-") as directory:
        given = Installation(
            policy,
            inventory,
            Path(directory) / "run",
            prometheus,
            url or DEFAULT_URL,
            ca_file,
            tuple(access_file or ()),
            ask_hosts=hosts,
            ask_receiver=url is not None,
        )
        found = examine(given, lambda what: None if as_json else typer.echo(f"... {what}", err=True))
    if as_json:
        typer.echo(json.dumps({"ok": well(found), "findings": [asdict(finding) for finding in found]}, indent=2))
    else:
        for finding in sorted(found, key=lambda each: list(FindingLevel).index(each.level)):
            where = f"{finding.where}: " if finding.where else ""
            typer.echo(plain(f"{finding.level:8} {finding.check:11} {where}{finding.what}"))
            if finding.do:
                typer.echo(plain(f"{'':20} -> {finding.do}"))
    raise typer.Exit(_comes_to({finding.level for finding in found}))


def _comes_to(levels: Collection[FindingLevel]) -> ExitCode:
    if "wrong" in levels:
        return ExitCode.no
    return ExitCode.unasked if "unknown" in levels else ExitCode.done
