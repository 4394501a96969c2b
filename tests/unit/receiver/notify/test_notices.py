# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A person is told once for each time that one is needed, with everything that is needed, whatever gets in the way."""

from __future__ import annotations

import email
import email.policy
import json
import threading
import time
from types import SimpleNamespace

import pytest
import structlog
from aiosmtpd.controller import Controller

from autoglm_recovery.receiver.intake.payload import fingerprint
from autoglm_recovery.receiver.notify import notifier as notifier_module
from autoglm_recovery.receiver.notify.letters import letters
from autoglm_recovery.receiver.notify.moot import why_moot
from autoglm_recovery.receiver.notify.notifier import CLAIM_S, Notifier, pause_after
from autoglm_recovery.receiver.notify.recipients import digest
from autoglm_recovery.receiver.store import incidents, notices, runs, schema
from autoglm_recovery.receiver.values.model import Alert, IncidentState
from tests.support.servers.fake_pager import SECRET, FakePager
from tests.support.servers.ports import free_port
from tests.unit.receiver.desk import GPU, desk

DEADLINE_S = 60.0


@pytest.fixture
def web():
    """Return a server."""
    made = FakePager()
    yield made
    made.close()


@pytest.fixture
def at(tmp_path, web):
    """Return a desk whose policy tells the server everything."""
    with desk(tmp_path, f"notify: {{routes: ['{web.url}'], console: 'https://recovery.example.org'}}") as made:
        yield made


def notifier(at) -> Notifier:
    """Return a notifier whose thread does not run: tests send by hand."""
    return Notifier(at.database, lambda: at.config.policy)


def empty(at) -> int:
    """Send what is due; return how many notices that were."""
    sender = notifier(at)
    count = 0
    with at.clock():
        while sent := sender.send_due():
            count += sent
            sender.finish(DEADLINE_S)
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
    assert [row.occasion for row in at.rows(schema.notices)] == ["digest", "approval"]


def test_who_only_watches_is_not_called(at, web):
    at.policy(f"recovery: {{autonomy: watch}}\nnotify: ['{web.url}']")
    at.fire("node-c", "oom")
    assert at.state() == "held"
    assert empty(at) == 0


def test_what_would_have_run_is_told_in_one_digest(at, web):
    at.policy(f"recovery: {{autonomy: watch}}\nnotify: {{routes: ['{web.url}'], digest: 30m}}")
    began = at.fire("node-a", "oom")
    at.fire("node-b", "oom")
    at.fire("node-c", "unknown")
    assert [at.state(n) for n in (1, 2, 3)] == ["held"] * 3
    assert at.rows(schema.runs) == []
    at.resolve("node-a", "oom", began)
    at.pass_time(1790)
    at.turn()
    assert empty(at) == 0
    at.pass_time(10)
    assert empty(at) == 3
    (sent,) = web.received
    assert sent["title"] == "[autoglm] only watched: what would have been done about 3 incidents"
    assert sent["type"] == "info"
    lines = sent["message"].splitlines()
    assert lines[0].startswith("2 x autonomy is watch; would run restart_process, rung 1 of 2")
    assert "1 x autonomy is watch; would call a person: no action is defined for failure class unknown" in lines


def test_a_notice_of_an_occasion_that_is_not_known_here_is_not_dropped():
    later = SimpleNamespace(id=7, occasion="of a later release", about={}, title="t", body="b", created_at=0.0)
    (letter,) = letters([later])
    assert (letter.title, letter.notices) == ("t", (7,))


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


def test_the_cause_comes_first_and_what_was_tried_says_why_it_failed(at, web):
    told = f"notify: {{routes: ['{web.url}'], console: 'https://recovery.example.org'}}"
    at.policy(f"recovery: {{strategies: {{oom: {{then: []}}}}}}\n{told}")
    at.fire("node-c", "oom")
    cause = "Start the service: failed to load model '/var/lib/m.gguf'"
    with at.database.writing() as connection:
        runs.update(connection, 1, cause=cause)
        incidents.update(connection, 1, at.now, cause=cause)
    at.end_run("node-c", 2)
    empty(at)
    (sent,) = web.received
    assert sent["title"] == f"[autoglm] node-c: {cause} (incident 1: oom, a person is needed)"
    assert sent["message"].startswith(f"Cause: {cause}\n")
    link = "https://recovery.example.org/runs/1/output"
    assert f"restart_process: failed  {cause}  output: {link}\n" in sent["message"]
    at.order(1, "close")
    empty(at)
    over = web.received[1]
    assert over["title"] == f"[autoglm] node-c: {cause} (incident 1: oom, it is over)"
    assert over["message"].startswith(f"Cause: {cause}\n")


