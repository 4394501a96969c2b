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
from autoglm_recovery.receiver.access.principal import Need, Principal, Role
from autoglm_recovery.receiver.web.guarded import Guarded, GuardedMount, check_guarded, who

from .client import ask

NEEDS = (Need.send, Need.read, Need.order)
MAY = {
    Role.sender: {Need.send},
    Role.viewer: {Need.read},
    Role.operator: {Need.send, Need.read, Need.order},
}


class ByName:
    """Believes that the Authorization header is the name of a role."""

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
def app():
    """Return an application with a route and a mount for each need, and one page."""
    routes = [Guarded(f"/{need}", say_role, methods=["GET"], need=need) for need in NEEDS]
    routes += [GuardedMount(f"/files-{need}", below, need=need) for need in NEEDS]
    routes.append(Guarded("/page", say_role, methods=["GET", "POST"], need=Need.read, page=True))
    check_guarded(routes)
    app = Starlette(routes=routes)
    app.state.authenticator = ByName()
    return app


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
    assert ask(app, "POST", "/page").status_code == 401


def test_a_wrong_method_is_told_before_anybody_is_asked_who_they_are(app):
    assert ask(app, "POST", "/read").status_code == 405


def test_a_route_that_nobody_guards_is_refused():
    with pytest.raises(TypeError, match="/open"):
        check_guarded([Route("/open", say_role)])
