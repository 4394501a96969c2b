# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""``autoglm backtest``: what the receiver would have done about the alerts that a Prometheus has recorded."""

from __future__ import annotations

import json
import logging
import ssl
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import structlog
import typer
from rich.console import Console

from autoglm_recovery import bounded_http
from autoglm_recovery.cli.backtest_tables import print_report
from autoglm_recovery.cli.options import duration, moment
from autoglm_recovery.cli.refusing import cannot_ask, refuse
from autoglm_recovery.knowledge.host.token_file import NoTokenError, first_token
from autoglm_recovery.policy import Policy, PolicyError, load_policy

if TYPE_CHECKING:
    from autoglm_recovery.receiver.rehearse.backtest.events import AlertRecord
    from autoglm_recovery.receiver.rehearse.backtest.run import Assumptions

_SHORTEST_STEP_S = 1.0
_TIMEOUT_S = 70.0


@dataclass(frozen=True)
class _BacktestOptions:
    """What a person asked for."""

    url: str
    since: float
    until: float
    step: float
    policy: Path | None
    inventory: Path | None
    token_file: Path | None
    ca_file: Path | None


def backtest(  # noqa: PLR0913, PLR0917 - options are arguments
    prometheus: Annotated[str, typer.Option(envvar="AUTOGLM_PROMETHEUS_URL", help="The address of the Prometheus.")],
    since: Annotated[str, typer.Option(help="How far back, as in 30d or 12h.")] = "30d",
    policy: Annotated[
        Path | None, typer.Option("--policy", help="The policy file; without one, defaults hold.")
    ] = None,
    inventory: Annotated[
        Path | None,
        typer.Option("--inventory", "-i", help="The Ansible inventory; without one, the hosts that alerts name."),
    ] = None,
    step: Annotated[str, typer.Option(help="How finely the past is looked at.")] = "30s",
    until: Annotated[str | None, typer.Option(help="The end, as in 2026-11-24T08:00:00Z; now by default.")] = None,
    run_takes: Annotated[str, typer.Option(help="How long a run is taken to take.")] = "60s",
    bridge: Annotated[
        str, typer.Option(help="An alert that is back within this never resolved: Alertmanager's group_interval.")
    ] = "0s",
    token_file: Annotated[
        Path | None,
        typer.Option(envvar="AUTOGLM_PROMETHEUS_TOKEN_FILE", help="A file with a bearer token for Prometheus."),
    ] = None,
    ca_file: Annotated[Path | None, typer.Option(help="Authorities for Prometheus' certificate (PEM).")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON for a program.")] = False,
) -> None:
    """Replay recorded alerts through the receiver's own code and say what would have run.  Nothing is run."""
    from autoglm_recovery.receiver.rehearse.backtest.run import Assumptions  # noqa: PLC0415 - other commands start faster without

    end = time.time() if until is None else moment(until, "--until")
    back, grain = duration(since, "--since"), duration(step, "--step")
    if grain < _SHORTEST_STEP_S:
        raise typer.BadParameter(f"must be at least {_SHORTEST_STEP_S:g}s", param_hint="--step")
    if not grain <= back <= end:
        raise typer.BadParameter("must be longer than a step, and not before 1970", param_hint="--since")
    asked = _BacktestOptions(prometheus, end - back, end, grain, policy, inventory, token_file, ca_file)
    told = _backtest(asked, Assumptions(duration(run_takes, "--run-takes"), duration(bridge, "--bridge")))
    if as_json:
        typer.echo(json.dumps(told, indent=2))
    else:
        print_report(told)


def _backtest(asked: _BacktestOptions, assumed: Assumptions) -> dict[str, Any]:
    """Do it, and end with a sentence where it cannot be done."""
    from sqlalchemy.exc import SQLAlchemyError  # noqa: PLC0415 - as above

    from autoglm_recovery.receiver.fleet.ansible import AnsibleError  # noqa: PLC0415
    from autoglm_recovery.receiver.fleet.fleet import InventoryError  # noqa: PLC0415
    from autoglm_recovery.receiver.fleet.fleet_http import shown  # noqa: PLC0415
    from autoglm_recovery.receiver.fleet.site_config import read_config  # noqa: PLC0415
    from autoglm_recovery.receiver.rehearse.backtest.prometheus import RecordError  # noqa: PLC0415
    from autoglm_recovery.receiver.rehearse.backtest.run import ReplayTooLong  # noqa: PLC0415
    from autoglm_recovery.receiver.rehearse.backtest.run import backtest as replayed  # noqa: PLC0415

    # What the receiver would have logged then is in the report.
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    try:
        rules = load_policy(asked.policy) if asked.policy else Policy()
        config = read_config(asked.policy, asked.inventory) if asked.inventory else None
        with _progress(f"reading {shown(asked.url)}") as told:
            record = _record(asked, told)
        with _progress("replaying") as told:
            found = replayed(record, config, rules, assumed, told)
    except RecordError as error:
        cannot_ask(error)
    except (AnsibleError, InventoryError, OSError, PolicyError, ReplayTooLong) as error:
        refuse(error)
    except SQLAlchemyError as error:
        cannot_ask(f"the temporary database cannot be used: {getattr(error, 'orig', None) or error}")
    return {"prometheus": shown(asked.url), "policy": str(asked.policy) if asked.policy else None, **found}


def _record(asked: _BacktestOptions, told: Callable[[float], None]) -> AlertRecord:
    from autoglm_recovery.receiver.rehearse.backtest.prometheus import PrometheusRecord, RecordError  # noqa: PLC0415 - as above

    token = _token(asked.token_file) if asked.token_file else None
    try:
        verify = ssl.create_default_context(cafile=asked.ca_file)
    except OSError as error:
        raise RecordError(f"--ca-file {asked.ca_file} cannot be used: {error.strerror or error}") from error
    # Whoever needs a proxy for Prometheus names the proxy's own address.
    with bounded_http.client(token, verify, timeout=_TIMEOUT_S) as client:
        return PrometheusRecord(client, asked.url).read(asked.since, asked.until, asked.step, told)


def _token(file: Path) -> str:
    try:
        return first_token(file)
    except (OSError, NoTokenError) as error:
        raise typer.BadParameter(f"no token: {error}", param_hint="--token-file") from error


@contextmanager
def _progress(doing: str) -> Iterator[Callable[[float], None]]:
    """Tell on a terminal how far it has come, and nothing elsewhere."""
    console = Console(stderr=True)
    if not console.is_terminal:
        yield lambda _done: None
        return
    with console.status(doing) as status:
        yield lambda done: status.update(f"{doing}, {done:.0%}")