def test_what_an_earlier_incident_of_the_target_tried_is_told(at, web):
    began = at.fire("node-c", "oom")
    at.end_run("node-c", 0)
    at.resolve("node-c", "oom", began)
    at.pass_time(3600)
    at.fire("node-c", "unknown")
    empty(at)
    message = web.received[0]["message"]
    assert "restart_process: succeeded, in incident 1" in message
    assert "nothing yet" not in message


@pytest.mark.parametrize(("hours", "told"), [(47, True), (49, False)])
def test_what_the_ladder_goes_by_is_told_however_long_ago_it_was(at, web, hours, told):
    at.policy(f"recovery: {{persistent_within: 48h, strategies: {{oom: {{then: []}}}}}}\nnotify: ['{web.url}']")
    began = at.fire("node-c", "oom")
    at.end_run("node-c", 0)
    at.resolve("node-c", "oom", began)
    at.pass_time(hours * 3600)
    at.fire("node-c", "oom")
    if not told:
        at.end_run("node-c", 1)
    empty(at)
    message = web.received[0]["message"]
    assert ("in incident 1" in message) is told
    assert "nothing yet" not in message


def test_an_alert_says_what_it_knows_until_somebody_knows_better(at, web):
    labels = {"alertname": "X", "failure_class": "unknown", "host": "node-a"}
    said = {"summary": "vllm was killed\nat 61 GiB"}
    at.commit(Alert("firing", labels, said, at.now, None, fingerprint(labels)))
    at.turn()
    empty(at)
    assert web.received[0]["title"].startswith("[autoglm] node-a: vllm was killed at 61 GiB (incident 1: unknown")


def test_a_storm_is_grouped_by_reason(at, web):
    at.policy(f"recovery: {{strategies: {{oom: {{then: []}}}}}}\nnotify: ['{web.url}']")
    for host in ("node-a", "node-b"):
        at.fire(host, "unknown", service="embed")
        at.fire(host, "oom", service="llama")
        at.end_run(host, 1)
    empty(at)
    lines = web.received[0]["message"].splitlines()
    assert lines[0] == "2 x no action is defined for failure class unknown"
    assert [line.partition(",")[0] for line in lines[1:3]] == [
        "  incident 1: unknown on node-a",
        "  incident 3: unknown on node-b",
    ]
    assert lines[3].startswith("2 x the ladder has ended: restart_process failed")


def test_whoever_is_woken_finds_the_notice(at):
    found = []

    def look() -> None:
        with at.database.reading() as connection:
            found.append(len(notices.of_incident(connection, 1)))

    at.dispatcher._notified = look
    at.fire("node-a", "unknown")
    assert found == [1]


def test_a_notice_leaves_at_once(at, web, monkeypatch):
    """Nothing but the wake after the commit has it sent: without news the thread would sleep on."""
    monkeypatch.setattr(notifier_module, "_LONGEST_SLEEP_S", 3600.0)
    sender = notifier(at)
    slept = []
    asleep = sender._sleep
    monkeypatch.setattr(sender, "_sleep", lambda: slept.append(1) or asleep())
    at.now = time.time()
    at.dispatcher._notified = sender.wake
    sender.start()
    try:
        await_true(lambda: slept)
        at.fire("node-a", "unknown")
        await_true(lambda: web.received)
    finally:
        sender.stop()


def await_true(ask) -> None:
    """Wait for a condition."""
    until = time.monotonic() + DEADLINE_S
    while not ask():
        assert time.monotonic() < until
        threading.Event().wait(0.02)


def test_what_is_over_before_it_could_be_told_is_not_told(at, web):
    began = at.fire("node-a", "unknown")
    at.resolve("node-a", "unknown", began)
    assert at.state() == "resolved"
    empty(at)
    assert web.received == []
    (row,) = at.rows(schema.notices)
    assert (row.sent_at, row.error) == (None, "not sent: the incident is resolved already")
    assert "notice 1 was not sent: the incident is resolved already" in at.timeline()


