# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Know when the lab is ready for a fault: everything up, seen by the monitoring, and nothing firing."""

from __future__ import annotations

import httpx

from tests.support.servers.traffic import Traffic

from .laboratory import Lab
from .waiting import wait_for

STEADY_SECONDS = 180
ANSWERS_FROM_EACH = 3
# An increase is only seen between samples, so the monitoring must have had some before the fault.
SAMPLES = 2


def ask_prometheus(lab: Lab, query: str) -> list[dict[str, object]]:
    """Run an instant query; an unreachable or starting Prometheus knows nothing yet."""
    try:
        answer = httpx.get(f"{lab.prometheus}/api/v1/query", params={"query": query}, timeout=5, trust_env=False)
        answer.raise_for_status()
    except httpx.HTTPError:
        return []
    found: list[dict[str, object]] = answer.json()["data"]["result"]
    return found


def wait_until_steady(lab: Lab, traffic: Traffic) -> None:
    """Wait until both nodes serve users, all targets are scraped and no alert is on its way."""
    both = {node.name for node in lab.nodes}
    before = traffic.counts.by_node.copy()
    wait_for(
        "answers from both nodes",
        lambda: all(traffic.counts.by_node[name] - before[name] >= ANSWERS_FROM_EACH for name in both),
        STEADY_SECONDS,
    )
    wait_for("samples in Prometheus from every host", lambda: _sampled(lab), STEADY_SECONDS)
    wait_for("all alerts to be over", lambda: not ask_prometheus(lab, 'ALERTS{failure_class!=""}'), STEADY_SECONDS)


def _sampled(lab: Lab) -> bool:
    series = (
        f"count_over_time(node_vmstat_oom_kill[1m]) >= {SAMPLES}",
        f'sum_over_time(up{{job="inference"}}[1m]) >= {SAMPLES}',
    )
    return all(len(ask_prometheus(lab, query)) == len(lab.nodes) for query in series)
