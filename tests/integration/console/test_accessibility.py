# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every page, in both themes, as axe-core judges it: no violation of any of its rules."""

from __future__ import annotations

import pytest
from axe_playwright_python.sync_playwright import Axe

from .test_reading import PAGES, address


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("name", PAGES)
def test_no_rule_is_broken(eventful, window, name, theme):
    page = window(color_scheme=theme, reduced_motion="reduce")
    page.goto(address(eventful, name))
    page.evaluate("document.querySelectorAll('details').forEach((each) => { each.open = true; })")
    check(page)
    window.provokes_errors()


@pytest.mark.parametrize("viewport", [{"width": 1280, "height": 900}, {"width": 360, "height": 740}])
@pytest.mark.parametrize("path", ["/incidents/2", "/incidents?state=waiting", "/fleet", "/fleet?stands=out"])
def test_no_rule_is_broken_where_repairs_failed_and_hosts_are_many(crowded, window, path, viewport):
    page = window(viewport=viewport, reduced_motion="reduce")
    page.goto(crowded.url + path)
    check(page)


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_no_rule_is_broken_where_one_logs_in(guarded, window, theme):
    page = window(color_scheme=theme)
    page.goto(guarded.url)
    assert page.evaluate("getComputedStyle(document.querySelector('section')).borderRadius") == "6px", "no style"
    page.get_by_label("Password, or a token").fill("wrong")
    page.get_by_role("button", name="Log in").click()
    assert "is wrong" in page.inner_text("[role=alert]")
    check(page)
    window.provokes_errors()


def check(page):
    """Hold a page to all rules."""
    broken = Axe().run(page).response["violations"]
    assert [(rule["id"], [node["html"][:200] for node in rule["nodes"]]) for rule in broken] == []


def test_nothing_moves_for_those_who_asked_for_that(eventful, window):
    page = window(reduced_motion="reduce")
    page.goto(eventful.url)
    assert page.evaluate("document.getAnimations().length") == 0
