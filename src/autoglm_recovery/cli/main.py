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
from autoglm_recovery.cli.check import check, schema
from autoglm_recovery.cli.command_line import CommandLine
from autoglm_recovery.cli.completion import completion
from autoglm_recovery.cli.doctor import doctor
from autoglm_recovery.cli.drill import drill
from autoglm_recovery.cli.exit_codes import MEANING, ExitCode
from autoglm_recovery.cli.exporter import exporter
from autoglm_recovery.cli.kernel_events import kernel_events
from autoglm_recovery.cli.options import moment
from autoglm_recovery.cli.refusing import refuse, tell
from autoglm_recovery.cli.root import root
from autoglm_recovery.cli.rules import rules
from autoglm_recovery.cli.serve import serve
from autoglm_recovery.cli.version import version
from autoglm_recovery.cli.xid import xid
from autoglm_recovery.knowledge.host.plain import plain
from autoglm_recovery.policy import PolicyError

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
app.command()(check)
app.command()(schema)
app.command()(backup)
app.command()(restore)
app.command()(doctor)
app.command()(drill)
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
    from autoglm_recovery.receiver.fleet.site_config import read_config  # noqa: PLC0415
    from autoglm_recovery.receiver.intake.payload import PayloadError  # noqa: PLC0415
    from autoglm_recovery.receiver.rehearse.explain import explain as told_of  # noqa: PLC0415

    try:
        told = told_of(
            payload.read(), read_config(policy, inventory), time.time() if at is None else moment(at, "--at")
        )
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
