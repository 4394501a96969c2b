# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""``autoglm rules``: what Prometheus and Alertmanager are told."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from autoglm_recovery.cli.refusing import cannot_ask, refuse
from autoglm_recovery.policy import Policy, PolicyError, load_policy

RULES_FILES = ("autoglm.rules.yml", "receiver.rules.yml")


def rules(  # noqa: PLR0913, PLR0917 - options are arguments
    policy: Annotated[Path | None, typer.Option(help="The policy file; without one, defaults hold.")] = None,
    inventory: Annotated[
        Path | None,
        typer.Option("--inventory", "-i", help="Write target files too, for the hosts and services of this inventory."),
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Write all files into this directory.")] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print all files for a program, as one JSON object: the text by the name.")
    ] = False,
    webhook_url: Annotated[
        str, typer.Option(help="Where Alertmanager finds the receiver; its /metrics are scraped there too.")
    ] = "http://127.0.0.1:9470/api/v1/alerts",
    token_file: Annotated[str | None, typer.Option(help="The bearer token's file, as Alertmanager sees it.")] = None,
    ca_file: Annotated[
        str | None,
        typer.Option(
            help="Authorities (PEM) of the receiver's certificate, as Alertmanager and Prometheus see the file; by "
            "default those of their systems."
        ),
    ] = None,
    alertmanager: Annotated[str, typer.Option(help="HOST:PORT, as Prometheus sees it.")] = "127.0.0.1:9093",
    targets_dir: Annotated[
        str | None,
        typer.Option(
            help="Where Prometheus finds the target files node.yml, inference.yml and so on; by default "
            "/etc/prometheus/targets, and with --inventory targets/ beside prometheus.yml, where they are written."
        ),
    ] = None,
) -> None:
    """Render Prometheus rules and the Alertmanager route from the policy.  Without --out, print the rules."""
    from autoglm_recovery.rules.configuration import (  # noqa: PLC0415 - other commands start faster without
        render_alertmanager,
        render_alertmanager_fragment,
        render_prometheus,
        render_prometheus_fragment,
    )
    from autoglm_recovery.rules.dashboard import render_dashboard  # noqa: PLC0415
    from autoglm_recovery.rules.render import render_receiver_rules, render_rules  # noqa: PLC0415

    if not webhook_url.startswith(("http://", "https://")):
        raise typer.BadParameter("must be http://HOST:PORT/api/v1/alerts or https://...", param_hint="--webhook-url")
    if ca_file and not webhook_url.startswith("https://"):
        raise typer.BadParameter(
            "is for a receiver with TLS: --webhook-url must be https://...", param_hint="--ca-file"
        )
    if as_json and out:
        raise typer.BadParameter("prints what --out writes: give one of them", param_hint="--json")
    if inventory and out is None:
        raise typer.BadParameter("writes target files: give --out too", param_hint="--inventory")
    try:
        read = load_policy(policy) if policy else Policy()
    except PolicyError as error:
        refuse(error)
    where = targets_dir or ("targets" if inventory else "/etc/prometheus/targets")
    scraping: Any = {
        "targets_dir": where,
        "rules_files": RULES_FILES,
        "webhook_url": webhook_url,
        "ca_file": ca_file,
    }
    receiving: Any = {"webhook_url": webhook_url, "token_file": token_file, "ca_file": ca_file}
    files = {
        "autoglm.rules.yml": render_rules(read),
        "receiver.rules.yml": render_receiver_rules(read),
        "grafana-dashboard.json": json.dumps(render_dashboard(), indent=2) + "\n",
        "prometheus.yml": render_prometheus(read, alertmanager=alertmanager, **scraping),
        "prometheus.merge.yml": render_prometheus_fragment(read, **scraping),
        "alertmanager.yml": render_alertmanager(read, **receiving),
        "alertmanager.merge.yml": render_alertmanager_fragment(read, **receiving),
    }
    if out is None:
        typer.echo(json.dumps(files) if as_json else files[RULES_FILES[0]], nl=as_json)
        return
    files |= _targets(inventory, webhook_url) if inventory else {}
    try:
        for name, text in files.items():
            (out / name).parent.mkdir(parents=True, exist_ok=True)
            (out / name).write_text(text, "utf-8")
    except OSError as error:
        cannot_ask(f"{out} cannot be written: {error.strerror}")
    typer.echo(f"wrote {', '.join(sorted(files))} to {out}")


def _targets(inventory: Path, webhook_url: str) -> dict[str, str]:
    """Return the target files, and say what has no target."""
    from autoglm_recovery.receiver.fleet.ansible import AnsibleError, playbooks_folder  # noqa: PLC0415 - as above
    from autoglm_recovery.receiver.fleet.fleet import InventoryError, read_fleet  # noqa: PLC0415
    from autoglm_recovery.rules.targets import targets_of  # noqa: PLC0415

    try:
        targets = targets_of(read_fleet(inventory, playbooks_folder()).declared, webhook_url)
    except (AnsibleError, InventoryError) as error:
        refuse(error)
    for what in targets.left_out:
        typer.echo(f"not scraped: {what}", err=True)
    return {f"targets/{name}": text for name, text in targets.files().items()}
