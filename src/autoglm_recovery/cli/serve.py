# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""``autoglm serve``: run the receiver, or say whether it would run."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from autoglm_recovery import logs
from autoglm_recovery.cli import config_file
from autoglm_recovery.cli.options import database_url, duration
from autoglm_recovery.cli.refusing import refuse
from autoglm_recovery.knowledge.host.plain import plain
from autoglm_recovery.knowledge.host.redaction import redact_text
from autoglm_recovery.policy import PolicyError

if TYPE_CHECKING:
    from autoglm_recovery.receiver.serve.serve import ReceiverSettings
    from autoglm_recovery.receiver.web.certificates import TlsFiles

ConfigFile = Annotated[
    Path | None,
    typer.Option("--config", help="A YAML file with these options.", is_eager=True, callback=config_file.take),
]


def serve(  # noqa: PLR0913, PLR0917 - options are arguments
    inventory: Annotated[Path, typer.Option("--inventory", "-i", help="The Ansible inventory of the fleet.")],
    config: ConfigFile = None,  # noqa: ARG001 - it was read before the other options
    policy: Annotated[
        Path | None, typer.Option("--policy", help="The policy file; without one, defaults hold.")
    ] = None,
    listen: Annotated[str, typer.Option(help="HOST:PORT or [IPv6]:PORT.")] = "127.0.0.1:9470",
    state_dir: Annotated[Path, typer.Option(help="Where alerts, incidents and runs are kept.")] = Path("autoglm-state"),
    access_file: Annotated[
        list[Path] | None,
        typer.Option(
            "--access-file", "--token-file", help="Who may come in: NAME ROLE CREDENTIAL, or one token a line."
        ),
    ] = None,
    tls_cert: Annotated[
        Path | None, typer.Option(help="Serve TLS with this chain (PEM); read again on change.")
    ] = None,
    tls_key: Annotated[Path | None, typer.Option(help="The key of --tls-cert.")] = None,
    client_ca: Annotated[Path | None, typer.Option(help="Authorities whose client certificates count (PEM).")] = None,
    session_key: Annotated[
        Path | None, typer.Option(help="Signs sessions of browsers; the same for all replicas. Made where not given.")
    ] = None,
    allowed_host: Annotated[
        list[str] | None, typer.Option(help="Answer only to this name in the Host header; once for each.")
    ] = None,
    rate_limit: Annotated[
        float, typer.Option(min=1, help="Requests a second from one address; four times that from all.")
    ] = 1000,
    database: Annotated[
        str | None,
        typer.Option(
            envvar="AUTOGLM_DATABASE",
            help="postgresql://USER@HOST/NAME for several receivers; SQLite in the state directory by default.",
        ),
    ] = None,
    database_file: Annotated[
        Path | None, typer.Option(help="A file with the database's URL, for one that has a password.")
    ] = None,
    lease: Annotated[
        str | None,
        typer.Option(help="How long a run goes on without its receiver; 5s on PostgreSQL, 5m on SQLite."),
    ] = None,
    largest_body: Annotated[int, typer.Option(min=1024, help="Bytes of the largest webhook taken.")] = 8 << 20,
    log_format: Annotated[str, typer.Option(help="json or text.")] = "text",
    only_check: Annotated[
        bool,
        typer.Option("--check", help="Read all that a start needs and change nothing: would it start?"),
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="With --check: print JSON for a program.")] = False,
) -> None:
    """Run the receiver.

    Each option may stand in a file for --config, as "state-dir: /var/lib/autoglm-receiver"; the command line counts
    more, and then the environment.
    """
    from autoglm_recovery.receiver.access.entries import AuthError  # noqa: PLC0415 - other commands start faster without
    from autoglm_recovery.receiver.fleet.ansible import AnsibleError  # noqa: PLC0415
    from autoglm_recovery.receiver.fleet.fleet import InventoryError  # noqa: PLC0415
    from autoglm_recovery.receiver.serve.serve import ReceiverSettings, ServeError  # noqa: PLC0415
    from autoglm_recovery.receiver.serve.serve import serve as run  # noqa: PLC0415
    from autoglm_recovery.receiver.web.server import AccessSettings, ListenError  # noqa: PLC0415

    if log_format not in ("json", "text"):
        raise typer.BadParameter("must be json or text", param_hint="--log-format")
    logs.configure(log_format)
    access = AccessSettings(
        listen=listen,
        access_files=tuple(access_file or ()),
        session_key=session_key,
        tls=_tls(tls_cert, tls_key, client_ca),
        allowed_hosts=tuple(allowed_host or ()),
        requests_per_second=rate_limit,
    )
    settings = ReceiverSettings(
        policy,
        inventory,
        access,
        state_dir,
        database_url(database, database_file),
        largest_body,
        duration(lease, "--lease") if lease else None,
    )
    try:
        if only_check:
            _print_check(settings, as_json=as_json)
        else:
            run(settings)
    except (AnsibleError, AuthError, InventoryError, ListenError, PolicyError, ServeError) as error:
        refuse(error)


def _print_check(settings: ReceiverSettings, *, as_json: bool) -> None:
    from autoglm_recovery.receiver.serve.check import check_start  # noqa: PLC0415 - as in serve

    found = check_start(settings)
    if as_json:
        typer.echo(json.dumps({"ok": True, **asdict(found)}))
        return
    typer.echo(
        f"ok: it would start, with {found.hosts} hosts, {found.services} services and {found.playbooks} playbooks; "
        f"database: {found.database}"
    )
    for note in found.notes:
        typer.echo(redact_text(f"note: {plain(note)}"))


def _tls(certificate: Path | None, key: Path | None, client_ca: Path | None) -> TlsFiles | None:
    from autoglm_recovery.receiver.web.certificates import TlsFiles  # noqa: PLC0415 - as in serve

    if certificate is None and key is None and client_ca is None:
        return None
    if certificate is None or key is None:
        raise typer.BadParameter("TLS needs both --tls-cert and --tls-key", param_hint="--tls-cert")
    return TlsFiles(certificate, key, client_ca)
