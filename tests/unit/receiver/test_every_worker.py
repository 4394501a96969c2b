# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Each background thread of the receiver meets an error in the midst of its work, and goes on with its work."""

from __future__ import annotations

import ast
import importlib
import json
import subprocess
import threading
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

from autoglm_recovery import receiver
from autoglm_recovery.policy import parse_policy
from autoglm_recovery.receiver.fleet import site_config
from autoglm_recovery.receiver.intake.commit import Delivery, Intake
from autoglm_recovery.receiver.loop.loop import Loop
from autoglm_recovery.receiver.notify.notifier import Notifier
from autoglm_recovery.receiver.notify.own_watch import ReceiverMonitor
from autoglm_recovery.receiver.observe.absence_watch import AbsenceWatch
from autoglm_recovery.receiver.observe.presence_watch import PresenceWatch
from autoglm_recovery.receiver.observe.silencer import Silencer
from autoglm_recovery.receiver.observe.silences import SilenceWatch
from autoglm_recovery.receiver.observe.tracing import Tracer
from autoglm_recovery.receiver.process.worker import Workers
from autoglm_recovery.receiver.runs import heartbeat
from autoglm_recovery.receiver.runs.leases import LeaseRenewer
from autoglm_recovery.receiver.runs.warm.warmer import Warmer
from autoglm_recovery.receiver.serve.reloader import Reloader
from autoglm_recovery.receiver.store import runs
from autoglm_recovery.receiver.store.deadlines import Deadlines
from autoglm_recovery.receiver.store.listener import Listener
from autoglm_recovery.receiver.store.runs import Lease
from autoglm_recovery.receiver.verify.proof import NOT_ASKED, Proof
from autoglm_recovery.receiver.verify.proof_watch import ProofWatch
from tests.support.servers.http_answers import Reply, answering_http
from tests.support.servers.waiting import until

from .desk import desk

pytestmark = pytest.mark.slow

RECEIVER = "autoglm_recovery.receiver"
DEADLINE_S = 60.0
ERRORS = [
    PermissionError(13, "Permission denied"),
    UnicodeDecodeError("utf-8", b"\xff", 0, 1, "invalid start byte"),
    subprocess.SubprocessError("the child could not be started"),
    RecursionError("maximum recursion depth exceeded"),
]


@pytest.fixture
def at(tmp_path):
    """Return a desk whose policy asks whom it can, of nobody who is there."""
    nobody = "{url: 'http://127.0.0.1:1', every: 1s, timeout: 1s}"
    monitoring = f"monitoring: {{prometheus: {nobody}, alertmanager: {nobody}}}\n"
    guardrails = "guardrails: {silences: {alertmanager: 'http://127.0.0.1:1', every: 1s, timeout: 1s}}\n"
    strategies = "recovery: {strategies: {oom: {delay: 0s, verify: up}}}\n"
    with desk(tmp_path, monitoring + guardrails + strategies) as made:
        yield made


@pytest.fixture
def fails_first(monkeypatch):
    """Have what is named ``module:name`` raise the given errors, one at each call, and then do its work."""

    def fail(place: str, errors) -> threading.Event:
        module, _, name = place.partition(":")
        holder = importlib.import_module(module)
        *outer, name = name.split(".")
        for each in outer:
            holder = getattr(holder, each)
        real, left, worked = getattr(holder, name), list(errors), threading.Event()

        def instead(*given, **named):
            if left:
                raise left.pop(0)
            try:
                return real(*given, **named)
            finally:
                worked.set()

        monkeypatch.setattr(holder, name, instead)
        return worked

    return fail


def _loop(at):
    follower = SimpleNamespace(take_up=lambda: None, step=lambda *_given: 0, next_lapse=lambda: None)
    return Loop(at.database, SimpleNamespace(now=at.config), at.metrics, at.dispatcher, follower)