def test_an_approval_that_is_moot_is_not_asked_for(at, web):
    at.policy(f"recovery: {{autonomy: ask}}\nnotify: ['{web.url}']")
    at.fire("node-c", "oom")
    at.order(1, "approve")
    assert at.running() == {"node-c": "restart_process"}
    empty(at)
    assert web.received == []
    assert "notice 1 was not sent: a run is under way" in at.timeline()


def test_only_the_newest_of_two_pages_is_sent(at, web):
    at.fire("node-a", "unknown")
    at.order(1, "retry")
    assert len(at.rows(schema.notices)) == 2
    empty(at)
    assert [sent["message"].count("(notice 2,") for sent in web.received] == [1]


def test_who_was_paged_is_told_that_it_is_over_and_nobody_else(at, web):
    other = FakePager()
    try:
        at.policy(f"notify: ['{web.url}', {{urls: ['{other.url}'], occasions: [resolved]}}]")
        began = at.fire("node-a", "unknown")
        empty(at)
        at.resolve("node-a", "unknown", began)
        assert empty(at) == 1
        assert [sent["title"] for sent in web.received] == [
            "[autoglm] incident 1: unknown on node-a, a person is needed",
            "[autoglm] incident 1: unknown on node-a, it is over",
        ]
        assert [sent["type"] for sent in web.received] == ["failure", "success"]
        assert "Why:   the alert resolved before anything was started" in web.received[1]["message"]
        assert other.received == []
        assert at.rows(schema.notices)[1].sent_at is not None
    finally:
        other.close()


def test_who_was_paged_is_told_who_closed_it(at, web):
    at.fire("node-a", "unknown")
    empty(at)
    at.order(1, "close")
    empty(at)
    assert "close by a test" in web.received[1]["message"]


def test_who_does_not_want_to_be_told_is_not(at, web):
    at.policy(f"notify: [{{urls: ['{web.url}'], occasions: [escalated]}}]")
    began = at.fire("node-a", "unknown")
    empty(at)
    at.resolve("node-a", "unknown", began)
    empty(at)
    assert len(web.received) == 1


def test_who_is_being_paged_while_it_ends_is_told_after_that(at, web):
    began = at.fire("node-a", "unknown")
    with at.database.writing() as connection:
        notices.claim(connection, at.now, at.now + CLAIM_S, 10)  # another receiver has it in its hands
    at.resolve("node-a", "unknown", began)
    empty(at)
    assert web.received == []
    with at.database.writing() as connection:
        notices.settle(connection, 1, sent_at=at.now, delivered=[digest(web.url)])
    at.pass_time(notices.A_MOMENT_S)
    assert empty(at) == 1
    assert [sent["title"][-10:] for sent in web.received] == ["it is over"]


@pytest.mark.parametrize("state", [*IncidentState, "a state of a later release"])
@pytest.mark.parametrize("occasion", ["escalated", "approval"])
def test_a_page_is_kept_exactly_while_its_person_is_needed(occasion, state):
    needed = {"escalated": {"escalated", "unproven"}, "approval": {"held"}}[occasion] | {"a state of a later release"}
    assert (why_moot(occasion, state, explained_by=None, newer=False) is None) == (state in needed)
    assert why_moot(occasion, state, explained_by=None, newer=True)
    assert why_moot("resolved", state, explained_by=None, newer=False) is None


def test_routes_are_chosen_by_class_severity_and_pool(at, web):
    at.policy(f"notify: [{{urls: ['{web.url}'], severities: [critical], pools: [chat]}}]")
    at.fire("node-c", "unknown", severity="warning")
    at.fire("node-b", "unknown", service="llama", severity="critical")
    at.fire("node-b", "unknown", service="embed", severity="critical")
    assert [row.incident_id for row in at.rows(schema.notices)] == [2]


@pytest.mark.parametrize("urls", ["", "# nobody yet\n\n"])
def test_what_nobody_could_be_told_is_not_sent_and_goes_when_the_file_has_an_address(at, web, tmp_path, urls):
    """Somebody empties the file, or it is caught between two writes."""
    file = tmp_path / "urls"
    file.write_text(urls)
    at.policy(f"notify: [{{urls_file: {file}}}]")
    at.fire("node-a", "unknown")
    empty(at)
    (notice,) = at.rows(schema.notices)
    assert (notice.sent_at, notice.error) == (None, "route 1: urls_file holds no address")
    file.write_text(f"{web.url}\n")
    at.pass_time(60)
    empty(at)
    assert [sent["title"][-len("a person is needed") :] for sent in web.received] == ["a person is needed"]
    assert at.rows(schema.notices)[0].sent_at


