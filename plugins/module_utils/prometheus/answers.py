# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Answers of Prometheus' HTTP API, read.  Pure; what is not as Prometheus writes it is a ValueError."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class VectorSample:
    """One element of a vector.  C(at): the moment that the query was evaluated for, in seconds since 1970."""

    labels: Mapping[str, Any]
    value: float
    at: float


def vector(document: Any) -> list[VectorSample]:
    """The elements of what C(/api/v1/query) answers."""
    try:
        if document["status"] != "success" or document["data"]["resultType"] != "vector":
            raise ValueError(f"the answer is no vector: {str(document)[:200]}")
        return [
            VectorSample(dict(one["metric"]), float(one["value"][1]), float(one["value"][0]))
            for one in document["data"]["result"]
        ]
    except (AttributeError, KeyError, IndexError, OverflowError, TypeError) as error:
        raise ValueError(f"the answer is not as Prometheus gives it: {error!r}") from error


def active_targets(document: Any) -> list[Mapping[str, Any]]:
    """What C(/api/v1/targets) says is scraped: C(labels) of each is a mapping."""
    try:
        active = document["data"]["activeTargets"]
    except (KeyError, TypeError) as error:
        raise ValueError("the answer is none of Prometheus'") from error
    if not isinstance(active, list) or not all(isinstance(_labels(target), Mapping) for target in active):
        raise ValueError("the answer is none of Prometheus'")
    return active


def _labels(target: Any) -> Any:
    return target.get("labels") if isinstance(target, Mapping) else None
