# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""``autoglm exporter``: GPU, kernel-fault and process metrics of this node, and fast alerts."""

from __future__ import annotations

import os
import re
import signal
import socket
from datetime import timedelta
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Annotated

import httpx
import typer

from autoglm_recovery import logs
from autoglm_recovery.cli.refusing import refuse
from autoglm_recovery.knowledge.host.token_file import first_token
from autoglm_recovery.policy import PolicyError, load_policy
from autoglm_recovery.policy.durations import parse_duration

if TYPE_CHECKING:
    from autoglm_recovery.exporter.run import Exporter

_LABEL = re.compile(r"(?P<name>[A-Za-z_][A-Za-z0-9_]*)=(?P<value>.+)")
_OURS = ("alertname", "host", "failure_class", "severity", "kind", "xid", "sxid", "gpu", "device", "service", "pool")
_SHORTEST = timedelta(milliseconds=100)


def exporter(  # noqa: PLR0913, PLR0917 - options are arguments
    listen: Annotated[
        str,
        typer.Option(help="HOST:PORT or [IPv6]:PORT. The page holds no secrets and takes no orders: 0.0.0.0 is fine."),
    ] = "127.0.0.1:9471",
    interval: Annotated[str, typer.Option(help="Between two looks, such as 2s or 500ms.")] = "2s",
    host: Annotated[
        str | None, typer.Option(help="This node's name in the inventory, as Prometheus' label host has it.")
    ] = None,
    policy: Annotated[Path | None, typer.Option(help="The policy file, for the fleet's own word on codes.")] = None,
    services: Annotated[Path | None, typer.Option(help="YAML or JSON: a list of name, pool and unit.")] = None,
    nvml_library: Annotated[str | None, typer.Option(help="Path of libnvidia-ml.so.1, where it is not found.")] = None,
    probe_timeout: Annotated[str, typer.Option(help="After this a GPU that does not answer counts as hung.")] = "5s",
    expected_gpus: Annotated[
        int | None, typer.Option(min=0, help="How many GPUs there should be; without it, as many as were ever seen.")
    ] = None,
    kmsg: Annotated[str, typer.Option(help="Where kernel records come from, or none.")] = "/dev/kmsg",
    state_file: Annotated[Path, typer.Option(help="Keeps counters over a restart.")] = Path(
        "/var/lib/autoglm/exporter.json"
    ),
    taken_out: Annotated[Path, typer.Option(help="Where runs note what they keep out of traffic.")] = Path(
        "/var/lib/autoglm/taken-out"
    ),
    locks: Annotated[Path, typer.Option(help="Where the lock of this host is, by which runs are known.")] = Path(
        "/run/autoglm/locks"
    ),
    alertmanager: Annotated[
        list[str] | None, typer.Option(help="URL for fast alerts; once for each. Without it there are none.")
    ] = None,
    token_file: Annotated[Path | None, typer.Option(help="Bearer token for Alertmanager; read anew each time.")] = None,
    label: Annotated[
        list[str] | None, typer.Option(help="NAME=VALUE, for each of Prometheus' external_labels; for fast alerts.")
    ] = None,
    proc: Annotated[Path, typer.Option(help="The host's /proc; for an exporter in a container.")] = Path("/proc"),
    sys: Annotated[Path, typer.Option(help="The host's /sys.")] = Path("/sys"),
    dev: Annotated[Path, typer.Option(help="The host's /dev.")] = Path("/dev"),
    log_format: Annotated[str, typer.Option(help="json or text.")] = "text",
) -> None:
    """Serve GPU, kernel-fault and process metrics of this node, and send fast alerts."""
    from autoglm_recovery.exporter.http import ExporterListenError  # noqa: PLC0415 - other commands start faster without
    from autoglm_recovery.exporter.run import Exporter, ExporterSettings  # noqa: PLC0415
    from autoglm_recovery.exporter.services import Services, ServicesError, load_services  # noqa: PLC0415
    from autoglm_recovery.knowledge.gpu.reading.presence import Roots  # noqa: PLC0415

    if log_format not in ("json", "text"):
        raise typer.BadParameter("must be json or text", param_hint="--log-format")
    logs.configure(log_format)
    try:
        settings = ExporterSettings(
            listen=listen,
            interval=_duration(interval, "--interval"),
            state_file=state_file,
            host=host or socket.gethostname(),
            services=load_services(services) if services else Services(),
            nvml_library=nvml_library,
            probe_timeout=_duration(probe_timeout, "--probe-timeout"),
            expected_gpus=expected_gpus,
            kmsg=None if kmsg == "none" else Path(kmsg),
            alertmanagers=tuple(_url(url) for url in alertmanager or ()),
            headers=lambda: _authorization(token_file),
            labels=dict(_label(text) for text in label or ()),
            roots=Roots(proc, sys, dev),
            overrides=load_policy(policy).faults.overrides() if policy else None,
            notes=taken_out,
            locks=locks,
        )
        _run(Exporter(settings))
    except (ExporterListenError, PolicyError, ServicesError) as error:
        refuse(error)


def _run(running: Exporter) -> None:
    def end(_signal: int, _frame: FrameType | None) -> None:
        running.stop()

    signal.signal(signal.SIGTERM, end)
    signal.signal(signal.SIGINT, end)
    running.run()


def _duration(text: str, option: str) -> timedelta:
    try:
        duration = parse_duration(text)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint=option) from error
    if duration < _SHORTEST:
        raise typer.BadParameter("must be 100ms or more", param_hint=option)
    return duration


def _url(text: str) -> str:
    try:
        url = httpx.URL(text)
    except httpx.InvalidURL as error:
        raise typer.BadParameter(f"{text!r} is no URL", param_hint="--alertmanager") from error
    if url.scheme not in ("http", "https") or not url.host:
        raise typer.BadParameter("must be http://HOST:PORT or https://...", param_hint="--alertmanager")
    return text


def _label(text: str) -> tuple[str, str]:
    match = _LABEL.fullmatch(text)
    if match is None or match["name"] in _OURS:
        raise typer.BadParameter("must be NAME=VALUE, and no label of our own", param_hint="--label")
    return match["name"], match["value"]


def _authorization(token_file: Path | None) -> dict[str, str]:
    """Raises OSError or ValueError, which counts as a failed attempt: the file may be whole at the next."""
    token = os.environ.get("AUTOGLM_ALERTMANAGER_TOKEN", "")
    if token_file is not None:
        token = first_token(token_file)
    return {"Authorization": f"Bearer {token}"} if token else {}
