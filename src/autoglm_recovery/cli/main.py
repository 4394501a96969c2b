# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The subcommands that need no running receiver."""

from __future__ import annotations

import json
import sys
import time
import traceback
from pathlib import Path
from typing import Annotated

import typer

from autoglm_recovery import __version__
from autoglm_recovery.cli import incidents, notify
from autoglm_recovery.cli.access import audit, hash_password, new_token
from autoglm_recovery.cli.backtest import backtest
from autoglm_recovery.cli.backup import backup, restore
from autoglm_recovery.cli.command_line import CommandLine
from autoglm_recovery.cli.completion import completion
from autoglm_recovery.cli.doctor import doctor
from autoglm_recovery.cli.exit_codes import MEANING, ExitCode, of_error
from autoglm_recovery.cli.exporter import exporter
from autoglm_recovery.cli.kernel_events import kernel_events
from autoglm_recovery.cli.options import moment
from autoglm_recovery.cli.refusing import refuse, tell
from autoglm_recovery.cli.root import root
from autoglm_recovery.cli.rules import rules
from autoglm_recovery.cli.serve import serve
from autoglm_recovery.cli.version import version
from autoglm_recovery.cli.xid import override_notes, xid
from autoglm_recovery.knowledge.host.plain import plain
from autoglm_recovery.policy import Policy, PolicyError, load_policy
from autoglm_recovery.policy.monitoring import METRICS
from autoglm_recovery.policy.published import json_schema

app = typer.Typer(
    cls=CommandLine,
    help="Keep LLM inference fleets serving: alert in, decision, playbook, proof.",
    epilog="\n\n".join(("Exit codes:", *(f"{int(code)}: {meaning}" for code, meaning in MEANING.items()))),
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)
app.add_typer(incidents.app, name="incidents")
app.add_typer(notify.app, name="notify")
app.command()(incidents.pause)
app.command()(incidents.resume)
app.command("kernel-events")(kernel_events)
app.command("new-token")(new_token)
app.command("hash-password")(hash_password)
app.command()(audit)
app.command()(backtest)
app.command()(backup)
app.command()(restore)
app.command()(doctor)
app.command()(root)
app.command()(rules)
app.command()(xid)
app.command()(exporter)
app.command()(serve)
app.command()(version)
app.command()(completion)

PolicyFile = Annotated[Path | None, typer.Option("--policy", help="The policy file; without one, defaults hold.")]
Inventory = Annotated[Path, typer.Option("--inventory", "-i", help="The Ansible inventory of the fleet.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for a program.")]


@app.callback(invoke_without_command=True)
def _root(show: Annotated[bool, typer.Option("--version", help="Print the version.")] = False) -> None:
    """Print the version where asked."""
    if show:
        typer.echo(__version__)
        raise typer.Exit


@app.command()
def check(file: Annotated[Path, typer.Argument(help="A policy file.")], as_json: AsJson = False) -> None:
    """Check a policy file and print its mistakes."""
    try:
        policy = load_policy(file)
    except PolicyError as error:
        if as_json:
            problems = [vars(problem) for problem in error.problems]
            typer.echo(json.dumps({"ok": False, "problems": problems, "notes": []}))
            raise typer.Exit(of_error(error)) from error
        refuse(error)
    notes = list(_notes(policy))
    if as_json:
        typer.echo(json.dumps({"ok": True, "problems": [], "notes": notes}))
        return
    typer.echo(f"{file}: ok")
    for note in notes:
        typer.echo(f"note: {note}")


def _notes(policy: Policy) -> list[str]:
    """Say what is right but will not do what somebody may expect."""
    notes = []
    named = [metric for metric in policy.monitoring.metrics if metric in METRICS]
    if named:
        notes.append(f"monitoring.metrics: this release renders no alert from {', '.join(named)} yet")
    notes += override_notes(policy)
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


@app.command()
def schema() -> None:
    """Print the JSON Schema of the policy file, for editors."""
    typer.echo(json.dumps(json_schema(), indent=2))


@app.command()
def explain(
    payload: Annotated[typer.FileBinaryRead, typer.Argument(help="A webhook payload; - for standard input.")],
    inventory: Inventory,
    policy: PolicyFile = None,
    at: Annotated[
        str | None, typer.Option(help="As if it came then, as in 2026-11-24T08:00:00Z; now by default.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Say what the receiver would do about a payload, and why, without doing it."""
    from autoglm_recovery.receiver.fleet.ansible import AnsibleError  # noqa: PLC0415 - as in serve
    from autoglm_recovery.receiver.fleet.fleet import InventoryError  # noqa: PLC0415
    from autoglm_recovery.receiver.fleet.world import read_world  # noqa: PLC0415
    from autoglm_recovery.receiver.intake.payload import PayloadError  # noqa: PLC0415
    from autoglm_recovery.receiver.rehearse.explain import explain as told_of  # noqa: PLC0415

    try:
        told = told_of(payload.read(), read_world(policy, inventory), time.time() if at is None else moment(at, "--at"))
    except (AnsibleError, InventoryError, PayloadError, PolicyError) as error:
        refuse(error)
    if as_json:
        typer.echo(json.dumps({"alerts": told}, indent=2))
        return
    for number, one in enumerate(told, 1):
        typer.echo(f"alert {number}")
        for key, value in one.items():
            for place, shown in enumerate(_shown(value)):
                typer.echo(f"  {key + ':' if place == 0 else '':15} {plain(shown)}")


def _shown(value: object) -> list[str]:
    """Return a value of an explanation as lines."""
    if value is None:
        return ["-"]
    if isinstance(value, str):
        return [value]
    if not isinstance(value, list):
        return [json.dumps(value)]
    # A ladder's rungs, or the rules and how each stands.
    return [
        line if isinstance(line, str) else f"{'stops' if line['stops'] else 'ok':5} {line['rule']}: {line['stands']}"
        for line in value
    ]


def main() -> None:
    """Run the command line."""
    try:
        app()
    except BrokenPipeError:
        sys.exit(ExitCode.unheard)
    except Exception:  # noqa: BLE001 - a mistake of ours, told as Python would, but for what may be a secret in it
        tell(traceback.format_exc().rstrip(), ExitCode.broken)
        sys.exit(ExitCode.broken)
