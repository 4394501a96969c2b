# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whatever strangers write is text: it is never markup, and it moves nothing."""

from __future__ import annotations

import re
import unicodedata
from datetime import UTC, datetime
from html.parser import HTMLParser
from pathlib import Path
from types import SimpleNamespace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from autoglm_recovery.policy.guardrails import Guardrails
from autoglm_recovery.policy.model import Policy
from autoglm_recovery.receiver.console import fleet, incident, ledger, listing, overview, policy
from autoglm_recovery.receiver.console.filters import Filter
from autoglm_recovery.receiver.console.ordering import Confirmation
from autoglm_recovery.receiver.console.output import OutputPage
from autoglm_recovery.receiver.console.rendering import Frame, link, render
from autoglm_recovery.receiver.decide.guards import GuardFinding
from autoglm_recovery.receiver.fleet.fleet import Fleet, Host, InferenceService
from autoglm_recovery.receiver.fleet.site_config import SiteConfig
from autoglm_recovery.receiver.observe.silences import NONE_ASKED
from autoglm_recovery.receiver.values.model import Decision, Verb

NOW = datetime(2026, 11, 24, 3, 0, tzinfo=UTC)
THEN = "2026-11-24T02:59:00+00:00"
NASTY = [
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "' onfocus=alert(1) autofocus '",
    "{{ 7 * 7 }}",
    "\x1b[2J\x00\r\n",
    "\u202eevil\u202c\u2066\u200f",
    "javascript:alert(1)",
    "x" * 5000,
]
texts = st.sampled_from(NASTY) | st.text(max_size=200)


def found(text):
    """Return an incident, as the API shows it, in which every stranger's text is this one."""
    return {
        "id": 7,
        "host": text,
        "service": text,
        "pool": text,
        "gpu": text,
        "failure_class": "oom",
        "fault_mode": "transient",
        "state": "held",
        "reason": text,
        "root_cause": text,
        "first_starts_at": THEN,
        "opened_at": THEN,
        "ended_at": None,
        "explained_by": None,
        "alerts": [
            {
                "id": 1,
                "fingerprint": "f",
                "identity": "i",
                "status": "firing",
                "starts_at": THEN,
                "ends_at": None,
                "deliveries": 2,
                "reason": text,
                "labels": {"alertname": text, "x": text},
                "annotations": {"summary": text, text: text},
                "generator_url": text,
            }
        ],
        "earlier_runs": [{"action": "restart_process", "state": text, "incident_id": 3}],
        "runs": [
            {
                "id": 3,
                "action": "restart_process",
                "attempt": 1,
                "host": text,
                "state": "failed",
                "reason": text,
                "launcher": "awx",
                "link": text,
                "started_at": THEN,
                "ended_at": THEN,
                "rc": 2,
            }
        ],
        "timeline": [
            {"at": THEN, "kind": "alert", "text": text},
            {"at": THEN, "kind": "task", "text": text},
            {"at": THEN, "kind": "order", "text": text},
        ],
    }


def frame(text, *, may_order=True):
    """Return what is around a page."""
    return Frame(text, "operator", may_order, open=False, paused=text, persons_needed=1, well=False, theme="auto")


