# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who has answered a scrape, by Prometheus' word.  Pure.

That nothing is wrong with a host is no news of it: C(heard) has answered a scrape a moment ago, C(silent) was asked and
did not answer, and of C(unknown) nobody has heard, because nobody asks it or nobody could ask Prometheus.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Callable, Optional

from .answers import VectorSample

HEARD, SILENT, UNKNOWN = "heard", "silent", "unknown"

# The jobs that `autoglm rules` renders.
NODE_JOB, EXPORTER_JOB = "node", "autoglm"
INFERENCE_JOBS = ("inference", "inference_slow")
JOBS = (NODE_JOB, *INFERENCE_JOBS, EXPORTER_JOB)
# A scrape that is older says nothing about now.
NEWS_FOR_S = 120.0

# A host, or a service of it.
Subject = tuple[str, Optional[str]]


def query(jobs: Sequence[str] = JOBS) -> str:
    """One query: the time of each target's last scrape, negative where it had no answer.

    The time of the sample itself, so that a Prometheus that scrapes no more is not taken for one that does.
    """
    up = f"up{{{of_jobs(jobs)}}}"
    return f"timestamp({up}) * (2 * {up} - 1)"


def of_jobs(jobs: Sequence[str]) -> str:
    """The matcher of series that come from targets of these jobs."""
    return f"job=~{json.dumps('|'.join(re.escape(job) for job in jobs), ensure_ascii=False)}"


def scraped(
    samples: Iterable[VectorSample], subject: Callable[[Mapping[str, Any]], tuple[str | None, str | None]]
) -> dict[Subject, tuple[bool, float]]:
    """Whether each host and each service answered, and when it was asked, out of what the query finds.

    A host is heard of where any of its targets answers, a service where all endpoints of it do, each in any way.
    subject: whose target it is that has these labels, and of which service of his.
    """
    ways: dict[Subject, dict[str, tuple[bool, float]]] = {}
    for sample in samples:
        host, service = subject(sample.labels)
        if host is None or not math.isfinite(sample.value):
            continue
        found = (sample.value > 0, abs(sample.value))
        whole = ways.setdefault((host, None), {})
        whole["any"] = max(whole.get("any", found), found)
        if service is not None:
            endpoints = ways.setdefault((host, service), {})
            instance = str(sample.labels.get("instance", ""))
            # The patient job may have an answer where the other has none.
            endpoints[instance] = max(endpoints.get(instance, found), found)
    return {key: min(each.values()) for key, each in ways.items()}
