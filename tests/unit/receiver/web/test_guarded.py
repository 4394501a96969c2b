# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A route says what it needs, and nobody gets further who may not."""

from __future__ import annotations

import pytest
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from autoglm_recovery.receiver.access.authenticator import Unrecognised
from autoglm_recovery.receiver.access.sessions import Sessions
from autoglm_recovery.receiver.store.audit import audit
from autoglm_recovery.receiver.store.database import Database
from autoglm_recovery.receiver.values.principal import Need, Principal, Role
from autoglm_recovery.receiver.web.gate import Gate
from autoglm_recovery.receiver.web.guarded import Contract, Guarded, GuardedMount, check_guarded, who
from tests.unit.receiver.web.client import ask

SESSIONS = Sessions(b"k" * 32)
TEXT = Contract("text/plain")
NEEDS = (Need.send, Need.read, Need.order)
MAY = {
    Role.sender: {Need.send},
    Role.viewer: {Need.read},
    Role.operator: {Need.send, Need.read, Need.order},
}


class ByName:
    """Believes that the Authorization header is the name of a role."""

    has_users = False

    def is_slow(self, _credentials):
        """Recognise at once."""
        return False

    def recognise(self, credentials):
        """Return somebody of that role."""
        if credentials.authorization is None:
            raise Unrecognised("who are you?")
        return Principal("somebody", Role(credentials.authorization), "bearer", credentials.address)


async def say_role(request):
    """Answer with who was let in."""
    return PlainTextResponse(who(request).role)


async def below(scope, receive, send):
    """Answer from below a mount."""
    await PlainTextResponse("below")(scope, receive, send)


@pytest.fixture
def app(tmp_path):
    """Return an application with a route and a mount for each need, and one page."""
    routes = [Guarded(f"/{need}", say_role, methods=["GET", "POST"], need=need, contract=TEXT) for need in NEEDS]
    routes += [GuardedMount(f"/files-{need}", below, need=need) for need in NEEDS]
    routes.append(Guarded("/page", say_role, methods=["GET", "POST"], need=Need.read))
    check_guarded(routes)
    app = Starlette(routes=routes)
    database = Database(f"sqlite:///{tmp_path}/receiver.db")
    database.migrate()
    app.state.gate = Gate(ByName(), SESSIONS, database)
    yield app
    database.close()


@pytest.mark.parametrize("need", NEEDS)
@pytest.mark.parametrize("role", Role)
def test_a_role_gets_what_it_was_made_for_and_nothing_else(app, role, need):
    allowed = need in MAY[role]
    for path in (f"/{need}", f"/files-{need}/x"):
        answer = ask(app, "GET", path, headers={"Authorization": role})
        assert answer.status_code == (200 if allowed else 403)
        assert allowed or answer.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize("need", NEEDS)
def test_nobody_gets_nothing(app, need):
    for path in (f"/{need}", f"/files-{need}/x"):
        answer = ask(app, "GET", path)
        assert answer.status_code == 401
        assert answer.headers["www-authenticate"]


def test_a_browser_is_sent_to_log_in_and_comes_back(app):
    answer = ask(app, "GET", "/page")
    assert (answer.status_code, answer.headers["location"]) == (303, "/login?next=/page")
    answer = ask(app, "GET", "/page?state=held&q=a%20b")
    assert answer.headers["location"] == "/login?next=/page%3Fstate%3Dheld%26q%3Da%2520b"
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    assert ask(app, "POST", "/page", headers=form).status_code == 401


def test_a_wrong_method_is_told_before_anybody_is_asked_who_they_are(app):
    assert ask(app, "PUT", "/read").status_code == 405


def test_what_a_page_sends_needs_the_token_of_a_page_that_was_made_for_the_same_person(app):
    def sent(token):
        return ask(app, "POST", "/page", data={"form_token": token}, headers={"Authorization": "viewer"}).status_code

    assert sent(SESSIONS.form_token("somebody", "bearer")) == 200
    for wrong in ("", "x", SESSIONS.form_token("somebody else", "bearer"), SESSIONS.form_token("somebody", "session")):
        assert sent(wrong) == 403
    assert sent(Sessions(b"x" * 32).form_token("somebody", "bearer")) == 403


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 200),
        ({"Sec-Fetch-Site": "same-origin"}, 200),
        ({"Sec-Fetch-Site": "none"}, 200),
        ({"Sec-Fetch-Site": "cross-site"}, 403),
        ({"Sec-Fetch-Site": "same-site"}, 403),
        ({"Origin": "http://127.0.0.1"}, 200),
        ({"Origin": "http://127.0.0.1:81"}, 403),
        ({"Origin": "http://evil.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Origin": "http://[broken"}, 403),
    ],
)
def test_a_page_of_another_site_writes_nothing_whatever_the_browser_adds(app, headers, status):
    assert ask(app, "POST", "/order", headers={"Authorization": "operator", **headers}).status_code == status
    assert ask(app, "GET", "/order", headers={"Authorization": "operator", **headers}).status_code == 200


def test_files_are_only_read(app):
    assert ask(app, "POST", "/files-read/x", headers={"Authorization": "viewer"}).status_code == 405


def test_what_was_forbidden_is_in_the_audit_log_but_cannot_fill_it(app):
    for _ in range(30):
        ask(app, "POST", "/order", headers={"Authorization": "viewer"})
    with app.state.gate._database.reading() as connection:
        rows = connection.execute(audit.select()).mappings().all()
    assert {(row["who"], row["role"], row["what"], row["outcome"]) for row in rows} == {
        ("somebody", "viewer", "POST /order", "forbidden")
    }
    assert 10 <= len(rows) < 15


def test_a_route_that_nobody_guards_is_refused():
    with pytest.raises(TypeError, match="/open"):
        check_guarded([Route("/open", say_role)])