def pages(text):
    """Return every page, with a stranger's text wherever one may be."""
    plan = incident.plan(
        Decision(Verb.hold, text, "restart_process", 1),
        [GuardFinding("rule", text, Decision(Verb.hold, text))],
        [("restart_process", "")],
        found(text),
    )
    row = SimpleNamespace(
        id=7, state="held", host="node-a", service="llama", gpu=text, pool=text, failure_class="oom",
        fault_mode="persistent", root_cause=text, cause=text, reason=text, first_starts_at=1.0, ended_at=None,
        well=False,
    )  # fmt: skip
    summaries = (listing.summary(row),)
    fleet_of = Fleet({text: Host(text, text, (InferenceService(text, text),)), "node-a": Host("node-a")})
    alert = {
        **found(text)["alerts"][0], "outcome": "refused", "incident_id": 7, "committed_at": THEN,
    }  # fmt: skip
    audit = {
        "id": 1, "at": THEN, "who": text, "role": "operator", "how": "basic", "address": text, "what": text,
        "incident_id": 7, "outcome": "done", "comment": text, "detail": text,
    }  # fmt: skip
    config = SiteConfig(Policy(), fleet_of, frozenset(), Path("inventory"), Path("/p"), 1.0, text)
    reject = {"id": 1, "reason": text, "received_at": THEN, "raw": text}
    health = (overview.Health(text, text, well=False),)
    group = overview.Group(summaries, 1)
    return {
        "overview.html": overview.Overview(group, group, summaries, health, ever=True),
        "incidents.html": listing.Listing(
            Filter(text=text, host=text), (text,), summaries, "?before=1", None, (text,), (text,)
        ),
        "incident.html": incident.incident_page(found(text), plan, may_order=True),
        "fleet.html": fleet.fleet_page(fleet_of, Guardrails(), [row], NONE_ASKED, now=1.0, inventory=text),
        "policy.html": policy.policy_page(config),
        "alerts.html": ledger.alerts_page("refused", text, [alert], [reject]),
        "audit.html": ledger.audit_rows([audit]),
        "output.html": OutputPage(3, 7, "restart_process", text, "failed", (text,), True, None, link(text)),
        "confirm.html": Confirmation("close", text, text, ((text, text),), True, text, text, "s", "/x", "/"),
        "missing.html": text,
    }


class Outline(HTMLParser):
    """The elements of a page, the attributes of each, and the addresses in it."""

    def __init__(self, html):
        super().__init__()
        self.elements = []
        self.addresses = []
        self.text = []
        self.feed(html)

    def handle_starttag(self, tag, attributes):
        """Note an element."""
        self.elements.append((tag, tuple(sorted(name for name, _ in attributes if name != "selected"))))
        self.addresses += [value for name, value in attributes if name in ("href", "src", "action")]

    def handle_data(self, data):
        """Note text."""
        self.text.append(data)


def outline(template, view, text):
    """Return the outline of a page."""
    html = render(template, NOW, frame=frame(text), view=view, token="t", tag='"x"', path="/")
    return html, Outline(html)


# What differs where a text happens to be a web address, which alone may be linked to.
HARMLESS = "harmless"


@pytest.mark.parametrize("template", list(pages(HARMLESS)))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=40, deadline=None)
@given(text=texts)
def test_a_strangers_text_adds_no_element_and_no_attribute(template, text):
    _, plain_page = outline(template, pages(HARMLESS)[template], HARMLESS)
    # An empty or blank text may leave out what it would have been in.
    given_text = f"a{text}"
    html, page = outline(template, pages(given_text)[template], given_text)
    assert page.elements == plain_page.elements
    assert not [c for c in html if c != "\n" and unicodedata.category(c) in ("Cc", "Cf", "Zl", "Zp")]
    assert all(address.startswith(("/", "#", "http")) for address in page.addresses)


@pytest.mark.parametrize("template", list(pages(HARMLESS)))
def test_no_page_says_what_the_policy_for_content_would_refuse(template):
    html, page = outline(template, pages(HARMLESS)[template], HARMLESS)
    assert not [names for _, names in page.elements if any(n == "style" or n.startswith("on") for n in names)]
    assert not re.findall(r"<style|<script(?![^>]*src=\"/static/)", html)


@pytest.mark.parametrize(
    ("address", "leads"),
    [
        ("https://awx.example/#/jobs/7", True),
        ("HTTP://prometheus:9090/graph?g0.expr=up", True),
        ("javascript:alert(1)", False),
        (" https://x", False),
        ("https://x/\u202e", False),
        ("data:text/html,x", False),
        ("//evil.example", False),
        (None, False),
    ],
)
def test_only_a_web_address_is_a_link(address, leads):
    assert (link(address) is not None) == leads


def test_a_viewer_is_offered_no_order():
    view = incident.incident_page(found("x"), None, may_order=False)
    html = render("incident.html", NOW, frame=frame("x", may_order=False), view=view, token="t", tag="", path="/")
    assert "/confirm" not in html
    assert "An operator can approve" in html
    assert 'href="/audit"' not in html
