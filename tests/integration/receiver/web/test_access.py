# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Roles, sessions, names and headers, asked of a real server."""

from __future__ import annotations

import json
import re

import pytest
import sqlalchemy as sa

from autoglm_recovery.receiver.access import passwords
from autoglm_recovery.receiver.store.schema import ended_sessions
from autoglm_recovery.receiver.web.session import local_path

from .serving import ACCESS, OPERATOR, SENDER, VIEWER, serving

PASSWORD = "correct horse battery"
ALERT = {
    "status": "firing",
    "labels": {"alertname": "Oom", "host": "node-a"},
    "startsAt": "2026-11-22T20:00:00Z",
}
WEBHOOK = {"version": "4", "alerts": [ALERT]}


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """Return a server that knows an alertmanager, a dashboard, and alice twice."""
    kept = passwords.hash_password(PASSWORD, rounds=100_000)
    with serving(tmp_path_factory.mktemp("access"), f"{ACCESS}bob operator {kept}\n") as running:
        yield running


@pytest.fixture
def fresh(tmp_path):
    """Return a server whose memory of failures is empty."""
    with serving(tmp_path) as running:
        yield running


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("POST", "/api/v1/alerts", {SENDER, OPERATOR}),
        ("GET", "/api/v1/alerts", {VIEWER, OPERATOR}),
        ("GET", "/api/v1/rejects", {VIEWER, OPERATOR}),
        ("GET", "/api/v1/incidents", {VIEWER, OPERATOR}),
        ("GET", "/api/v1/incidents/1", {VIEWER, OPERATOR}),
        ("POST", "/api/v1/incidents/1/approve", {OPERATOR}),
        ("POST", "/api/v1/incidents/1/close", {OPERATOR}),
        ("GET", "/api/v1/audit", {OPERATOR}),
    ],
)
def test_each_role_may_what_it_is_for(server, method, path, allowed):
    body = {"json": WEBHOOK} if path == "/api/v1/alerts" and method == "POST" else {}
    for token in (SENDER, VIEWER, OPERATOR):
        status = server.ask(method, path, token, **body).status_code
        assert (status != 403) == (token in allowed)
        assert status in (200, 403, 404)
    assert server.ask(method, path, **body).status_code == 401


@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/metrics", "/api/v1/openapi.json", "/login"])
def test_what_tells_no_secrets_is_for_anybody(server, path):
    assert server.ask("GET", path).status_code == 200


def test_an_order_is_in_the_audit_log_with_who_and_why_also_when_it_is_refused(fresh):
    answer = fresh.ask("POST", "/api/v1/incidents/7/approve", OPERATOR, json={"comment": "looks <b>safe</b>"})
    assert answer.status_code == 404
    (row,) = fresh.ask("GET", "/api/v1/audit", OPERATOR).json()["audit"]
    assert {key: row[key] for key in row if key not in ("id", "at")} == {
        "who": "alice",
        "role": "operator",
        "how": "bearer",
        "address": "127.0.0.1",
        "what": "approve",
        "incident_id": 7,
        "outcome": "refused",
        "comment": "looks <b>safe</b>",
        "detail": "there is no such incident",
    }


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"", 404),
        (b"{}", 404),
        (b'{"comment": 5}', 400),
        (b'{"why": "x"}', 400),
        (b"{", 400),
        (b'{"comment": "\\u0000"}', 400),
        (b'{"comment": "%s"}' % (b"x" * 1001), 400),
        (b"x" * 10_000, 413),
    ],
)
def test_a_comment_is_short_text_or_nothing(server, body, status):
    headers = {"Content-Type": "application/json"}
    answer = server.ask("POST", "/api/v1/incidents/7/close", OPERATOR, content=body, headers=headers)
    assert answer.status_code == status


def test_what_a_proxy_says_of_the_address_is_not_believed(fresh):
    headers = {"X-Forwarded-For": "203.0.113.9", "Forwarded": "for=203.0.113.9", "X-Real-IP": "203.0.113.9"}
    fresh.ask("POST", "/api/v1/incidents/7/close", OPERATOR, headers=headers)
    fresh.ask("GET", "/api/v1/audit", "x" * 20, headers=headers)
    rows = fresh.ask("GET", "/api/v1/audit", OPERATOR).json()["audit"]
    assert {row["address"] for row in rows} == {"127.0.0.1"}