def _keeper(at):
    made = LeaseRenewer(at.database, Lease("desk", 1.0, at.database.now()))
    made._held = frozenset([1])
    return made


def _reader(at):
    current = object.__new__(site_config.CurrentConfig)
    current._policy, current._inventory = None, Path("inventory.yml")
    current._reading, current.now = threading.Lock(), at.config
    made = Reloader(current, at.metrics, lambda: None)
    made.read_now()
    return made


def _intake(at):
    made = Intake(at.database, lambda: None)
    for _ in range(10):
        made.submit(Delivery("g", ()))
    return made


def _tracer(at):
    made = Tracer(at.database, lambda _number, _spans: None)
    made.worker.wake()
    return made


PARTS = {
    "loop": (_loop, f"{RECEIVER}.loop.loop:absorb"),
    "keeper": (_keeper, f"{RECEIVER}.store.runs:renew"),
    "silences": (
        lambda at: SilenceWatch(lambda: at.config.policy.guardrails.silences),
        f"{RECEIVER}.observe.silences:_ask",
    ),
    "proofs": (
        lambda at: ProofWatch(at.database, lambda: at.config.policy, lambda: None),
        f"{RECEIVER}.store.incidents:verifying",
    ),
    "absences": (
        lambda at: AbsenceWatch(at.database, lambda: at.config.policy, lambda: None),
        f"{RECEIVER}.store.absences:firing",
    ),
    "silencer": (
        lambda at: Silencer(at.database, lambda: at.config.policy, "desk", "ours"),
        f"{RECEIVER}.store.own_silences:not_ended",
    ),
    "notifier": (lambda at: Notifier(at.database, lambda: at.config.policy), f"{RECEIVER}.store.notices:next_due"),
    "intake": (_intake, f"{RECEIVER}.intake.commit:Intake._commit"),
    "reader": (_reader, f"{RECEIVER}.fleet.site_config:read_config"),
    "tracer": (_tracer, f"{RECEIVER}.observe.tracing:Tracer._ended"),
}


@pytest.mark.parametrize("name", PARTS)
def test_each_goes_on_after_an_error_of_any_kind(at, fails_first, monkeypatch, name):
    make, place = PARTS[name]
    monkeypatch.setattr(f"{RECEIVER}.intake.commit.MOST_DELIVERIES_IN_A_COMMIT", 1)
    if name == "reader":
        monkeypatch.setattr(site_config, "read_config", lambda _policy, _inventory: at.config)
    # Those of the network are no news to the watch over silences; it says "unknown" and asks again.
    errors = [RecursionError()] * 4 if name == "silences" else ERRORS
    worked = fails_first(place, errors)
    part = make(at)
    assert part.worker.name == name
    assert part.worker.vital == (name in {"loop", "keeper", "intake"})
    part.worker._pauses = (0.001, 0.001)
    part.start()
    try:
        until("the errors", lambda: part.worker.failures == len(errors))
        until("its work after them", worked.is_set)
        until("it to be well", lambda: part.worker.trouble is None)
        assert part.worker._thread.is_alive()
    finally:
        part.stop()


def test_what_listens_to_the_database_goes_on_and_hears(postgresql, fails_first):
    from autoglm_recovery.receiver.store.database import CHANNEL, Database  # noqa: PLC0415 - for this test alone

    database = Database(postgresql.database())
    database.migrate()
    heard = threading.Event()
    worked = fails_first(f"{RECEIVER}.store.listener:Listener._listen", [*ERRORS, OSError("the connection is gone")])
    listener = Listener(database.url, heard.set)
    listener.worker._pauses = (0.001, 0.001)
    listener.start()
    try:
        until("it to listen", worked.is_set)
        heard.clear()
        with database.appending() as connection:
            connection.exec_driver_sql(f"NOTIFY {CHANNEL}")
        assert heard.wait(DEADLINE_S)
        assert listener.worker.failures == len(ERRORS) + 1
    finally:
        listener.stop()
        database.close()


