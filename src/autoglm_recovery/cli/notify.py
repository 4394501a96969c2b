# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""``autoglm notify test``: does each route of the policy reach its people?"""

from __future__ import annotations

import json
import socket
from pathlib import Path
from typing import Annotated

import typer

from autoglm_recovery.cli.exit_codes import ExitCode
from autoglm_recovery.cli.refusing import refuse
from autoglm_recovery.policy import PolicyError, load_policy

app = typer.Typer(help="Whom the policy tells.", no_args_is_help=True)


@app.callback()
def _notify() -> None:
    """Whom the policy tells."""


@app.command("test")
def try_routes(
    policy: Annotated[Path, typer.Option("--policy", help="The policy file.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON for a program.")] = False,
) -> None:
    """Send a test page to every address of every route, and say what became of each.

    Exits 1 unless every address has taken it.
    """
    from autoglm_recovery.receiver.notify.letters import Letter  # noqa: PLC0415 - only who sends pays for what sends
    from autoglm_recovery.receiver.notify.paging import send_each  # noqa: PLC0415
    from autoglm_recovery.receiver.notify.recipients import digest, of_route  # noqa: PLC0415

    try:
        routes = load_policy(policy).notify.routes
    except PolicyError as error:
        refuse(error)
    if not routes:
        refuse(f"{policy}: notify has no routes, so nobody is told when a person is needed")
    body = f"A test from {socket.gethostname()}: this route works. Nothing is wrong, and nothing is to be done."
    letter = Letter("[autoglm] test page", body, "info", ())
    found = []
    for number, route in enumerate(routes, 1):
        errors: list[str] = []
        urls = of_route(number, route, errors)
        results = send_each(dict.fromkeys(urls, letter))
        # What stands before :// alone, and a digest: the rest of an address may be a secret.
        found += [(number, f"{each.url.partition('://')[0]} {digest(each.url)[:8]}", each.wrong) for each in results]
        found += [(number, "urls_file", error) for error in errors]
    for number, address, wrong in found:
        if as_json:
            typer.echo(json.dumps({"route": number, "address": address, "sent": wrong is None, "wrong": wrong}))
        else:
            typer.echo(f"route {number}: {address}: {'sent' if wrong is None else wrong}")
    if any(wrong is not None for _, _, wrong in found):
        raise typer.Exit(ExitCode.no)
