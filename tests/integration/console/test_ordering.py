# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Orders by forms, without JavaScript: nothing without being asked back, and nothing on what has changed since."""

from __future__ import annotations

from playwright.sync_api import expect

from tests.support.servers.waiting import until

from .night import OPERATOR, VIEWER, authorization, becomes, latest, post


def audit(receiver):
    """Return what was done, newest first."""
    answer = receiver.client.get(f"{receiver.url}/api/v1/audit", headers=authorization(receiver))
    return [(row["what"], row["who"], row["outcome"], row["comment"]) for row in answer.json()["audit"]]


def held(receiver, host):
    """Have an incident wait for a person."""
    post(receiver, host, "deadlock")
    return becomes(receiver, host, "held")


def log_in(page, receiver, token, path="/"):
    """Log in, as whoever has the token, on the way to a page."""
    page.goto(receiver.url + path)
    page.get_by_label("Password, or a token").fill(token)
    page.get_by_role("button", name="Log in").click()
    page.wait_for_url(receiver.url + path)


def test_approve_asks_back_and_then_the_action_runs(receiver, window):
    page, incident = window(java_script_enabled=False), held(receiver, "node-b")
    receiver.hold()
    page.goto(f"{receiver.url}/incidents/{incident}")
    page.get_by_label("Comment").fill("seen, go on")
    page.get_by_role("button", name="Approve").click()
    expect(page.get_by_role("heading", level=1)).to_have_text(f"Approve incident {incident}?")
    assert "waits for approval of clear_queue_and_reset" in page.inner_text("main")
    assert latest(receiver, "node-b")["state"] == "held", "nothing has been ordered yet"
    page.get_by_role("button", name="Yes, approve").click()
    expect(page.locator("main [role=status]")).to_contain_text("Your order was carried out: approve")
    becomes(receiver, "node-b", "running")
    assert audit(receiver)[0] == ("approve", "anybody on this machine", "done", "seen, go on")
    page.goto(f"{receiver.url}/incidents/{incident}")
    assert "approve by anybody on this machine" in page.inner_text("#timeline")
    assert [b.strip() for b in page.locator("#orders button").all_inner_texts()] == ["Close ...", "Cancel ..."]


def test_no_order_on_what_has_changed_since(receiver, window):
    page, incident = window(java_script_enabled=False), held(receiver, "node-c")
    page.goto(f"{receiver.url}/incidents/{incident}/confirm?order=close")
    # A deeper cause becomes known meanwhile: another action is next.
    post(receiver, "node-c", "gpu_fault")
    until("the cause to be named", lambda: "reset_gpu" in latest(receiver, "node-c")["reason"])
    page.get_by_role("button", name="Yes, close").click()
    assert "has changed since you were asked" in page.inner_text("[role=alert]")
    assert "would run reset_gpu" in page.inner_text("main")
    assert latest(receiver, "node-c")["state"] == "held"
    page.get_by_role("button", name="Yes, close").click()
    becomes(receiver, "node-c", "closed")
    window.provokes_errors()


def test_an_order_that_came_too_late_is_refused_in_words(receiver, window):
    page, incident = window(java_script_enabled=False), held(receiver, "node-d")
    page.goto(f"{receiver.url}/incidents/{incident}/confirm?order=approve")
    assert receiver.order(incident, "reject").status_code == 200
    page.get_by_role("button", name="Yes, approve").click()
    expect(page.locator("[role=alert]")).to_have_count(1)
    assert page.get_by_role("button", name="Yes, approve").count() == 0
    assert receiver.runs(incident) == []
    window.provokes_errors()


def test_all_actions_are_paused_and_every_page_says_so(receiver, window):
    page = window(java_script_enabled=False)
    page.goto(receiver.url)
    page.get_by_label("Why").fill("switch upgrade")
    page.get_by_role("button", name="Pause all actions").click()
    page.get_by_role("button", name="Yes, pause").click()
    page.wait_for_url(f"{receiver.url}/")
    for path in ("/", "/fleet", "/incidents"):
        page.goto(receiver.url + path)
        assert "Actions are paused" in page.inner_text("#state")
        assert "switch upgrade" in page.inner_text("#state")
    post(receiver, "node-e", "oom")
    incident = becomes(receiver, "node-e", "waiting")
    page.goto(receiver.url)
    page.get_by_role("button", name="Resume all actions").click()
    page.get_by_role("button", name="Yes, resume").click()
    page.wait_for_url(f"{receiver.url}/")
    expect(page.locator("#state")).to_have_text("")
    until("the action to run", lambda: receiver.runs(incident))


def test_by_keyboard_alone_from_the_login_to_the_approval(guarded, window):
    page, incident = window(), held(guarded, "node-b")
    page.goto(f"{guarded.url}/incidents?state=person&host=node-b")

    def press_until(what, name):
        for _ in range(60):
            page.keyboard.press("Tab")
            focus = page.evaluate("document.activeElement.innerText || document.activeElement.id")
            if name in focus:
                shown = page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
                assert shown != "none", f"nobody sees that {focus} has the focus"
                return
        raise AssertionError(f"no {what} by tabs")

    press_until("field", "secret")
    page.keyboard.type(OPERATOR)
    page.keyboard.press("Enter")
    page.wait_for_url("**/incidents?state=person&host=node-b")
    page.keyboard.press("j")
    assert page.evaluate("document.activeElement.id") == f"incident-{incident}"
    page.keyboard.press("Enter")
    page.wait_for_url(f"**/incidents/{incident}")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.innerText") == "Skip to content"
    page.keyboard.press("Enter")
    press_until("comment", "comment")
    page.keyboard.type("by keyboard")
    press_until("button", "Approve")
    page.keyboard.press("Enter")
    page.wait_for_url("**/confirm?**")
    press_until("button", "Yes, approve")
    page.keyboard.press("Enter")
    page.wait_for_url(f"**/incidents/{incident}?done=approve")
    assert audit(guarded)[0] == ("approve", "alice", "done", "by keyboard")


def test_a_viewer_reads_everything_and_orders_nothing(guarded, window):
    incident = held(guarded, "node-c")
    page = window(java_script_enabled=False)
    log_in(page, guarded, VIEWER, f"/incidents/{incident}")
    assert page.locator("#orders").count() == 0
    assert "An operator can approve" in page.inner_text("main")
    answer = page.goto(f"{guarded.url}/incidents/{incident}/confirm?order=approve")
    assert answer.status == 403
    window.provokes_errors()


def test_a_form_of_another_site_orders_nothing(receiver, window):
    incident, page = held(receiver, "node-f"), window()
    page.set_content(
        f'<form method="post" action="{receiver.url}/incidents/{incident}/order">'
        '<input name="order" value="approve"><button>win</button></form>'
    )
    with page.expect_navigation():
        page.get_by_role("button").click()
    assert "comes from a page of another site" in page.inner_text("body")
    assert latest(receiver, "node-f")["state"] == "held"
    window.provokes_errors()
