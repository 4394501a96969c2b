# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Filter, sort and page lists the way AWX does."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any
from urllib.parse import urlencode

RESERVED = {"page", "page_size", "format", "order", "order_by", "search", "type", "host_filter", "count_disabled"}
RESERVED |= {"no_truncate", "limit"}
NOT_SEARCHABLE = {"extra_vars", "survey_passwords"}
LOOKUPS: dict[str, Callable[[Any, str], bool]] = {
    "exact": lambda value, text: _text(value) == text,
    "iexact": lambda value, text: _text(value).lower() == text.lower(),
    "contains": lambda value, text: text in _text(value),
    "icontains": lambda value, text: text.lower() in _text(value).lower(),
    "startswith": lambda value, text: _text(value).startswith(text),
    "gt": lambda value, text: value is not None and value > type(value)(text),
    "gte": lambda value, text: value is not None and value >= type(value)(text),
    "lt": lambda value, text: value is not None and value < type(value)(text),
    "lte": lambda value, text: value is not None and value <= type(value)(text),
    "in": lambda value, text: _text(value) in text.split(","),
    "isnull": lambda value, text: (value is None) == (text.lower() in ("true", "1")),
}
DEFAULT_PAGE_SIZE = 25
LARGEST_PAGE_SIZE = 200


class Refused(Exception):
    """What Django REST framework answers to a bad request."""

    def __init__(self, status: int, body: Mapping[str, Any]) -> None:
        """Keep the answer."""
        super().__init__(status)
        self.status = status
        self.body = body


def listing(
    path: str,
    items: Sequence[dict[str, Any]],
    query: Sequence[tuple[str, str]],
    fields: set[str],
    related: Callable[[str, Any], dict[str, Any] | None],
) -> dict[str, Any]:
    """Return one page.  ``related(field, id)`` gives the object that a field refers to."""
    for key, value in query:
        if key not in RESERVED:
            # An unknown field is refused whether or not there is anything to filter.
            _lookup({}, key.removeprefix("or__").removeprefix("not__"), value, fields, lambda _field, _number: None)
    chosen = [item for item in items if _matches(item, query, fields, related)]
    for key in reversed(dict(query).get("order_by", "id").split(",")):
        name = key.lstrip("-")
        if name not in fields:
            raise Refused(400, {"detail": f"Cannot resolve keyword '{name}' into field."})
        chosen.sort(key=lambda item, name=name: item.get(name), reverse=key.startswith("-"))
    return _page(path, chosen, query)


def _matches(
    item: dict[str, Any],
    query: Sequence[tuple[str, str]],
    fields: set[str],
    related: Callable[[str, Any], dict[str, Any] | None],
) -> bool:
    either: list[bool] = []
    for key, value in query:
        if key in RESERVED:
            continue
        plain = key.removeprefix("or__")
        matched = _lookup(item, plain.removeprefix("not__"), value, fields, related) != plain.startswith("not__")
        if key.startswith("or__"):
            either.append(matched)
        elif not matched:
            return False
    return not either or any(either)


def _lookup(
    item: dict[str, Any],
    key: str,
    value: str,
    fields: set[str],
    related: Callable[[str, Any], dict[str, Any] | None],
) -> bool:
    *path, last = key.split("__")
    lookup = last if last in LOOKUPS and path else "exact"
    names = path if last in LOOKUPS and path else [*path, last]
    if any(name in NOT_SEARCHABLE for name in names):
        raise Refused(403, {"detail": f"Filtering on {names[-1]} is not allowed."})
    if names[0] not in fields:
        raise Refused(400, {"detail": f"No related model for field {names[0]}."})
    found: Any = item
    for place, name in enumerate(names):
        found = (found or {}).get(name)
        if place < len(names) - 1:
            found = related(name, found)
    return LOOKUPS[lookup](found, value)


def _page(path: str, items: list[dict[str, Any]], query: Sequence[tuple[str, str]]) -> dict[str, Any]:
    asked = dict(query)
    size = min(int(asked.get("page_size", DEFAULT_PAGE_SIZE)), LARGEST_PAGE_SIZE)
    page = int(asked.get("page", "1"))
    pages = max(1, -(-len(items) // size))
    if not 1 <= page <= pages:
        raise Refused(400, {"error": "Invalid page."})

    def link(number: int) -> str:
        rest = [(key, value) for key, value in query if key != "page"]
        return f"{path}?{urlencode([*rest, ('page', str(number))])}"

    return {
        "count": len(items),
        "next": link(page + 1) if page < pages else None,
        "previous": link(page - 1) if page > 1 else None,
        "results": items[(page - 1) * size : page * size],
    }


def _text(value: Any) -> str:
    return "" if value is None else str(value)