def test_who_guesses_is_slowed_down_told_when_and_written_down_without_what_they_tried(fresh, capfd):
    guess = "guess-" + "g" * 20
    answers = [fresh.ask("GET", "/api/v1/incidents", guess) for _ in range(40)]
    statuses = [answer.status_code for answer in answers]
    assert statuses == [401] * statuses.count(401) + [429] * statuses.count(429)
    assert 10 <= statuses.count(401) < 20
    assert 1 <= int(answers[-1].headers["retry-after"]) <= 10
    # Alertmanager would drop its alerts at 429.
    sent = fresh.ask("POST", "/api/v1/alerts", guess, json=WEBHOOK)
    assert (sent.status_code, bool(sent.headers["retry-after"])) == (503, True)
    # Who shares the address and has the right token is served all the same.
    rows = fresh.ask("GET", "/api/v1/audit", OPERATOR).json()["audit"]
    assert {(row["what"], row["outcome"], row["how"], row["who"]) for row in rows} == {
        ("login", "unrecognised", "bearer", "")
    }
    assert len(rows) == statuses.count(401)
    logged = "".join(capfd.readouterr())
    assert "not recognised" in logged
    assert guess not in logged + json.dumps(rows)


def test_a_user_with_a_password(server):
    answer = server.client.get("/api/v1/incidents", auth=("bob", PASSWORD))
    assert answer.status_code == 200
    wrong = server.client.get("/api/v1/incidents", auth=("bob", "wrong"))
    assert (wrong.status_code, wrong.headers["www-authenticate"]) == (
        401,
        'Bearer, Basic realm="autoglm", charset="UTF-8"',
    )


def log_in(server, where="/api/v1/incidents", **fields):
    """Send the login form."""
    return server.ask("POST", "/login", data={"next": where, **fields})


@pytest.mark.parametrize("fields", [{"secret": VIEWER}, {"secret": OPERATOR}, {"name": "bob", "secret": PASSWORD}])
def test_a_browser_logs_in_and_out_with_a_cookie_that_no_script_and_no_other_site_gets(server, fields):
    server.client.cookies.clear()
    answer = log_in(server, **fields)
    assert (answer.status_code, answer.headers["location"]) == (303, "/api/v1/incidents")
    cookie = answer.headers["set-cookie"]
    for attribute in ("HttpOnly", "SameSite=strict", "Path=/"):
        assert attribute in cookie
    assert fields["secret"] not in cookie
    assert server.ask("GET", "/api/v1/incidents").status_code == 200
    server.ask("POST", "/logout", headers={"Content-Type": "application/x-www-form-urlencoded"})
    assert server.ask("GET", "/api/v1/incidents").status_code == 401


def test_a_cookie_is_no_good_after_its_logout_for_anybody_who_has_a_copy_and_others_stay(tmp_path):
    form = {"Content-Type": "application/x-www-form-urlencoded"}

    def status(server, cookie):
        headers = {"Cookie": f"autoglm_session={cookie}"}
        server.client.cookies.clear()
        return server.ask("GET", "/api/v1/incidents", headers=headers).status_code

    def new_cookie(server):
        server.client.cookies.clear()
        log_in(server, secret=VIEWER)
        return server.client.cookies["autoglm_session"]

    with serving(tmp_path) as server:
        copied, other = new_cookie(server), new_cookie(server)
        assert (status(server, copied), status(server, other)) == (200, 200)
        for _ in range(2):
            headers = {**form, "Cookie": f"autoglm_session={copied}"}
            assert server.ask("POST", "/logout", headers=headers).status_code == 303
        assert (status(server, copied), status(server, other)) == (401, 200)
        assert server.ask("POST", "/logout", headers={**form, "Cookie": "autoglm_session=forged"}).status_code == 303
        with server.database.reading() as connection:
            assert connection.execute(sa.select(sa.func.count()).select_from(ended_sessions)).scalar() == 1
    # The key and the database are the ones of before the restart.
    with serving(tmp_path) as server:
        assert (status(server, copied), status(server, other)) == (401, 200)


@pytest.mark.parametrize("fields", [{}, {"secret": "wrong"}, {"name": "bob", "secret": "wrong"}, {"name": "bob"}])
def test_a_wrong_login_says_so_and_sets_nothing(fresh, fields):
    answer = log_in(fresh, **fields)
    assert answer.status_code == 401
    assert 'role="alert"' in answer.text
    assert "set-cookie" not in answer.headers


def test_a_sender_has_nothing_to_look_at(fresh):
    assert log_in(fresh, secret=SENDER).status_code == 403


def test_an_order_with_a_cookie_needs_the_token_of_a_page(server):
    server.client.cookies.clear()
    log_in(server, secret=OPERATOR)
    try:
        path = "/api/v1/incidents/7/close"
        assert server.ask("POST", path).status_code == 403
        token = server.services.sessions.form_token("alice", "session")
        assert server.ask("POST", path, headers={"X-Form-Token": token}).status_code == 404
        assert server.ask("POST", path, headers={"X-Form-Token": "x" + token}).status_code == 403
        cross = {"X-Form-Token": token, "Sec-Fetch-Site": "cross-site"}
        assert server.ask("POST", path, headers=cross).status_code == 403
    finally:
        server.client.cookies.clear()


