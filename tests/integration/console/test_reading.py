# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a person reads, without JavaScript."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import expect

from .night import LONG, number

PAGES = {
    "overview": "/",
    "incidents": "/incidents",
    "none": "/incidents?q=nothing+like+this",
    "wrong": "/incidents?state=nonsense",
    "resolved": "/incidents/1",
    "held": "/incidents/{held}",
    "escalated": "/incidents/{escalated}",
    "running": "/incidents/{running}",
    "output": "/runs/1/output",
    "confirm": "/incidents/{held}/confirm?order=approve",
    "refused order": "/incidents/1/confirm?order=approve",
    "pause": "/switch?order=pause",
    "fleet": "/fleet",
    "policy": "/policy",
    "alerts": "/alerts",
    "refused": "/refused",
    "audit": "/audit",
}


def address(receiver, page):
    """Return the address of a page."""
    states = {state: number(receiver, state) for state in re.findall(r"{(\w+)}", PAGES[page])}
    return receiver.url + PAGES[page].format(**states)


@pytest.fixture
def page(window):
    """Return a window without JavaScript."""
    return window(java_script_enabled=False)


def test_the_first_page_says_who_needs_a_person_first(eventful, page):
    page.goto(eventful.url)
    headings = page.locator("h2").all_inner_texts()
    assert headings[0].startswith("Needs a person 3")
    assert headings[1].startswith("Going on 3")
    first = page.locator(".incident").first
    assert "escalated" in first.inner_text()
    assert "no playbook is installed" in first.inner_text()
    assert "incidents are worked on" in page.inner_text("#health")


def test_an_incident_tells_its_whole_story(eventful, page):
    page.goto(address(eventful, "resolved"))
    head = page.inner_text("#head")
    assert re.search(r"Recovered in \d+\.\d s", head)
    assert "InferenceOOMKilled" in head
    page.locator("#timeline .run > details > summary").click()
    told = page.locator("#timeline .kind").all_inner_texts()
    assert told[:5] == ["alert", "committed", "classified", "decided", "started"]
    assert told[-3:] == ["ended", "alert", "resolved"]
    tasks = page.inner_text("#timeline .run")
    assert "Mark the beginning: changed" in tasks
    assert "restart_process succeeded" in tasks
    assert "first time within the window" in page.inner_text("#timeline")
    assert page.locator(".stages li").count() == 7
    page.get_by_role("link", name="output of run 1").click()
    assert "TASK [Mark the end]" in page.inner_text("#output")
    assert "x1b" not in page.inner_text("#output")


def test_an_incident_that_is_held_says_which_rule_holds_it(eventful, page):
    page.goto(address(eventful, "held"))
    page.locator("#rules > summary").click()
    stopping = page.locator("#rules tr.stops").all_inner_texts()
    assert len(stopping) == 1
    assert "autonomy" in stopping[0]
    assert "next" in page.locator(".ladder .next").inner_text()


def test_a_filter_is_a_link_and_the_form_makes_it(eventful, page):
    page.goto(f"{eventful.url}/incidents")
    page.select_option("#f-state", "person")
    page.fill("#f-host", "node-c")
    page.get_by_role("button", name="Filter").click()
    page.wait_for_url("**state=person**")
    assert page.locator(".incident").count() == 1
    page.goto(page.url)
    assert page.input_value("#f-host") == "node-c"
    page.get_by_role("link", name="Show all").click()
    expect(page.locator(".incident")).to_have_count(7)


def test_an_empty_list_says_what_to_do_and_a_wrong_word_what_is_right(eventful, page):
    page.goto(address(eventful, "none"))
    assert "No incident fits this filter" in page.inner_text("#list")
    page.goto(address(eventful, "wrong"))
    assert "there is no state 'nonsense'; known: person, active" in page.inner_text("[role=alert]")


def test_what_was_refused_says_why(eventful, page):
    page.goto(f"{eventful.url}/alerts")
    assert "label host='nowhere' is not the exact name" in page.inner_text("#list")
    assert "Input should be a valid dictionary" in page.inner_text("#rejects")


