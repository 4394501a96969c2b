# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the receiver has told people about itself: once when something is wrong, and once when it is over.  Pure.

What nobody can tell is neither wrong nor well: it begins nothing and ends nothing, so that a restart, after which
nothing was asked yet, says neither twice that something is wrong nor falsely that it is over.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

# So long it has to be well before it is said to be over: what comes and goes is one page.
WELL_FOR_S = 60.0


@dataclass(frozen=True)
class OwnObservation:
    """One look at one thing.  ``wrong`` is None where nobody can tell; ``text`` says what is wrong and what it
    means."""

    key: str
    wrong: bool | None
    text: str = ""


@dataclass(frozen=True)
class OpenPage:
    """What is being told about one thing.  ``told`` are the digests of the addresses that have heard that it is wrong.

    ``well_since`` is when it was first seen to be well again; ``over_at`` when that had lasted, and those who were told
    are told that as well, ``heard_over`` being the ones that were.
    """

    key: str
    text: str
    since: float
    told: tuple[str, ...] = ()
    well_since: float | None = None
    over_at: float | None = None
    heard_over: tuple[str, ...] = ()


Pages = Mapping[str, OpenPage]


def looked(pages: Pages, seen: Sequence[OwnObservation], now: float) -> dict[str, OpenPage]:
    """Return what there is to tell after a look."""
    found = dict(pages)
    for each in seen:
        page = found.get(each.key)
        if each.wrong:
            if page is None or page.over_at is not None:
                found[each.key] = OpenPage(each.key, each.text, now)
            else:
                found[each.key] = replace(page, well_since=None)
        elif each.wrong is False and page is not None and page.over_at is None:
            since = page.well_since if page.well_since is not None else now
            over_at = now if now - since >= WELL_FOR_S else None
            found[each.key] = replace(page, well_since=since, over_at=over_at)
    return {key: page for key, page in found.items() if not done(page)}


def done(page: OpenPage) -> bool:
    """Tell whether all who were told that it is wrong know that it is over."""
    return page.over_at is not None and set(page.told) <= set(page.heard_over)


def to_tell(page: OpenPage, addresses: Iterable[str]) -> list[str]:
    """Return the digests that lack the page, or the word that it is over: nobody hears that who was not told."""
    if page.over_at is not None:
        return [each for each in addresses if each in page.told and each not in page.heard_over]
    return [each for each in addresses if each not in page.told]


def delivered(page: OpenPage, addresses: Iterable[str]) -> OpenPage:
    """Note who has heard."""
    if page.over_at is not None:
        return replace(page, heard_over=tuple(sorted({*page.heard_over, *addresses})))
    return replace(page, told=tuple(sorted({*page.told, *addresses})))


def without_gone(pages: Pages, addresses: Iterable[str]) -> dict[str, OpenPage]:
    """Forget what is over and only waits for addresses that the policy does not name any more."""
    known = set(addresses)
    return {key: page for key, page in pages.items() if page.over_at is None or to_tell(page, known)}


def written(pages: Pages) -> str:
    """Return the text of the file that outlives a restart."""
    return json.dumps({"version": 1, "pages": [asdict(page) for _, page in sorted(pages.items())]}, indent=1)


def read(text: str) -> dict[str, OpenPage]:
    """Return what a file says.

    Raises ValueError if it is none of ours.
    """
    try:
        return {str(entry["key"]): _page(entry) for entry in json.loads(text)["pages"]}
    except (AttributeError, KeyError, OverflowError, RecursionError, TypeError, ValueError) as error:
        raise ValueError(f"is no file of the receiver's own watch: {error!r:.200}") from error


def _page(entry: Mapping[str, Any]) -> OpenPage:
    return OpenPage(
        key=str(entry["key"]),
        text=str(entry["text"]),
        since=_finite(entry["since"]),
        told=tuple(map(str, entry["told"])),
        well_since=_moment(entry["well_since"]),
        over_at=_moment(entry["over_at"]),
        heard_over=tuple(map(str, entry["heard_over"])),
    )


def _moment(value: Any) -> float | None:
    return None if value is None else _finite(value)


def _finite(value: Any) -> float:
    """Refuse what no clock says: a page that began at no moment would never be over."""
    moment = float(value)
    if not math.isfinite(moment):
        raise ValueError(f"{moment} is no moment")
    return moment