@pytest.mark.parametrize(
    "content",
    [b"", b"&&&", b"a=b&" * 40, b"secret=%ff", b"secret=\xff", b"next=%00", b"secret=%f0%9f%92%a9&name=%00"],
)
def test_rubbish_in_the_form_is_no_fault_of_ours(fresh, content):
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    assert fresh.ask("POST", "/login", content=content, headers=headers).status_code in (400, 401)
    assert fresh.ask("POST", "/login", content=content).status_code == 415


@pytest.mark.parametrize(
    ("given", "where"),
    [
        ("/incidents/7?x=1", "/incidents/7?x=1"),
        ("//evil.example", "/"),
        ("/\\evil.example", "/"),
        ("https://evil.example", "/"),
        ("javascript:alert(1)", "/"),
        ("/x\r\nSet-Cookie: a=b", "/"),
        ("/\t/evil.example", "/"),
        ("", "/"),
    ],
)
def test_after_the_login_one_stays_here(server, given, where):
    assert local_path(given) == where
    page = server.client.get("/login", params={"next": given}).text
    assert re.search(r'name="next" value="([^"]*)"', page)[1].replace("&amp;", "&") == where


def test_without_an_access_file_only_names_of_this_machine_are_answered_to(tmp_path):
    with serving(tmp_path, None) as server:
        for host in ("127.0.0.1", "localhost", f"localhost:{server.port}", "[::1]:9470", "LOCALHOST."):
            assert server.ask("GET", "/api/v1/incidents", headers={"Host": host}).status_code == 200
        for host in ("evil.example", "evil.example:9470", "127.0.0.1.evil.example", "", "localhost.evil.example"):
            assert server.ask("GET", "/api/v1/incidents", headers={"Host": host}).status_code == 421
        order = "/api/v1/incidents/7/approve"
        assert server.ask("POST", order, headers={"Origin": "http://evil.example"}).status_code == 403
        assert server.ask("POST", order, headers={"Origin": f"http://127.0.0.1:{server.port}"}).status_code == 404
        assert server.ask("GET", "/login").headers["location"] == "/"


def test_a_server_that_was_told_its_names_answers_to_no_other(tmp_path):
    with serving(tmp_path, allowed_hosts=("autoglm.example.org",)) as server:
        statuses = [
            server.ask("GET", "/healthz", headers={"Host": host}).status_code
            for host in ("autoglm.example.org", "Autoglm.Example.org:9470", "127.0.0.1")
        ]
        assert statuses == [200, 200, 421]


@pytest.mark.parametrize("path", ["/api/v1/incidents", "/login", "/nowhere", "/metrics"])
def test_every_answer_tells_browsers_to_be_careful(server, path):
    headers = server.ask("GET", path, OPERATOR).headers
    policy = headers["content-security-policy"]
    assert "default-src 'self'" in policy
    assert "frame-ancestors 'none'" in policy
    assert "unsafe" not in policy
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["cache-control"] == "no-store"
    assert headers["referrer-policy"] == "same-origin"
    assert not [name for name in headers if name.startswith("access-control")]
    assert "server" not in headers
    assert "strict-transport-security" not in headers


def test_a_preflight_of_another_site_gets_nothing(server):
    headers = {"Origin": "https://evil.example", "Access-Control-Request-Method": "POST"}
    answer = server.ask("OPTIONS", "/api/v1/alerts", headers=headers)
    assert answer.status_code == 405
    assert not [name for name in answer.headers if name.startswith("access-control")]


def test_more_than_an_address_may_ask_is_told_to_come_later(tmp_path):
    with serving(tmp_path, requests_per_second=1) as server:
        answers = [server.ask("GET", "/healthz") for _ in range(12)]
        refused = [answer for answer in answers if answer.status_code != 200]
        assert refused
        assert {answer.status_code for answer in refused} == {503}
        assert all(int(answer.headers["retry-after"]) >= 1 for answer in refused)


def test_a_packed_body_and_too_many_headers_are_refused(server):
    packed = {"Content-Encoding": "gzip", "Content-Type": "application/json"}
    assert server.ask("POST", "/api/v1/alerts", SENDER, content=b"x", headers=packed).status_code == 415
    many = {f"X-{n}": "x" for n in range(150)}
    assert server.ask("GET", "/healthz", headers=many).status_code == 431
