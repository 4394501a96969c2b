# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A person is told once for each time that one is needed, with everything that is needed, whatever gets in the way."""

from __future__ import annotations

import json
import socket
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
import structlog
from aiosmtpd.controller import Controller

from autoglm_recovery.receiver.notifier import CLAIM_S, Notifier, digest, pause_after
from autoglm_recovery.receiver.store import incidents, notices, schema

from .desk import GPU, desk

SECRET = "hunter2hunter2"


class Web:
    """A real HTTP server that keeps what it is sent, and answers as it is told."""

    def __init__(self) -> None:
        self.status = 200
        self.received: list[dict] = []
        web = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                web.received.append(json.loads(body))
                self.send_response(web.status)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_):
                """Keep quiet."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"json://user:{SECRET}@127.0.0.1:{self.server.server_port}/hook"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()


@pytest.fixture
def web():
    """Return a server."""
    made = Web()
    yield made
    made.server.shutdown()
    made.server.server_close()


@pytest.fixture
def at(tmp_path, web):
    """Return a desk whose policy tells the server everything."""
    with desk(tmp_path, f"notify: {{routes: ['{web.url}'], console: 'https://recovery.example.org'}}") as made:
        yield made


def notifier(at) -> Notifier:
    """Return a notifier whose thread does not run: tests send by hand."""
    return Notifier(at.database, lambda: at.world.policy)


def empty(at) -> int:
    """Send what is due; return how many notices that were."""
    sender = notifier(at)
    count = 0
    with at.clock():
        while sent := sender.send_due():
            count += sent
    sender._senders.shutdown()
    return count


def test_an_escalation_tells_a_person_everything(at, web):
    at.fire("node-a", "gpu_fault", service="llama", gpu_uuid=GPU, severity="critical", runbook="x")
    with at.clock(), at.database.writing() as connection:
        incidents.tell(connection, 1, at.now, "evidence", "node-a:/var/lib/autoglm/evidence/1.tar.gz")
    for _ in range(3):
        at.end_run("node-a", 1)
    assert at.state() == "escalated"
    assert empty(at) == 1
    (sent,) = web.received
    assert sent["title"] == "[autoglm] incident 1: gpu_fault on node-a, a person is needed"
    text = sent["message"]
    for said in (
        f"Where: service llama on node-a, GPU {GPU}, pool chat",
        "Cause: Alertgpu_fault",
        "Why:   the ladder has ended: reset_gpu failed, reboot_node failed, quarantine_node failed",
        "reset_gpu: failed",
        "node-a:/var/lib/autoglm/evidence/1.tar.gz",
        "https://recovery.example.org/incidents/1",
        "autoglm incidents retry 1",
        "autoglm incidents close 1",
        "(notice 1, written",
    ):
        assert said in text
    assert "a notice to people was written: a person is needed" in at.timeline()


def test_a_person_is_told_once_and_again_only_when_needed_again(at, web):
    at.fire("node-a", "unknown")
    at.pass_time(600)
    at.turn()
    assert empty(at) == 1
    at.order(1, "retry")
    assert at.state() == "escalated"
    assert empty(at) == 1
    assert len(web.received) == 2


def test_who_must_approve_is_asked(at, web):
    at.policy(f"recovery: {{autonomy: ask}}\nnotify: ['{web.url}']")
    at.fire("node-c", "oom")
    assert empty(at) == 1
    assert web.received[0]["title"].endswith("your approval is waited for")
    assert "autoglm incidents approve 1   # let restart_process run" in web.received[0]["message"]


def test_who_must_approve_since_the_policy_has_changed_is_asked_too(at, web):
    at.policy(f"recovery: {{autonomy: watch}}\nnotify: ['{web.url}']")
    at.fire("node-c", "oom")
    at.policy(f"recovery: {{autonomy: ask}}\nnotify: ['{web.url}']")
    with at.database.writing() as connection:
        incidents.decide_again(connection, at.now)
    at.turn()
    with at.database.writing() as connection:
        incidents.decide_again(connection, at.now)
    at.turn()
    assert [row.occasion for row in at.rows(schema.notices)] == ["approval"]


def test_who_only_watches_is_not_called(at, web):
    at.policy(f"recovery: {{autonomy: watch}}\nnotify: ['{web.url}']")
    at.fire("node-c", "oom")
    assert at.state() == "held"
    assert empty(at) == 0


def test_what_was_not_taken_is_sent_again_after_a_longer_and_longer_pause(at, web):
    at.fire("node-a", "unknown")
    web.status = 503
    assert empty(at) == 1
    (row,) = at.rows(schema.notices)
    assert (row.sent_at, row.attempts, row.due_at) == (None, 1, at.now + pause_after(1))
    assert "json: not accepted" in row.error
    assert empty(at) == 0
    at.pass_time(pause_after(1))
    assert empty(at) == 1
    assert at.rows(schema.notices)[0].due_at == at.now + pause_after(2)
    web.status = 200
    at.pass_time(pause_after(2))
    assert empty(at) == 1
    assert at.rows(schema.notices)[0].sent_at == at.now


def test_a_sender_that_dies_in_the_middle_leaves_the_notice_to_the_next(at, web):
    at.fire("node-a", "unknown")
    with at.database.writing() as connection:
        assert [notice.id for notice in notices.claim(connection, at.now, at.now + CLAIM_S, 10)] == [1]
    assert empty(at) == 0  # for all anybody knows it is being sent
    at.pass_time(CLAIM_S)
    assert empty(at) == 1
    assert len(web.received) == 1


def test_who_has_a_notice_does_not_get_it_again_because_another_could_not_be_reached(at, web):
    closed = "json://127.0.0.1:1/nobody"
    at.policy(f"notify: ['{web.url}', '{closed}']")
    at.fire("node-a", "unknown")
    for _ in range(3):
        empty(at)
        at.pass_time(600)
    assert len(web.received) == 1
    (row,) = at.rows(schema.notices)
    assert (row.delivered, row.sent_at, row.attempts) == ([digest(web.url)], None, 3)


def test_a_storm_of_escalations_is_one_notice(at, web):
    for host in ("node-a", "node-b"):
        for service in ("llama", "embed"):
            at.fire(host, "unknown", service=service)
    assert empty(at) == 4
    (sent,) = web.received
    assert sent["title"] == "[autoglm] 4 incidents need people"
    assert all(f"incident {n}: unknown on node-" in sent["message"] for n in range(1, 5))
    assert "autoglm incidents close 1" in sent["message"]
    assert all(row.sent_at for row in at.rows(schema.notices))


def test_routes_are_chosen_by_class_severity_and_pool(at, web):
    at.policy(f"notify: [{{urls: ['{web.url}'], severities: [critical], pools: [chat]}}]")
    at.fire("node-c", "unknown", severity="warning")
    at.fire("node-b", "unknown", service="llama", severity="critical")
    at.fire("node-b", "unknown", service="embed", severity="critical")
    assert [row.incident_id for row in at.rows(schema.notices)] == [2]


def test_no_secret_of_an_address_is_stored_or_logged(at, web, caplog, capfd):
    caplog.set_level(0)
    structlog.reset_defaults()
    for status in (500, 200):
        web.status = status
        at.fire("node-a", "unknown")
        empty(at)
        at.pass_time(60)
        empty(at)
    with at.database.reading() as connection:
        dump = "\n".join(connection.connection.driver_connection.iterdump())
    output = capfd.readouterr()
    assert web.received
    assert SECRET not in dump + caplog.text + output.out + output.err


def test_the_thread_sends_by_itself_and_takes_up_what_was_left(at, web):
    at.now = time.time()
    at.fire("node-a", "unknown")
    sender = notifier(at)
    sender.start()
    try:
        for _ in range(600):
            if web.received:
                break
            threading.Event().wait(0.05)
        assert len(web.received) == 1
    finally:
        sender.stop()


class Mailbox:
    """What a mail server was given."""

    def __init__(self) -> None:
        self.mails: list[str] = []

    async def handle_DATA(self, _server, _session, envelope):  # noqa: N802 - aiosmtpd names it
        """Keep a mail."""
        self.mails.append(envelope.content.decode())
        return "250 OK"


def test_a_mail_is_sent_through_a_real_mail_server(at):
    mailbox = Mailbox()
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    server = Controller(mailbox, hostname="127.0.0.1", port=port)
    server.start()
    try:
        at.policy(f"notify: ['mailto://127.0.0.1:{port}?from=autoglm@example.org&to=oncall@example.org']")
        at.fire("node-a", "unknown")
        assert empty(at) == 1
    finally:
        server.stop()
    (mail,) = mailbox.mails
    assert "To: oncall@example.org" in mail
    assert "incident_1" in mail or "incident 1" in mail
    assert at.rows(schema.notices)[0].sent_at is not None