def test_what_ends_slow_transactions_goes_on(fails_first):
    import socket  # noqa: PLC0415 - for this test alone

    worked = fails_first(f"{RECEIVER}.store.deadlines:_shut_down", ERRORS)
    deadlines = Deadlines()
    assert deadlines.worker.vital
    ours, theirs = socket.socketpair()
    ours.settimeout(DEADLINE_S)
    with ours, theirs:
        for _ in ERRORS:
            with deadlines.on(theirs.fileno(), 0.0):
                failures = deadlines.worker.failures
                until("an error", lambda before=failures: deadlines.worker.failures > before)
        with deadlines.on(theirs.fileno(), 0.0):
            assert ours.recv(1) == b""  # shut down, and so at its end
        assert worked.is_set()
    deadlines.close()


def test_every_sender_hears_of_an_error_and_the_next_delivery_is_stored(at, fails_first):
    fails_first(f"{RECEIVER}.intake.commit:Intake._commit", [SystemExit(1)])
    intake = Intake(at.database, lambda: None)
    refused = intake.submit(Delivery("g", ()))
    intake.start()
    with pytest.raises(SystemExit):
        refused.result(DEADLINE_S)
    assert intake.submit(Delivery("g", ())).result(DEADLINE_S).new == 0
    intake.stop()


def test_what_waits_when_the_intake_is_told_to_stop_is_stored(at):
    intake = Intake(at.database, lambda: None)
    waiting = [intake.submit(Delivery("g", ())) for _ in range(3)]
    intake.stop()
    assert [done.result(0).rejected for done in waiting] == [0, 0, 0]


def test_a_run_that_cannot_be_told_costs_no_other_run_its_time(at, monkeypatch):
    at.fire("node-a", "oom")
    at.fire("node-c", "oom")
    keeper = LeaseRenewer(at.database, Lease("desk", 60.0, at.database.now()))
    told = []

    def allow(directory, moment):
        if not told:
            told.append(None)
            raise PermissionError(13, "Permission denied", str(directory))
        told.append(moment)

    monkeypatch.setattr(heartbeat, "allow", allow)
    keeper.renew()
    assert told == [None, keeper.until]
    with at.database.reading() as connection:
        assert all(keeper.holds(run.id) for run in runs.unfinished(connection))


def test_a_configuration_that_cannot_be_read_leaves_the_old_one_in_force_and_says_why(at, fails_first, monkeypatch):
    monkeypatch.setattr(site_config, "read_config", lambda _policy, _inventory: at.config)
    fails_first(f"{RECEIVER}.fleet.site_config:read_config", ERRORS[:1])
    reader = _reader(at)
    before = reader._config.now
    reader.worker.attempt()
    assert (reader._config.now.policy, reader._config.now.fleet) == (before.policy, before.fleet)
    assert reader._config.now.kept_because == "PermissionError: [Errno 13] Permission denied"
    assert at.metrics.registry.get_sample_value("autoglm_policy_valid") == 0
    reader.worker.attempt()
    assert reader._config.now.kept_because is None
    assert at.metrics.registry.get_sample_value("autoglm_policy_valid") == 1


# As Alertmanager's own OpenAPI document has it (api/v2/openapi.yaml, gettableSilence).
JSON = {"Content-Type": "application/json"}
SILENCE = {
    "id": "1",
    "status": {"state": "active"},
    "startsAt": "2020-01-01T00:00:00Z",
    "endsAt": "2100-01-01T00:00:00Z",
    "createdBy": "ann",
    "comment": "",
    "matchers": [{"isEqual": True, "isRegex": False, "name": "host", "value": "node-a"}],
}


def fake_silences(body):
    """Return what answers with this to ``GET /api/v2/silences``, and with 404 to all else, as Alertmanager does."""
    right = ("GET", "/api/v2/silences")
    return lambda asked: Reply(200, body, JSON) if (asked.method, asked.path) == right else Reply(404)


