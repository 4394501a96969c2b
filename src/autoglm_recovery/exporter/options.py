# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The options of the exporter, once for both of its commands, ``autoglm exporter`` and ``autoglm-exporter``."""

from __future__ import annotations

import os
import re
import socket
import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx

from autoglm_recovery.durations import parse_duration
from autoglm_recovery.exporter.guard import WebGuard
from autoglm_recovery.exporter.run import ExporterSettings
from autoglm_recovery.exporter.services import Services, load_services
from autoglm_recovery.exporter.traffic import LOCKS, NOTES, SHED
from autoglm_recovery.knowledge.faults.catalogue.numbers import Overrides
from autoglm_recovery.knowledge.gpu.reading.presence import Roots
from autoglm_recovery.knowledge.host.token_file import first_token

_LABEL = re.compile(r"(?P<name>[A-Za-z_][A-Za-z0-9_]*)=(?P<value>.+)")
_OURS = ("alertname", "host", "failure_class", "severity", "kind", "xid", "sxid", "gpu", "device", "service", "pool")
_SHORTEST = timedelta(milliseconds=100)


class WrongOption(ValueError):
    """A value that an option cannot have, and what would be right."""

    def __init__(self, option: str, why: str) -> None:
        super().__init__(why)
        self.option = option


@dataclass(frozen=True)
class ExporterOption:
    """One option.  ``many``: it may be given several times."""

    flag: str
    says: str
    default: Any = None
    kind: type = str
    many: bool = False

    @property
    def name(self) -> str:
        """Return it as the name of a variable."""
        return self.flag.lstrip("-").replace("-", "_")


EXPORTER_OPTIONS = (
    ExporterOption(
        "--listen",
        "HOST:PORT or [IPv6]:PORT. The page holds no secrets and takes no orders: 0.0.0.0 is fine.",
        "127.0.0.1:9471",
    ),
    ExporterOption(
        "--web-config", "TLS and passwords, as Prometheus' --web.config.file; read when it changes.", kind=Path
    ),
    ExporterOption("--interval", "Between two looks, such as 2s or 500ms.", "2s"),
    ExporterOption("--host", "This node's name in the inventory, as Prometheus' label host has it."),
    ExporterOption("--policy", "The policy file, for the fleet's own word on codes.", kind=Path),
    ExporterOption("--services", "YAML or JSON: a list of name, pool and unit.", kind=Path),
    ExporterOption("--nvml-library", "Path of libnvidia-ml.so.1, where it is not found."),
    ExporterOption("--probe-timeout", "After this a GPU that does not answer counts as hung.", "5s"),
    ExporterOption(
        "--expected-gpus", "How many GPUs there should be; without it, as many as were ever seen.", kind=int
    ),
    ExporterOption("--kmsg", "Where kernel records come from, or none.", "/dev/kmsg"),
    ExporterOption("--state-file", "Keeps counters over a restart.", Path("/var/lib/autoglm/exporter.json"), kind=Path),
    ExporterOption("--taken-out", "Where runs note what they keep out of traffic.", NOTES, kind=Path),
    ExporterOption("--shed", "Where runs note what they keep a part of its load from.", SHED, kind=Path),
    ExporterOption("--locks", "Where the lock of this host is, by which runs are known.", LOCKS, kind=Path),
    ExporterOption("--alertmanager", "URL for fast alerts; once for each. Without it there are none.", many=True),
    ExporterOption("--alertmanager-ca", "Authorities (PEM) of its certificate, in place of certifi's.", kind=Path),
    ExporterOption("--token-file", "Bearer token for Alertmanager; read anew each time.", kind=Path),
    ExporterOption("--label", "NAME=VALUE, for each of Prometheus' external_labels; for fast alerts.", many=True),
    ExporterOption("--proc", "The host's /proc; for an exporter in a container.", Path("/proc"), kind=Path),
    ExporterOption("--sys", "The host's /sys.", Path("/sys"), kind=Path),
    ExporterOption("--dev", "The host's /dev.", Path("/dev"), kind=Path),
    ExporterOption("--log-format", "json or text.", "text"),
    ExporterOption("--check", "Read the files that are named, say what is wrong, and end.", False, kind=bool),
)


def settings_of(given: Mapping[str, Any], overrides_in: Callable[[Path], Overrides]) -> ExporterSettings:
    """Return the settings that the values of all options come to; ``overrides_in`` reads a policy.

    Raises WrongOption, ServicesError or WebConfigError, and what ``overrides_in`` does.
    """
    expected = given["expected_gpus"]
    if expected is not None and expected < 0:
        raise WrongOption("--expected-gpus", "must be 0 or more")
    token_file = given["token_file"]
    return ExporterSettings(
        listen=given["listen"],
        interval=_duration(given["interval"], "--interval"),
        state_file=given["state_file"],
        host=given["host"] or socket.gethostname(),
        services=load_services(given["services"]) if given["services"] else Services(),
        nvml_library=given["nvml_library"],
        probe_timeout=_duration(given["probe_timeout"], "--probe-timeout"),
        expected_gpus=expected,
        kmsg=None if given["kmsg"] == "none" else Path(given["kmsg"]),
        alertmanagers=tuple(_url(url) for url in given["alertmanager"] or ()),
        headers=lambda: authorization(token_file),
        authorities=_authorities(given["alertmanager_ca"]),
        labels=dict(_label(text) for text in given["label"] or ()),
        roots=Roots(given["proc"], given["sys"], given["dev"]),
        overrides=overrides_in(given["policy"]) if given["policy"] else None,
        notes=given["taken_out"],
        shed=given["shed"],
        locks=given["locks"],
        guard=WebGuard(given["web_config"]) if given["web_config"] else None,
    )


def log_format(given: Mapping[str, Any]) -> str:
    """Return how to log.

    Raises WrongOption if it is none of our ways.
    """
    if given["log_format"] not in ("json", "text"):
        raise WrongOption("--log-format", "must be json or text")
    return str(given["log_format"])


def authorization(token_file: Path | None) -> dict[str, str]:
    """Raises OSError or ValueError, which counts as a failed attempt: the file may be whole at the next."""
    token = os.environ.get("AUTOGLM_ALERTMANAGER_TOKEN", "")
    if token_file is not None:
        token = first_token(token_file)
    return {"Authorization": f"Bearer {token}"} if token else {}


def _duration(text: str, option: str) -> timedelta:
    try:
        duration = parse_duration(text)
    except ValueError as error:
        raise WrongOption(option, str(error)) from error
    if duration < _SHORTEST:
        raise WrongOption(option, "must be 100ms or more")
    return duration


def _url(text: str) -> str:
    try:
        url = httpx.URL(text)
    except httpx.InvalidURL as error:
        raise WrongOption("--alertmanager", f"{text!r} is no URL") from error
    if url.scheme not in ("http", "https") or not url.host:
        raise WrongOption("--alertmanager", "must be http://HOST:PORT or https://...")
    return text


def _authorities(path: Path | None) -> ssl.SSLContext | None:
    try:
        return None if path is None else ssl.create_default_context(cafile=path)
    except OSError as error:
        raise WrongOption("--alertmanager-ca", f"{path}: {error.strerror or error}") from error


def _label(text: str) -> tuple[str, str]:
    match = _LABEL.fullmatch(text)
    if match is None or match["name"] in _OURS:
        raise WrongOption("--label", "must be NAME=VALUE, and no label of our own")
    return match["name"], match["value"]
