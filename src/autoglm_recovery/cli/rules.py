# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""``autoglm rules``: what Prometheus and Alertmanager are told."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, TextIO

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
    hosts: Annotated[
        typer.FileText | None,
        typer.Option(
            help="Instead of --inventory: a file with the variables of each host, as one JSON object by host; - for "
            "standard input."
        ),
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
    blackbox: Annotated[
        str | None,
        typer.Option(help="HOST:PORT of a blackbox_exporter, as Prometheus sees it, that asks each service; or none."),
    ] = None,
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
    from autoglm_recovery.rules.fleet_dashboard import FLEET_PANELS  # noqa: PLC0415
    from autoglm_recovery.rules.render import render_receiver_rules, render_rules  # noqa: PLC0415

    if not webhook_url.startswith(("http://", "https://")):
        raise typer.BadParameter("must be http://HOST:PORT/api/v1/alerts or https://...", param_hint="--webhook-url")
    if ca_file and not webhook_url.startswith("https://"):
        raise typer.BadParameter(
            "is for a receiver with TLS: --webhook-url must be https://...", param_hint="--ca-file"
        )
    if as_json and out:
        raise typer.BadParameter("prints what --out writes: give one of them", param_hint="--json")
    if (inventory or hosts) and not (out or as_json):
        raise typer.BadParameter("is for target files: give --out or --json too", param_hint="--inventory, --hosts")
    if inventory and hosts:
        raise typer.BadParameter("stands for --inventory: give one of them", param_hint="--hosts")
    try:
        read = load_policy(policy) if policy else Policy()
    except PolicyError as error:
        refuse(error)
    where = targets_dir or ("targets" if inventory or hosts else "/etc/prometheus/targets")
    scraping: Any = {
        "targets_dir": where,
        "rules_files": RULES_FILES,
        "webhook_url": webhook_url,
        "ca_file": ca_file,
        "prober": blackbox,
    }
    receiving: Any = {"webhook_url": webhook_url, "token_file": token_file, "ca_file": ca_file}
    files = {
        "autoglm.rules.yml": render_rules(read),
        "receiver.rules.yml": render_receiver_rules(read),
        "grafana-dashboard.json": json.dumps(render_dashboard(), indent=2) + "\n",
        "grafana-fleet.json": json.dumps(
            render_dashboard(FLEET_PANELS, "autoglm-fleet", "autoglm.recovery: the fleet"), indent=2
        )
        + "\n",
        "prometheus.yml": render_prometheus(read, alertmanager=alertmanager, **scraping),
        "prometheus.merge.yml": render_prometheus_fragment(read, **scraping),
        "alertmanager.yml": render_alertmanager(read, **receiving),
        "alertmanager.merge.yml": render_alertmanager_fragment(read, **receiving),
    }
    if inventory or hosts:
        files |= _targets(_read_inventory(inventory) if inventory else _read_hosts(hosts), webhook_url)
    if out is None:
        typer.echo(json.dumps(files) if as_json else files[RULES_FILES[0]], nl=as_json)
        return
    _write(files, out)


def _write(files: Mapping[str, str], out: Path) -> None:
    try:
        for name, text in files.items():
            (out / name).parent.mkdir(parents=True, exist_ok=True)
            (out / name).write_text(text, "utf-8")
    except OSError as error:
        cannot_ask(f"{out} cannot be written: {error.strerror}")
    typer.echo(f"wrote {', '.join(sorted(files))} to {out}")


def _read_inventory(inventory: Path) -> Mapping[str, Mapping[str, Any]]:
    """Return what the inventory says of each host."""
    from autoglm_recovery.receiver.fleet.ansible import AnsibleError, playbooks_folder  # noqa: PLC0415 - as above
    from autoglm_recovery.receiver.fleet.fleet import InventoryError, read_fleet  # noqa: PLC0415

    try:
        return read_fleet(inventory, playbooks_folder()).declared
    except (AnsibleError, InventoryError) as error:
        refuse(error)


def _read_hosts(hosts: TextIO | None) -> Mapping[str, Mapping[str, Any]]:
    """Return what a JSON object says of each host."""
    try:
        read = json.load(hosts) if hosts else {}
    except ValueError as error:
        raise typer.BadParameter(f"is no JSON: {error}", param_hint="--hosts") from error
    if not isinstance(read, dict) or not all(isinstance(each, dict) for each in read.values()):
        raise typer.BadParameter("must be an object with an object of variables for each host", param_hint="--hosts")
    return read


def _targets(variables: Mapping[str, Mapping[str, Any]], webhook_url: str) -> dict[str, str]:
    """Return the target files, and say what has no target."""
    from autoglm_recovery.rules.targets import targets_of  # noqa: PLC0415 - as above

    targets = targets_of(variables, webhook_url)
    for what in targets.left_out:
        typer.echo(f"not scraped: {what}", err=True)
    return {f"targets/{name}": text for name, text in targets.files().items()}
