# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether a repair holds by the operator's own measure: the PromQL of ``verify``, and how its answer is read."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from autoglm_recovery.knowledge.host.plain import plain
from autoglm_recovery.policy.proof import PLACE

# What cannot end the quotes around it, whichever they are, nor mean anything in a regular expression but the dot, which
# at most finds more.
_PLAIN = re.compile(r"[A-Za-z0-9._:/@-]+", re.ASCII)
_LONGEST = 300


@dataclass(frozen=True)
class Proof:
    """``holds`` is None where nobody knows, which is never taken for a proof; ``said`` is for people.

    ``counts_from`` is given where nothing that is said before that moment can be a proof.
    """

    holds: bool | None
    said: str
    counts_from: float | None = None


NOT_ASKED = Proof(None, "Prometheus has not been asked yet")
# Where a strategy has no expression, and where the past is looked at.
NOTHING_TO_PROVE = Proof(True, "nothing else is asked for")


def question(expression: str, target: Mapping[str, str | None]) -> str:
    """Put an incident's target in for ``$host``, ``$service``, ``$pool`` and ``$gpu``.

    Raises ValueError where the incident has none, or one that could become a part of the query.
    """

    def put(place: re.Match[str]) -> str:
        value = target.get(place[1])
        if value is None:
            raise ValueError(f"the incident has no {place[1]} to put in for {place[0]}")
        if not _PLAIN.fullmatch(value):
            raise ValueError(f"the incident's {place[1]} has characters that are not put into a query")
        return value

    return PLACE.sub(put, expression)


def read(answer: object) -> Proof:
    """Read what ``GET /api/v1/query`` answers: a repair holds if there is a value, and none is 0 or no number.

    So a comparison does with and without ``bool``.  An answer with warnings may be a part of the truth, and is none.

    Raises ValueError if it is not what Prometheus answers.
    """
    try:
        if not isinstance(answer, dict) or answer["status"] != "success":
            raise ValueError(f"the answer is no success: {str(answer)[:_LONGEST]}")
        if answer.get("warnings"):
            return Proof(None, f"Prometheus warns: {'; '.join(map(str, answer['warnings']))[:_LONGEST]}")
        values = _values(answer["data"])
    except (AttributeError, KeyError, IndexError, OverflowError, TypeError) as error:
        raise ValueError(f"the answer is not as Prometheus gives it: {error!r}") from error
    if not values:
        return Proof(False, "it finds nothing")
    wrong = [(name, value) for name, value in values if value == 0 or math.isnan(value)]
    name, value = (wrong or values)[0]
    more = len(wrong or values) - 1
    said = f"it is {value:g}{f' for {name}' if name else ''}{f', and {more} more' if more else ''}"
    return Proof(not wrong, said[:_LONGEST])


def _values(data: Mapping[str, Any]) -> list[tuple[str, float]]:
    kind, result = data["resultType"], data["result"]
    if kind == "scalar":
        return [("", float(result[1]))]
    if kind != "vector":
        raise ValueError(f"verify gives a {kind}; it must be an instant vector or a scalar")
    return [(_name(one["metric"]), float(one["value"][1])) for one in result]


def _name(labels: Mapping[str, Any]) -> str:
    return " ".join(plain(f"{k}={v}") for k, v in sorted(labels.items()))