def test_a_kind_of_refused_alert_says_what_would_be_accepted(eventful, page):
    page.goto(f"{eventful.url}/refused")
    told = page.locator(".refused > li", has_text="nowhere").inner_text()
    assert "no such host in the inventory" in told
    assert "if 'nowhere' is another name of a host, add it to autoglm_aliases" in told
    assert "it could not be read" in page.inner_text("#kinds")


def test_the_fleet_says_what_is_out_and_what_keeps_actions_back(eventful, page):
    page.goto(f"{eventful.url}/fleet")
    assert "6 of 7 out of service, 7 allowed (100%)" in page.inner_text("#pools .pool")
    assert "rack move, hosts node-f" in page.inner_text("#kept")


def test_the_policy_says_where_it_was_read_and_all_that_holds(eventful, page):
    page.goto(f"{eventful.url}/policy")
    assert "policy.yaml" in page.inner_text("#source")
    row = page.locator("#classes tr", has_text="deadlock").inner_text()
    assert "ask" in row
    assert "clear_queue_and_reset" in row
    assert "max_pool_unavailable: 100%" in page.inner_text("#whole pre")


def test_a_report_is_handed_out_as_a_file(eventful, page):
    page.goto(address(eventful, "resolved"))
    for name, begins in (("Markdown", "# Incident 1"), ("HTML", "<!doctype html>")):
        with page.expect_download() as download:
            page.get_by_role("link", name=name, exact=True).click()
        assert download.value.path().read_text("utf-8").startswith(begins)


def test_a_strangers_text_is_text_and_bursts_nothing(eventful, window):
    page = window(viewport={"width": 360, "height": 740})
    for name in ("held", "overview", "alerts", "fleet"):
        page.goto(address(eventful, name))
        assert "taken" not in page.title()
        assert page.evaluate("document.documentElement.scrollWidth") <= 360
    page.goto(address(eventful, "held"))
    page.locator(".alert summary").click()
    labels = page.inner_text(".alert .labels")
    assert LONG in labels.replace("\n", "")
    assert "<script>" in labels
    assert "\\u202egnp.exe \\x1b[31m" in labels
    assert page.evaluate("document.documentElement.scrollWidth") <= 360


def test_what_is_not_there_says_so_as_a_page(eventful, window):
    page = window()
    for path in ("/incidents/999", f"/incidents/{2**63 - 1}", "/runs/999/output", "/incidents/1/report.exe"):
        assert page.goto(eventful.url + path).status == 404
        assert "There is nothing here" in page.inner_text("main")
    # The browser tells of each.
    assert all("404" in text for text in window.wrong)
    window.provokes_errors()


@pytest.mark.parametrize("choice", ["light", "dark"])
def test_colours_follow_the_system_until_a_person_chooses(eventful, window, choice):
    other = {"light": "dark", "dark": "light"}[choice]
    page = window(java_script_enabled=False, color_scheme=other)
    page.goto(f"{eventful.url}/fleet")

    grounds = {"light": "rgb(244, 246, 248)", "dark": "rgb(15, 20, 25)"}
    body = page.locator("body")
    expect(body).to_have_css("background-color", grounds[other])
    page.get_by_role("button", name=choice).click()
    expect(body).to_have_css("background-color", grounds[choice])
    assert page.url == f"{eventful.url}/fleet"
    page.goto(f"{eventful.url}/policy")
    expect(body).to_have_css("background-color", grounds[choice])
    page.get_by_role("button", name="as the system").click()
    expect(body).to_have_css("background-color", grounds[other])


def test_twice_as_large_still_fits(eventful, window):
    # 1280 pixels at 200 % are 640 of CSS.
    page = window(viewport={"width": 640, "height": 450}, device_scale_factor=2)
    for name in PAGES:
        page.goto(address(eventful, name))
        assert page.evaluate("document.documentElement.scrollWidth") <= 640, name
    window.provokes_errors()
