# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""``autoglm check`` and ``autoglm schema``: mistakes in a policy and an inventory, before the night."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from autoglm_recovery.cli.exit_codes import ExitCode, of_error
from autoglm_recovery.cli.refusing import refuse
from autoglm_recovery.cli.xid import override_notes
from autoglm_recovery.knowledge.host.plain import plain
from autoglm_recovery.policy import Policy, PolicyError, load_policy
from autoglm_recovery.policy.published import json_schema

if TYPE_CHECKING:
    from autoglm_recovery.receiver.doctor.finding import DoctorFinding


class Schema(StrEnum):
    """What has a schema: the policy file, or what an inventory declares of services and pools."""

    policy = "policy"
    inventory = "inventory"


def check(
    file: Annotated[Path, typer.Argument(help="A policy file.")],
    inventory: Annotated[
        Path | None,
        typer.Option("--inventory", "-i", help="An Ansible inventory: its services and pools are checked."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON for a program.")] = False,
) -> None:
    """Check a policy file, and an inventory with it, and print the mistakes."""
    try:
        policy = load_policy(file)
    except PolicyError as error:
        if as_json:
            problems = [vars(problem) for problem in error.problems]
            typer.echo(json.dumps({"ok": False, "problems": problems, "notes": [], "findings": []}))
            raise typer.Exit(of_error(error)) from error
        refuse(error)
    found = [] if inventory is None else _findings(policy, inventory)
    wrong = [finding for finding in found if finding.level == "wrong"]
    notes = [*_notes(policy), *(_finding_line(finding) for finding in found if finding not in wrong)]
    if as_json:
        findings = [asdict(finding) for finding in wrong]
        typer.echo(json.dumps({"ok": not wrong, "problems": [], "notes": notes, "findings": findings}))
    else:
        _print(file, inventory, wrong, notes)
    if wrong:
        raise typer.Exit(ExitCode.no)


def _print(file: Path, inventory: Path | None, wrong: Sequence[DoctorFinding], notes: Sequence[str]) -> None:
    typer.echo(f"{file}: ok")
    if inventory is not None and not wrong:
        typer.echo(f"{inventory}: ok")
    for finding in wrong:
        typer.echo(plain(f"{inventory}: {_finding_line(finding)}"), err=True)
    for note in notes:
        typer.echo(plain(f"note: {note}"))


def _finding_line(finding: DoctorFinding) -> str:
    where = f"{finding.where}: " if finding.where else ""
    return f"{where}{finding.what}" + (f" ({finding.do})" if finding.do else "")


def _findings(policy: Policy, inventory: Path) -> list[DoctorFinding]:
    """Return what is said of an inventory, as the receiver reads it."""
    from autoglm_recovery.receiver.doctor.inventory import check_inventory  # noqa: PLC0415 - others start faster without
    from autoglm_recovery.receiver.fleet.ansible import AnsibleError, playbooks_folder  # noqa: PLC0415
    from autoglm_recovery.receiver.fleet.fleet import InventoryError, read_fleet  # noqa: PLC0415

    try:
        return check_inventory(read_fleet(inventory, playbooks_folder()), policy)
    except (AnsibleError, InventoryError) as error:
        refuse(error)


def _notes(policy: Policy) -> list[str]:
    """Say what is right but will not do what somebody may expect."""
    notes = override_notes(policy)
    for name in policy.monitoring.unwatched_thresholds:
        watched = ", ".join([*policy.monitoring.metrics, name])
        notes.append(f"monitoring.thresholds.{name}: is not watched; write metrics: [{watched}]")
    from autoglm_recovery.receiver.decide.ladder import rungs  # noqa: PLC0415 - others start faster without

    try:
        playbooks = _playbooks(policy)
    except RuntimeError as error:
        return [*notes, f"the playbooks could not be listed: {error}"]
    for name, own in policy.actions.items():
        if name not in playbooks:
            notes.append(f"actions.{name}.playbook: {own.playbook} is not there, or cannot be read here")
    for failure_class in dict.fromkeys((*policy.recovery.strategies, *policy.classes)):
        first = next(rungs(policy.ladder(failure_class), playbooks, policy.repertoire), ("", ""))
        if first[0] and first[0] not in playbooks:
            notes.append(f"{failure_class}: {first[0]} has {first[1]}")
    return notes


def _playbooks(policy: Policy) -> frozenset[str]:
    from autoglm_recovery.receiver.fleet.own_playbooks import runnable  # noqa: PLC0415

    return runnable(policy.actions)


def schema(
    of: Annotated[Schema, typer.Argument(help="What is written: a policy file, or the variables of an inventory.")] = (
        Schema.policy
    ),
) -> None:
    """Print a JSON Schema for editors: of the policy file, or of autoglm_services and autoglm_pools."""
    if of is Schema.inventory:
        from autoglm_recovery.declarable import published  # noqa: PLC0415 - others start faster without

        typer.echo(json.dumps(published.json_schema(), indent=2))
        return
    typer.echo(json.dumps(json_schema(), indent=2))