def test_an_empty_file_is_told_of_also_where_another_route_was_reached(at, web, tmp_path):
    (tmp_path / "urls").touch()
    at.policy(f"notify: ['{web.url}', {{urls_file: {tmp_path}/urls}}]")
    at.fire("node-a", "unknown")
    empty(at)
    (notice,) = at.rows(schema.notices)
    assert (notice.sent_at, notice.error, len(web.received)) == (None, "route 2: urls_file holds no address", 1)


def test_a_page_that_no_route_wants_any_more_does_not_count_as_sent(at, web):
    at.fire("node-a", "unknown")
    at.policy(f"notify: [{{urls: ['{web.url}'], occasions: [approval]}}]")
    empty(at)
    (notice,) = at.rows(schema.notices)
    assert (notice.sent_at, notice.delivered) == (None, [])
    assert "it went to nobody" in notice.error


def test_who_was_called_and_is_no_address_any_more_is_missed_by_nobody(at, web, tmp_path):
    file = tmp_path / "urls"
    file.write_text(f"{web.url}\n")
    at.policy(f"notify: [{{urls_file: {file}}}]")
    began = at.fire("node-a", "unknown")
    empty(at)
    file.write_text("")
    at.resolve("node-a", "unknown", began)
    empty(at)
    assert [(row.occasion, bool(row.sent_at)) for row in at.rows(schema.notices)] == [
        ("escalated", True),
        ("resolved", True),
    ]


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
    port = free_port()
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


def test_a_strangers_text_is_neither_a_header_of_a_mail_nor_markup_nor_attached(at):
    mailbox = Mailbox()
    port = free_port()
    server = Controller(mailbox, hostname="127.0.0.1", port=port)
    server.start()
    try:
        at.policy(f"notify: ['mailto://127.0.0.1:{port}?from=autoglm@example.org&to=oncall@example.org']")
        fire_hostile(at)
        assert empty(at) == 1
    finally:
        server.stop()
    mail = email.message_from_string(mailbox.mails[0], policy=email.policy.default)
    assert mail["Bcc"] is None
    assert "Bcc:" in mail["Subject"]
    texts = [part for part in mail.walk() if not part.is_multipart()]
    assert not [part.get_filename() for part in texts if part.get_filename()]
    for part in texts:
        content = part.get_content()
        assert "everyone" in content
        for active in ("@everyone", "<b>x", "](http", "*bold*", "\u202e", 'evil.example">'):
            assert active not in content


HOSTILE = (
    "@everyone <!channel> <@U123> [log in](https://evil.example) <b>x</b> *bold* `code` ~~s~~ ||s||\u202egnp.exe"
    "\r\nBcc: all@example.org"
)


def fire_hostile(at) -> None:
    """Have an alert come in whose sender wants to be more than read."""
    labels = {"alertname": "@here", "failure_class": "unknown", "host": "node-a"}
    said = {"summary": HOSTILE, "runbook_url": "https://r.example/a_b?[x](https://evil.example)@everyone"}
    at.commit(Alert("firing", labels, said, at.now, None, fingerprint(labels)))
    at.turn()


# The scheme of a service that Apprise lets one run at an address of one's own, and where the text is in what it sends.
SERVICES = {
    "json": "json://127.0.0.1:{}/hook",
    "mattermost": "mmost://127.0.0.1:{}/aaaaaaaaaaaaaaaaaaaaaaaaaa",
    "gotify": "gotify://127.0.0.1:{}/token",
    "rocket.chat": "rocket://web:hook/aaaaaaaaaaaaaaaaa@127.0.0.1:{}/#ops?mode=webhook",
    "gotify as markdown": "gotify://127.0.0.1:{}/token?format=markdown",
}


@pytest.mark.parametrize("address", SERVICES.values(), ids=SERVICES)
def test_a_strangers_text_mentions_nobody_and_is_no_markup_in_any_service(at, web, address):
    at.policy(f"notify: ['{address.format(web.port)}']")
    fire_hostile(at)
    assert empty(at) == 1
    (sent,) = web.received
    told = json.dumps(sent, ensure_ascii=False)
    assert "everyone" in told
    for active in ("@everyone", "@here", "<", "](http", "*bold*", "~~", "||", "\u202e", "`"):
        assert active not in told
