# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Messages that the page of troubles explains are messages of the program, and alerts that it names are rendered."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

from autoglm_recovery.policy import Policy
from autoglm_recovery.rules.render import render_receiver_rules, render_rules

from .test_documentation import CHECKOUT

PAGE = (CHECKOUT / "docs/troubleshooting.md").read_text("utf-8")
SAYS = re.compile(r"^\| (?:it|the refusal) says \|.*\n\|[-|]+\n((?:\|.*\n)+)", re.MULTILINE)
ALERTS = set(re.findall(r"alert: (\w+)", render_rules(Policy()) + render_receiver_rules(Policy())))


def messages() -> Iterator[str]:
    """Return each piece of a message; three dots stand for what differs from case to case."""
    for rows in SAYS.findall(PAGE):
        for row in rows.splitlines():
            cell = row.split(" | ")[0]
            for quoted in re.findall(r"`([^`]+)`", cell):
                yield from (piece.strip() for piece in quoted.split("...") if len(piece.strip()) > 2)


def sources() -> str:
    """Return all that speaks, with texts that are written in two pieces as one."""
    text = "\n".join(
        path.read_text("utf-8")
        for folder, suffix in (("src", "*.py"), ("plugins", "*.py"), ("playbooks", "*.yml"), ("roles", "*.yml"))
        for path in sorted((CHECKOUT / folder).rglob(suffix))
    )
    return " ".join(re.sub(r'"\s*\n\s*f?"', "", text).split())


SOURCES = sources()


@pytest.mark.parametrize("piece", sorted(set(messages())))
def test_a_message_is_the_programs_own(piece: str) -> None:
    assert piece in SOURCES


def test_there_are_messages() -> None:
    assert len(set(messages())) > 25


def test_alerts_that_are_named_are_rendered() -> None:
    named = set(re.findall(r"`((?:Autoglm|GPU)[A-Z]\w+)`", PAGE))
    assert named
    assert named <= ALERTS
