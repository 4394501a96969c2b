# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whoever sees few colours, or looks in the dark, reads every word."""

from __future__ import annotations

import re

import pytest

from autoglm_recovery.receiver.console.shapes import SHAPES
from autoglm_recovery.receiver.values.model import IncidentState, RunState
from autoglm_recovery.receiver.web.static_files import STATIC

CSS = (STATIC / "console.css").read_text("utf-8")
PAIRS = dict(re.findall(r"--([a-z-]+): (light-dark\(#\w{6}, #\w{6}\));", CSS))
THEMES = ("light", "dark")
GROUNDS = ("page", "card", "raised")
TEXTS = ("text", "quiet", "link", "go", "ask", "danger", "good", "wait")
# What white or black is written on: buttons and counts.
STRONG = ("link", "danger", "go")


def colour(name, theme):
    """Return a variable's colour in a theme."""
    return re.findall(r"#\w{6}", PAIRS[name])[THEMES.index(theme)]


def luminance(text):
    """Return the relative luminance of a colour (WCAG 2.2)."""
    parts = [int(text[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one, other):
    """Return the contrast ratio of two colours (WCAG 2.2)."""
    high, low = sorted((luminance(one), luminance(other)), reverse=True)
    return (high + 0.05) / (low + 0.05)


def test_the_measure_is_the_one_of_the_standard():
    assert contrast("#000000", "#ffffff") == pytest.approx(21)
    assert contrast("#777777", "#ffffff") == pytest.approx(4.48, abs=0.01)


@pytest.mark.parametrize("theme", THEMES)
@pytest.mark.parametrize("ground", GROUNDS)
@pytest.mark.parametrize("text", TEXTS)
def test_every_text_can_be_read_on_every_ground(theme, ground, text):
    assert contrast(colour(text, theme), colour(ground, theme)) >= 4.5


@pytest.mark.parametrize("theme", THEMES)
@pytest.mark.parametrize("ground", STRONG)
def test_what_is_written_on_a_strong_ground_can_be_read(theme, ground):
    assert contrast(colour("on-strong", theme), colour(ground, theme)) >= 4.5


@pytest.mark.parametrize("theme", THEMES)
@pytest.mark.parametrize("ground", ["page", "card"])
def test_the_edge_of_what_can_be_used_is_seen(theme, ground):
    assert contrast(colour("edge", theme), colour(ground, theme)) >= 3


def test_no_colour_is_written_anywhere_but_in_the_palette():
    rules = CSS[CSS.index("* { box-sizing") :]
    assert not re.findall(r"#[0-9a-fA-F]{3,8}\b|rgba?\(|hsl", rules)


def test_every_state_has_a_shape_and_those_that_call_a_person_have_their_own():
    assert {*IncidentState, *RunState} <= set(SHAPES)
    shapes = [SHAPES[state] for state in IncidentState]
    assert len(set(shapes)) == len(shapes)


def test_every_state_has_a_tone():
    for state in {*IncidentState, *RunState}:
        assert re.search(rf"\.s-{state}\b", CSS), state
