# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Ask one Prometheus what it knows of a fleet.  What is kept of its answers is plain data, fit for a cache."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode

from ..engines.transport import EngineRequest, Transport, TransportError
from ..host.plain import one_line
from . import presence
from .answers import VectorSample, active_targets, vector

# Enough for some ten thousand targets.
LARGEST_ANSWER = 64 << 20

# What `autoglm exporter` tells of a host, its GPUs and its services; docs/exporter.md.
METRICS = (
    "autoglm_host_verdict",
    "autoglm_gpu_info",
    "autoglm_gpu_owner_info",
    "autoglm_gpu_verdict",
    "autoglm_gpu_lost",
    "autoglm_gpu_hung",
    "autoglm_gpu_recovery_action",
    "autoglm_host_at_work",
    "autoglm_service_taken_out_timestamp_seconds",
    "autoglm_taken_out_readable",
    "autoglm_quarantined_timestamp_seconds",
)


class CannotAsk(Exception):
    """Nobody has answered; the text says who was asked, and what was wrong with each. It holds no credential."""


@dataclass(frozen=True)
class Jobs:
    """The names of Prometheus' jobs: whose targets are hosts, whose are replicas, and whose are our exporters."""

    node: tuple[str, ...] = (presence.NODE_JOB,)
    inference: tuple[str, ...] = presence.INFERENCE_JOBS
    exporter: tuple[str, ...] = (presence.EXPORTER_JOB,)

    @property
    def all(self) -> tuple[str, ...]:
        return (*self.node, *self.inference, *self.exporter)


@dataclass(frozen=True)
class PrometheusServer:
    """One Prometheus. C(urls): of its replicas, which know the same; the first that answers counts."""

    urls: tuple[str, ...]
    transport: Transport = field(repr=False)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    timeout: float = 10.0


@dataclass(frozen=True)
class Telling:
    """What one Prometheus told: C(targets) with labels and scrape URL, who answered (C(up)), and our metrics."""

    targets: tuple[Mapping[str, Any], ...]
    up: tuple[VectorSample, ...]
    metrics: tuple[VectorSample, ...]

    def as_plain(self) -> dict[str, Any]:
        """Lists, mappings, texts and numbers alone."""
        return {
            "targets": [dict(target) for target in self.targets],
            "up": [[dict(each.labels), each.value, each.at] for each in self.up],
            "metrics": [[dict(each.labels), each.value, each.at] for each in self.metrics],
        }

    @classmethod
    def of_plain(cls, kept: Mapping[str, Any]) -> Telling:
        """What C(as_plain) made. Raises KeyError, TypeError or ValueError for anything else."""
        up, metrics = (
            tuple(VectorSample(dict(labels), float(value), float(at)) for labels, value, at in kept[name])
            for name in ("up", "metrics")
        )
        return cls(
            tuple({"labels": dict(each["labels"]), "url": str(each["url"])} for each in kept["targets"]), up, metrics
        )


def ask(server: PrometheusServer, jobs: Jobs) -> Telling:
    """What the first of its replicas tells that answers all questions. Raises CannotAsk."""
    wrong = []
    for url in server.urls:
        try:
            return _ask_server(server, url, jobs)
        except _Failed as failed:
            wrong.append(f"{url}: {failed}")
    raise CannotAsk("; ".join(wrong))


class _Failed(Exception):
    pass


def _ask_server(server: PrometheusServer, url: str, jobs: Jobs) -> Telling:
    ours = f"{{__name__=~{json.dumps('|'.join(METRICS))},{presence.of_jobs(jobs.exporter)}}}"
    targets = _get(server, url, "/api/v1/targets", {"state": "active"})
    up = _get(server, url, "/api/v1/query", {"query": presence.query(jobs.all)})
    metrics = _get(server, url, "/api/v1/query", {"query": ours}) if jobs.exporter else None
    try:
        return Telling(
            tuple(
                {"labels": dict(each["labels"]), "url": str(each.get("scrapeUrl") or "")}
                for each in active_targets(targets)
                if each["labels"].get("job") in jobs.all
            ),
            tuple(vector(up)),
            tuple(vector(metrics)) if metrics is not None else (),
        )
    except ValueError as error:
        raise _Failed(one_line(error, 300)) from error


def _get(server: PrometheusServer, url: str, path: str, query: Mapping[str, str]) -> Any:
    headers = {"Accept": "application/json", **server.headers}
    asked = EngineRequest("GET", f"{url}{path}?{urlencode(query)}", server.timeout, headers, None, LARGEST_ANSWER)
    try:
        answer = server.transport(asked)
    except TransportError as error:
        raise _Failed(error.reason) from error
    if answer.status != 200:
        raise _Failed(_refusal(answer.status, answer.body))
    try:
        return json.loads(answer.body.decode("utf-8"))
    except (ValueError, RecursionError) as error:
        raise _Failed(f"{path} answers what is not JSON; is this the address of Prometheus?") from error


def _refusal(status: int, body: bytes) -> str:
    if status in (401, 403):
        return f"it answers {status}: these credentials, or none, are not enough"
    if 300 <= status < 400:
        return f"it answers {status}: a redirect, which is not followed; give the address that it leads to"
    words = one_line(body[:400].decode("utf-8", "replace"), 200)
    return f"it answers {status}" + (f": {words}" if words else "")
