# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How Prometheus reads an engine, and by which metrics the alert rules see that it has work and does some of it.

Here only counters count that grow while a request is under way: one that grows when a request has ended says nothing
about a long one.  A module that looks itself knows more of a page than PromQL says in a line: see watched.py.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Progress:
    """Names of one engine's metrics.

    C(requests) are gauges of what runs or waits.  C(work) are counters, the first of which has to be there for the
    engine to be judged.  C(cache) are gauges of the KV cache's use, which grows while a long prompt is read in pieces.
    C(pace) are counters of the seconds and of the tokens of all prompts that were read, for an engine that counts
    nothing while it reads a batch of a prompt.
    """

    requests: tuple[str, ...]
    work: tuple[str, ...]
    cache: tuple[str, ...] = ()
    pace: tuple[str, str] | None = None


@dataclass(frozen=True)
class Scraped:
    """Where an engine has its metrics.

    path, port: where they are not at C(/metrics) of its address.  path_option: the option that says where; without it
    there are none.  none: why there never are any.  progress: None where the rules cannot judge it.
    """

    path: str = "/metrics"
    port: int | None = None
    path_option: str | None = None
    none: str = ""
    progress: Progress | None = None
