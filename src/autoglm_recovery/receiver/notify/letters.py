# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is sent to one address at once: a letter for each notice, or one for many of a kind.  Pure.

A person who is called a thousand times hears nothing any more: a storm is one letter, grouped by reason.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from autoglm_recovery.knowledge.host import clocks

MOST_SINGLY = 3
MOST_LINES = 100


@dataclass(frozen=True)
class Letter:
    """One message: its title, its text, the tone in which Apprise sends it, and the notices that are in it."""

    title: str
    body: str
    tone: str
    notices: tuple[int, ...]


@dataclass(frozen=True)
class _Kind:
    """Occasions that go together, how many of them are called, and what a person can look at."""

    occasions: tuple[str, ...]
    tone: str
    many: str
    commands: tuple[str, ...] = ()
    # So many of them are sent each for itself; and whether many are followed by the first one in full.
    singly: int = MOST_SINGLY
    first: bool = True


_KINDS = (
    _Kind(
        ("escalated", "approval"),
        "failure",
        "{} incidents need people",
        tuple(f"autoglm incidents list --state {state}" for state in ("escalated", "unproven", "held")),
    ),
    _Kind(("refused",), "warning", "{} kinds of alerts were refused", ("autoglm explain PAYLOAD.json -i INVENTORY",)),
    _Kind(("resolved",), "success", "{} incidents are over"),
    _Kind(
        ("digest",),
        "info",
        "only watched: what would have been done about {} incidents",
        ("autoglm incidents list --state held",),
        singly=0,
        first=False,
    ),
)
_KNOWN = frozenset(occasion for kind in _KINDS for occasion in kind.occasions)


def letters(batch: Sequence[sa.Row[Any]]) -> list[Letter]:
    """Return the letters in which notices go to one address, those that call a person first."""
    # Of a release that knew more occasions: told like a call, and never dropped.
    others = tuple({notice.occasion for notice in batch} - _KNOWN)
    kinds = [*_KINDS, _Kind(others, "failure", "{} notices")]
    return [letter for kind in kinds for letter in _of_kind(kind, [n for n in batch if n.occasion in kind.occasions])]


def _of_kind(kind: _Kind, batch: Sequence[sa.Row[Any]]) -> Iterator[Letter]:
    if len(batch) > kind.singly:
        yield _together(kind, batch)
        return
    for notice in batch:
        yield Letter(notice.title, _numbered(notice), kind.tone, (notice.id,))


def _numbered(notice: sa.Row[Any]) -> str:
    """Return the text with its number: at least once means that a second copy must be known as one."""
    written = clocks.in_words(notice.created_at)
    return f"{notice.body}\n\n(notice {notice.id}, written {written})"


def _together(kind: _Kind, batch: Sequence[sa.Row[Any]]) -> Letter:
    """Make one letter of many notices: a line for each below the reason that it shares, and the first one whole."""
    lines = list(_grouped(batch))
    shown = lines[:MOST_LINES] + (
        [f"  ... and {len(lines) - MOST_LINES} more lines"] if len(lines) > MOST_LINES else []
    )
    text = "\n".join([*shown, *(["", *kind.commands] if kind.commands else [])])
    title = f"[autoglm] {kind.many.format(len(batch))}"
    numbers = tuple(notice.id for notice in batch)
    first = f"\n\nThe first of them:\n\n{_numbered(batch[0])}" if kind.first else ""
    return Letter(title, text + first, kind.tone, numbers)


def _grouped(batch: Sequence[sa.Row[Any]]) -> Iterator[str]:
    """Say what has the same reason together, the reason of most first."""
    groups: dict[str, list[sa.Row[Any]]] = {}
    for notice in batch:
        groups.setdefault(str(notice.about.get("reason", "")), []).append(notice)
    for reason, members in sorted(groups.items(), key=lambda group: -len(group[1])):
        if reason:
            yield f"{len(members)} x {reason}"
        yield from (f"  {notice.title.removeprefix('[autoglm] ')}  (notice {notice.id})" for notice in members)
