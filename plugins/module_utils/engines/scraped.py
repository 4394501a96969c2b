# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How Prometheus scrapes an engine, and the metrics by which the alert rules see pending work and progress.

A counter that only grows when a request ends says nothing about a long request, so only counters that grow during one
are listed. A module that reads the metrics itself can judge more than a line of PromQL: see watched.py.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Progress:
    """Names of one engine's metrics.

    requests: gauges of running and waiting requests.  work: counters, of which the first must exist for the engine to
    be judged.  cache: gauges of the KV cache's use, which grows while a long prompt is read in pieces.  pace: counters
    of the seconds and tokens of all prompts, for an engine that counts nothing while it reads a batch of a prompt.

    By which thresholds are held, where the engine has them.  waiting: the one of requests whose requests wait.
    until_first, until_done: histograms of the seconds until the first token, and until the whole answer.  failed:
    counters of requests that failed by the server's doing, each with the matchers of PromQL that tell them from others.
    """

    requests: tuple[str, ...]
    work: tuple[str, ...]
    cache: tuple[str, ...] = ()
    pace: tuple[str, str] | None = None
    waiting: str | None = None
    until_first: str | None = None
    until_done: str | None = None
    failed: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class Scraped:
    """Where an engine has its metrics.

    path, port: if not C(/metrics) at the engine's address.  path_option: the option that gives the path, for an engine
    without a default.  none: why the engine has no metrics.  progress: None where the rules cannot judge it.
    health: the path that a prober asks, which answers HTTP 200 while the engine lives, without a key.
    """

    path: str = "/metrics"
    port: int | None = None
    path_option: str | None = None
    none: str = ""
    progress: Progress | None = None
    health: str = "/health"
