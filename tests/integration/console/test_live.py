# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""With JavaScript a page moves by itself, takes nothing from the person who reads it, and says when it has stopped."""

from __future__ import annotations

import re
import signal

from playwright.sync_api import expect

from .night import OPERATOR, latest, post, resolve
from .test_ordering import log_in


def test_a_run_is_seen_as_it_goes(receiver, window):
    receiver.hold()
    page = window()
    page.goto(f"{receiver.url}/incidents?host=node-a")
    expect(page.locator("#list")).to_contain_text("No incident fits this filter")
    post(receiver, "node-a", "oom")
    expect(page.locator("#list .incident")).to_contain_text("running")
    expect(page.locator("#news")).to_contain_text("1 incidents listed")
    age = page.locator("#list [data-age]")
    expect(age).not_to_have_text(age.inner_text())
    page.get_by_role("link", name="llama on node-a").click()
    expect(page.locator("#timeline")).to_contain_text("Mark the beginning: changed")
    assert "Mark the end" not in page.inner_text("#timeline")
    page.get_by_label("Comment").fill("half a thought")
    page.locator("#timeline details > summary").click()
    receiver.let_go()
    # Closed by the reader, it stays closed, and what was written stays written with the cursor in it.
    page.get_by_label("Comment").focus()
    expect(page.locator("#head .state")).to_contain_text("verifying")
    assert page.locator("#timeline details").get_attribute("open") is None
    assert page.input_value("#comment") == "half a thought"
    assert page.evaluate("document.activeElement.id") == "comment"
    page.locator("#timeline details > summary").click()
    expect(page.locator("#timeline")).to_contain_text("Mark the end: changed")
    incident = latest(receiver, "node-a")["id"]
    resolve(receiver, incident)
    expect(page.locator("#head")).to_contain_text("Recovered in")
    expect(page.locator("#orders")).to_have_count(0)
    expect(page.locator("#news")).to_contain_text(f"Incident {incident} is resolved")


def test_who_needs_a_person_comes_to_the_first_page_and_into_the_title_of_its_tab(receiver, window):
    page = window()
    page.goto(receiver.url)
    post(receiver, "node-g", "deadlock")
    expect(page.locator("#person")).to_contain_text("llama on node-g")
    expect(page).to_have_title(re.compile(r"^\(\d+\) Overview"))


def test_a_page_that_has_not_changed_is_not_sent_again(receiver, window):
    page, statuses = window(), []
    page.on("response", lambda answer: statuses.append(answer.status))
    page.goto(f"{receiver.url}/policy")
    expect(page.locator("#live")).to_contain_text("last looked at")
    before = page.locator("#live").inner_text()
    expect(page.locator("#live")).not_to_have_text(before)
    assert statuses.count(304) >= 2


def test_a_lost_connection_is_told_with_its_time_and_ends(receiver, window):
    page = window()
    page.goto(receiver.url)
    expect(page.locator("#live")).to_contain_text("last looked at")
    receiver.kill(signal.SIGKILL)
    expect(page.locator("#link")).to_contain_text("Connection lost at")
    expect(page.locator("#live")).to_contain_text("Not live since")
    receiver.start()
    expect(page.locator("#link")).to_be_hidden(timeout=40_000)
    expect(page.locator("#live")).to_contain_text("Live, last looked at")
    window.provokes_errors()


def test_a_page_that_nobody_sees_asks_nothing(receiver, window):
    page, asked = window(), []
    page.goto(f"{receiver.url}/policy")
    expect(page.locator("#live")).to_contain_text("last looked at")
    # What a browser does with a tab in the background; a headless one has none.
    page.evaluate(
        "() => { Object.defineProperty(document, 'hidden', { value: true, configurable: true });"
        " document.dispatchEvent(new Event('visibilitychange')); }"
    )
    page.on("request", lambda request: asked.append(request.url))
    page.wait_for_timeout(2_500)  # longer than it would be until the next
    assert asked == []
    page.evaluate("() => { delete document.hidden; document.dispatchEvent(new Event('visibilitychange')); }")
    with page.expect_request(f"{receiver.url}/policy"):
        pass


def test_whoever_is_logged_out_meanwhile_is_told_and_nothing_is_asked_any_more(guarded, window):
    page = window()
    log_in(page, guarded, OPERATOR, "/incidents?state=person")
    expect(page.locator("#live")).to_contain_text("last looked at")
    page.context.clear_cookies()
    expect(page.locator("#link")).to_contain_text("You are logged out")
    page.get_by_role("link", name="Log in again").click()
    page.get_by_label("Password, or a token").fill(OPERATOR)
    page.get_by_role("button", name="Log in").click()
    expect(page).to_have_url(f"{guarded.url}/incidents?state=person")
