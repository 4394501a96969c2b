# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The filter of the fleet's hosts, with the page's number.  It is the query of the address: a filter is a link."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeVar
from urllib.parse import urlencode

from autoglm_recovery.knowledge.prometheus.presence import SILENT, UNKNOWN
from autoglm_recovery.receiver.console.filters import LONGEST_TEXT

A_PAGE = 50
# The standings of a host, worst first.
STANDS = ("out", "affected", SILENT, UNKNOWN, "in")

T = TypeVar("T")


@dataclass(frozen=True)
class FleetFilter:
    """The conditions of a listed host: a text in its name, address or services, its pool, and its standing."""

    text: str = ""
    pool: str = ""
    stands: str = ""
    page: int = 1

    @property
    def narrows(self) -> bool:
        """Tell whether the filter leaves any host out, apart from paging."""
        return replace(self, page=1) != FleetFilter()

    def query(self, **changes: Any) -> str:
        """Return the query of the address of this filter with some changes, question mark and all."""
        changed = replace(self, **changes)
        told = {"q": changed.text, "pool": changed.pool, "stands": changed.stands}
        if changed.page > 1:
            told["page"] = str(changed.page)
        encoded = urlencode({name: value for name, value in told.items() if value})
        return f"?{encoded}" if encoded else ""


def read_fleet_filter(given: Mapping[str, str]) -> tuple[FleetFilter, tuple[str, ...]]:
    """Read the query of an address; return the filter, and what is wrong about the query in words for a person."""
    wrong: list[str] = []
    texts = {name: given.get(name, "").strip() for name in ("q", "pool")}
    for name, text in texts.items():
        if len(text) > LONGEST_TEXT or "\x00" in text:
            wrong.append(f"{name} is longer than {LONGEST_TEXT} characters, or holds one that no name has")
            texts[name] = ""
    stands = given.get("stands", "").strip()
    if stands and stands not in STANDS:
        wrong.append(f"no host stands {stands[:40]!r}; known: {', '.join(STANDS)}")
        stands = ""
    number = given.get("page", "").strip() or "1"
    if not (number.isascii() and number.isdigit() and len(number) < 7 and int(number)):
        wrong.append(f"page must be a number from 1, not {number[:40]!r}")
        number = "1"
    return FleetFilter(texts["q"], texts["pool"], stands, int(number)), tuple(wrong)


def part(found: Sequence[T], chosen: FleetFilter, size: int = A_PAGE) -> tuple[tuple[T, ...], FleetFilter, int]:
    """Return one page of what was found, the filter with that page's number, and the number of pages.

    A number beyond the last page gives the last page, since hosts may have gone.
    """
    pages = max(1, -(-len(found) // size))
    page = min(chosen.page, pages)
    return tuple(found[(page - 1) * size : page * size]), replace(chosen, page=page), pages
