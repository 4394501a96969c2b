# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whom a notice goes to: by the routes of the policy in force, by who has it, and by who is busy."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from autoglm_recovery.policy.model import Policy
from autoglm_recovery.policy.notify import Route


def digest(url: str) -> str:
    """Name an address without telling what is in it."""
    return hashlib.sha256(url.encode()).hexdigest()[:16]


def scheme(url: str) -> str:
    """Name the service of an address: what stands in front of its secrets."""
    return url.partition("://")[0][:40]


@dataclass(frozen=True)
class RouteRecipients:
    """Whom a route reaches now, and why not the others."""

    route: Route
    urls: tuple[str, ...]
    errors: tuple[str, ...]
    # Without the one about a file that holds no address.
    errors_at_the_end: tuple[str, ...]


@dataclass(frozen=True)
class CallPlan:
    """What is done about a notice now: addresses to call, by digest, and what stands in the way of others.

    ``busy`` are the addresses among the latter that have not answered an earlier call of this receiver yet.
    """

    notice: sa.Row[Any]
    begin: Mapping[str, str]
    errors: tuple[str, ...]
    busy: frozenset[str]


def reaches(policy: Policy) -> list[RouteRecipients]:
    """Return whom the routes of a policy reach, reading their files."""
    return [_reach(number, route) for number, route in enumerate(policy.notify.routes, 1)]


def _reach(number: int, route: Route) -> RouteRecipients:
    errors: list[str] = []
    at_the_end: list[str] = []
    urls = tuple(of_route(number, route, errors))
    of_route(number, route, at_the_end, may_be_empty=True)
    return RouteRecipients(route, urls, tuple(errors), tuple(at_the_end))


def plan(
    notice: sa.Row[Any], reached: Sequence[RouteRecipients], called: Collection[str], busy: Collection[str], now: float
) -> CallPlan:
    """Return what is to be done about a notice.  Pure.

    ``called`` are the digests of those who were called about its incident: nobody else has to hear that it is over.
    """
    begin: dict[str, str] = {}
    errors: list[str] = []
    waits_for: set[str] = set()
    for url in _wanting(notice, reached, errors):
        address = digest(url)
        if address in notice.delivered or (notice.occasion == "resolved" and address not in called):
            continue
        # Another receiver may be the one that calls it; if that one has died, this ends like its claim.
        if address in busy or notice.attempted.get(address, 0.0) > now:
            errors.append(f"{scheme(url)}: still being sent to, and has not answered yet")
            waits_for |= {address} & set(busy)
        else:
            begin[address] = url
    return CallPlan(notice, begin, tuple(errors), frozenset(waits_for))


def _wanting(notice: sa.Row[Any], reached: Sequence[RouteRecipients], errors: list[str]) -> Iterator[str]:
    """Return the addresses that want a notice, each once."""
    about = {name: notice.about[name] for name in ("failure_class", "pool", "severities")}
    found: dict[str, None] = {}
    for each in reached:
        if each.route.wants(notice.occasion, **about):
            found.update(dict.fromkeys(each.urls))
            # Who was called and is no address any more need not hear that it is over.
            errors += each.errors_at_the_end if notice.occasion == "resolved" else each.errors
    yield from found


def of_route(number: int, route: Route, errors: list[str], *, may_be_empty: bool = False) -> list[str]:
    """Return a route's addresses; why those of its file are missing is added to ``errors``."""
    in_policy = [url.get_secret_value() for url in route.urls]
    try:
        found = route.addresses()
    except (OSError, UnicodeDecodeError) as error:
        errors.append(f"route {number}: urls_file cannot be read: {type(error).__name__}")
        return in_policy
    if route.urls_file is not None and found == in_policy and not may_be_empty:
        errors.append(f"route {number}: urls_file holds no address")
    return found