@pytest.fixture
def watched():
    """Return a fake Alertmanager with one silence, and the watch over it, which has looked once."""
    with answering_http(fake_silences(json.dumps([SILENCE]).encode())) as server:
        policy = parse_policy(f"guardrails: {{silences: {{alertmanager: '{server.url}'}}}}")
        watch = SilenceWatch(lambda: policy.guardrails.silences)
        watch.worker.attempt()
        yield server, watch


def covering(watch, host):
    """Return whose silence holds for a host, and whether anything is unknown."""
    found, unknown = watch.now.covering([{"host": host}], time.time())
    return found and found.by, unknown


def test_an_answer_that_breaks_the_reader_is_no_word_that_nothing_is_silenced(watched):
    server, watch = watched
    assert covering(watch, "node-b") == (None, False)
    server.answer = fake_silences(b"[" * 100_000)
    watch.worker.attempt()
    assert covering(watch, "node-b") == (None, True)
    assert covering(watch, "node-a") == ("ann", True)
    server.answer = fake_silences(b"[]")
    watch.worker.attempt()
    assert covering(watch, "node-a") == (None, False)


def test_a_watch_that_is_stuck_knows_nothing_after_a_while(watched, monkeypatch):
    _, watch = watched
    assert covering(watch, "node-b") == (None, False)
    later = time.monotonic() + 3600
    monkeypatch.setattr(f"{RECEIVER}.observe.silences.time", SimpleNamespace(monotonic=lambda: later))
    assert covering(watch, "node-b") == (None, True)


def test_an_old_proof_is_none_once_the_watch_fails(at, fails_first):
    watch = ProofWatch(at.database, lambda: at.config.policy, lambda: None)
    watch._now = {7: Proof(True, "it is 1")}
    fails_first(f"{RECEIVER}.store.incidents:verifying", ERRORS[:1])
    watch.worker.attempt()
    assert watch.of(7) == NOT_ASKED


@pytest.mark.parametrize("timeout", [1.0, 60.0])
@pytest.mark.parametrize(
    "named",
    [
        "monitoring: {{prometheus: {{url: 'http://127.0.0.1:1', timeout: {:g}s}}}}",
        "monitoring: {{alertmanager: {{url: 'http://127.0.0.1:1', timeout: {:g}s}}}}",
        "guardrails: {{silences: {{alertmanager: 'http://127.0.0.1:1', timeout: {:g}s}}}}",
    ],
)
def test_who_waits_for_a_slow_server_is_stuck_only_when_no_time_out_can_end_it_any_more(at, tmp_path, timeout, named):
    at.policy(named.format(timeout))
    own = ReceiverMonitor(at.database, lambda: at.config.policy, Workers(), tmp_path, "ops-1")
    asked = [own, PresenceWatch(lambda: at.config)] if "prometheus" in named else [own]
    for part in asked:
        assert part.worker._stuck_after() > 4 * timeout + 30
        assert not part.worker.vital


def test_a_warm_process_that_cannot_be_started_costs_no_run(tmp_path):
    started = []
    warmer = Warmer(started.append, tmp_path / "none" / "warm.log")
    warmer.start()
    warmer.spawn(tmp_path)
    assert started == [tmp_path]
    warmer.stop()


def test_no_other_thread_is_started_by_the_receiver():
    """Whoever starts one beside the workers gives it no policy for errors, and nobody sees that it is stuck.

    A call to a person's address may hang for ever and is no work of the receiver's: each of its errors is an answer,
    and one that does not end is an error of its notices.
    """
    root = Path(receiver.__file__).parent
    found = set()
    for path in root.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Call) and ast.unparse(node.func).endswith("Thread"):
                found.add(str(path.relative_to(root)))
    assert found == {"process/worker.py", "notify/calls.py"}
