# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""From an alert to a resolved incident, with a real receiver and real ansible-playbook runs."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import threading
import time
from collections import Counter

import pytest

from tests.support.servers.waiting import until

from .running import alert, now, payload, serving

# After each that it could not store, the receiver waits for as long as a second.
SOME_REFUSED = 5
# Of so many the disk cannot hold half.
MORE_THAN_FIT = 1000


def resolved(receiver, number=1):
    """Wait for an incident to be resolved and return it."""
    until("the incident to resolve", lambda: receiver.incidents("resolved"))
    return receiver.get(f"/api/v1/incidents/{number}")


def begun(receiver):
    """Wait for the playbook to have begun."""
    until("the playbook to begin", lambda: receiver.marks)


def test_an_alert_is_acted_on_once_and_the_incident_closes_when_it_resolves(receiver):
    start = now()
    assert receiver.post(payload(alert(start=start))).json() == {"committed": 1, "duplicates": 0, "rejected": 0}
    until("the run to succeed", lambda: receiver.incidents("verifying"))
    receiver.post(payload(alert(start=start, status="resolved")))
    incident = resolved(receiver)
    assert (incident["host"], incident["service"], incident["failure_class"]) == ("node-a", "llama", "oom")
    assert [(run["action"], run["state"], run["host"]) for run in incident["runs"]] == [
        ("restart_process", "succeeded", "node-a")
    ]
    assert receiver.marks == ["begin node-a 1", "end node-a 1"]
    kinds = [line["kind"] for line in incident["timeline"]]
    for kind in ("alert", "committed", "classified", "decided", "run_started", "task", "run_finished", "resolved"):
        assert kind in kinds


def test_the_same_delivery_again_does_nothing(receiver):
    body = payload(alert(start=now()))
    for n in range(5):
        assert receiver.post(body).json()["duplicates"] == (1 if n else 0)
    until("the run to succeed", lambda: receiver.incidents("verifying"))
    assert receiver.post(body).json()["duplicates"] == 1
    assert receiver.marks == ["begin node-a 1", "end node-a 1"]
    assert len(receiver.incidents()) == 1


def test_alerts_of_one_target_are_one_incident_and_the_deeper_cause_names_it(tmp_path):
    with serving(tmp_path, policy="recovery: {autonomy: act, strategies: {unresponsive: {delay: 1h}}}") as receiver:
        receiver.post(payload(alert(failure_class="unresponsive", start=now())))
        until("the incident to wait", lambda: receiver.incidents("waiting"))
        receiver.hold()
        receiver.post(payload(alert(failure_class="oom", alertname="Killed", start=now())))
        begun(receiver)
        receiver.let_go()
        (incident,) = receiver.incidents()
        assert (incident["failure_class"], incident["root_cause"]) == ("oom", "Killed")


def test_hosts_are_repaired_side_by_side_and_each_once(receiver):
    receiver.post(payload(alert("node-a", start=now()), alert("node-b", start=now())))
    until("both runs to succeed", lambda: len(receiver.incidents("verifying")) == 2)
    assert Counter(line.rsplit(" ", 1)[0] for line in receiver.marks) == {
        "begin node-a": 1,
        "end node-a": 1,
        "begin node-b": 1,
        "end node-b": 1,
    }


def test_an_alert_that_resolves_in_time_has_nothing_done(tmp_path):
    with serving(tmp_path, policy="recovery: {strategies: {oom: {delay: 1h}}}") as receiver:
        start = now()
        receiver.post(payload(alert(start=start)))
        until("the incident to wait", lambda: receiver.incidents("waiting"))
        receiver.post(payload(alert(start=start, status="resolved")))
        incident = resolved(receiver)
        assert "before anything was started" in incident["reason"]
        assert receiver.marks == []


def test_a_failed_run_climbs_to_a_person(receiver):
    (receiver.scratch / "fail").touch()
    receiver.post(payload(alert(start=now())))
    until("a person to be called", lambda: receiver.incidents("escalated"))
    (incident,) = receiver.incidents()
    assert incident["fault_mode"] == "persistent"
    assert incident["reason"] == "the ladder has ended: restart_process failed"
    assert incident["cause"].startswith("Fail where told to: ")
    assert receiver.runs(1)[0]["cause"] == incident["cause"]
    assert [run["state"] for run in receiver.runs(1)] == ["failed"]
    (receiver.scratch / "fail").unlink()
    assert receiver.order(1, "retry").status_code == 200
    until("the retry to succeed", lambda: receiver.incidents("verifying"))


GIVES_UP_AT_3 = """
recovery: {strategies: {oom: {backoff: {base: 500ms}}}}
guardrails: {max_actions_per_host_per_hour: 3}
"""


def test_a_restart_that_fails_is_repeated_until_a_guardrail_calls_a_person(tmp_path):
    with serving(tmp_path, policy=GIVES_UP_AT_3) as receiver:
        (receiver.scratch / "fail").touch()
        receiver.post(payload(alert(start=now())))
        until("a person to be called", lambda: receiver.incidents("escalated"))
        (incident,) = receiver.incidents()
        assert "3 actions ran on node-a within the last hour" in incident["reason"]
        assert [run["state"] for run in receiver.runs(1)] == ["failed"] * 3
        assert all("no playbook is installed" in run["reason"] for run in receiver.runs(1)[1:])


def test_a_second_crash_is_restarted_again(tmp_path):
    with serving(tmp_path, policy="recovery: {strategies: {oom: {backoff: {base: 500ms}}}}") as receiver:
        for number in (1, 2):
            start = now()
            receiver.post(payload(alert(start=start)))
            until("the run to succeed", lambda n=number: receiver.incidents("verifying") and receiver.runs(n))
            receiver.post(payload(alert(start=start, status="resolved")))
            until("it to be over", lambda n=number: len(receiver.incidents("resolved")) == n)
        assert "restart_process ran for an earlier incident" in receiver.runs(2)[0]["reason"]


def test_a_proof_that_the_alert_does_not_confirm_is_none(tmp_path):
    policy = "recovery: {strategies: {oom: {resolve_within: 1s, then: []}}}"
    with serving(tmp_path, policy=policy) as receiver:
        receiver.post(payload(alert(start=now())))
        until("a person to be called", lambda: receiver.incidents("escalated"))
        assert [run["state"] for run in receiver.runs(1)] == ["unverified"]


def test_a_person_decides_where_autonomy_is_ask(tmp_path):
    with serving(tmp_path, policy="recovery: {autonomy: ask}") as receiver:
        receiver.post(payload(alert(start=now())))
        until("the incident to be held", lambda: receiver.incidents("held"))
        assert receiver.order(1, "explode").status_code == 404
        assert receiver.order(9, "approve").status_code == 404
        assert receiver.marks == []
        assert receiver.order(1, "approve").status_code == 200
        until("the run to succeed", lambda: receiver.incidents("verifying"))
        assert receiver.order(1, "approve").status_code == 409
        assert receiver.order(1, "close").json()["state"] == "closed"


def test_a_receiver_killed_in_mid_run_loses_and_doubles_nothing(receiver):
    receiver.hold()
    start = now()
    receiver.post(payload(alert(start=start)))
    begun(receiver)
    receiver.kill()
    receiver.start()
    receiver.post(payload(alert(start=start)))
    receiver.let_go()
    until("the run to succeed", lambda: receiver.incidents("verifying"))
    receiver.post(payload(alert(start=start, status="resolved")))
    incident = resolved(receiver)
    assert [run["state"] for run in incident["runs"]] == ["succeeded"]
    assert receiver.marks == ["begin node-a 1", "end node-a 1"]
    # Beside the check that proved it.
    started = [line["text"] for line in incident["timeline"] if line["kind"] == "run_started"]
    assert sum(text.startswith("restart_process ") for text in started) == 1


def test_a_run_that_ends_while_no_receiver_is_there_is_taken_in(receiver):
    receiver.hold()
    receiver.post(payload(alert(start=now())))
    begun(receiver)
    receiver.kill()
    receiver.let_go()
    until("the playbook to end by itself", (receiver.run_directory(1) / "result.json").exists)
    receiver.start()
    until("the result to be taken in", lambda: receiver.incidents("verifying"))
    assert receiver.marks == ["begin node-a 1", "end node-a 1"]


def test_a_run_whose_processes_are_killed_is_closed_with_a_reason_and_its_orphans_are_ended(tmp_path):
    policy = "recovery: {strategies: {oom: {retries: 1, backoff: 1s}}}"
    with serving(tmp_path, policy=policy) as receiver:
        receiver.hold()
        receiver.post(payload(alert(start=now())))
        begun(receiver)
        supervisor = until("the supervisor", lambda: _processes("runs.local.supervisor", str(tmp_path)))
        for process in supervisor:
            process.send_signal(signal.SIGKILL)
        until("the second attempt", lambda: len(receiver.runs(1)) == 2)
        receiver.let_go()
        until("the second attempt to succeed", lambda: receiver.incidents("verifying"))
        assert [run["state"] for run in receiver.runs(1)] == ["lost", "succeeded"]
        # The first playbook was in its middle and never reached its end.
        assert receiver.marks == ["begin node-a 1", "begin node-a 2", "end node-a 2"]


def _processes(*words):
    import psutil  # noqa: PLC0415 - one test asks

    found = []
    for process in psutil.process_iter(["cmdline"]):
        line = " ".join(process.info["cmdline"] or [])
        if all(word in line for word in words):
            found.append(process)
    return found


def test_a_receiver_told_to_stop_ends_in_order_and_leaves_the_run_going(receiver):
    receiver.hold()
    receiver.post(payload(alert(start=now())))
    begun(receiver)
    assert receiver.kill(signal.SIGTERM) in (0, -signal.SIGTERM)
    receiver.let_go()
    until("the playbook to end by itself", (receiver.run_directory(1) / "result.json").exists)


def test_what_the_playbook_gets_is_the_contract_and_text(receiver):
    name = "{{ lookup('pipe', 'touch " + str(receiver.scratch / "evaluated") + "') }}"
    receiver.post(payload(alert("node-a", alertname=name, start=now())))
    until("the run to succeed", lambda: receiver.incidents("verifying"))
    given = json.loads((receiver.scratch / "given.json").read_text())
    assert given["target"] == {"host": "node-a", "service": "llama", "gpu": None, "pool": "chat"}
    assert given["incident"]["root_cause"] == name
    assert (given["incident"]["id"], given["incident"]["attempt"]) == (1, 1)
    # The time in microseconds: whatever database gave one before, lost or not, gave a lower one.
    assert abs(given["incident"]["fence"] / 1e6 - time.time()) < 3600
    installation, number = given["incident"]["key"].split("-")
    assert given["incident"]["installation"].startswith(installation)
    assert number == "1"
    assert receiver.run_directory(1).name == f"1-{given['incident']['run'][:12]}"
    assert not (receiver.scratch / "evaluated").exists()


def test_a_bad_policy_on_reload_leaves_the_old_one_in_force(receiver):
    assert receiver.process is not None
    (receiver.directory / "policy.yaml").write_text("recovery: {autonomy: wach}")
    receiver.process.send_signal(signal.SIGHUP)
    log = receiver.directory / "log"
    until("the refusal", lambda: "kept the old policy" in log.read_text() and "did you mean watch?" in log.read_text())
    receiver.post(payload(alert(start=now())))
    until("the run to succeed", lambda: receiver.incidents("verifying"))
    (receiver.directory / "policy.yaml").write_text("recovery: {autonomy: watch}")
    receiver.process.send_signal(signal.SIGHUP)
    until("the new policy", lambda: "were read again" in log.read_text())
    receiver.post(payload(alert("node-b", start=now())))
    until("the incident to be held", lambda: receiver.incidents("held"))


def test_a_second_receiver_on_the_same_state_is_refused(receiver):
    command = [word.replace(str(receiver.port), str(receiver.port + 1)) for word in receiver.command()]
    second = subprocess.run(
        command, cwd=receiver.directory, env=receiver.environment(), capture_output=True, check=False, timeout=60
    )
    assert second.returncode == 1
    assert b"another receiver works on state" in second.stderr


@pytest.mark.parametrize("state", ["held", "escalated"])
def test_an_incident_that_waits_for_a_person_closes_when_its_alert_resolves(tmp_path, state):
    policy = {"held": "recovery: {autonomy: watch}", "escalated": "recovery: {strategies: {}}"}[state]
    failure_class = {"held": "oom", "escalated": "thermal"}[state]
    with serving(tmp_path, policy=policy) as receiver:
        start = now()
        receiver.post(payload(alert(start=start, failure_class=failure_class)))
        until(f"the incident to be {state}", lambda: receiver.incidents(state))
        receiver.post(payload(alert(start=start, status="resolved", failure_class=failure_class)))
        resolved(receiver)
        assert receiver.marks == []


def test_killed_again_and_again_at_random_nothing_is_lost_and_nothing_runs_twice(tmp_path):
    chance = random.Random(2)  # noqa: S311 - the same moments in every run
    policy = "recovery: {persistent_within: 0s, flapping: false}\nguardrails: {max_actions_per_host_per_hour: 1000}"
    with serving(tmp_path, policy=policy) as receiver:
        for number in range(1, 5):
            start = now()
            both = [alert(host, start=start) for host in ("node-a", "node-b")]
            assert receiver.post(payload(*both)).json()["committed"] == 2
            # Anywhere between the commit and the end of the runs, which takes about two seconds.
            threading.Event().wait(chance.uniform(0, 2))
            receiver.kill()
            receiver.start()
            assert receiver.post(payload(*both)).json()["duplicates"] == 2
            until("both runs to succeed", lambda: len(receiver.incidents("verifying")) == 2)
            receiver.post(payload(*({**one, "status": "resolved"} for one in both)))
            done = 2 * number
            until("both incidents to end", lambda done=done: len(receiver.incidents("resolved")) == done)
        assert [run["state"] for n in range(1, 9) for run in receiver.runs(n)] == ["succeeded"] * 8
        assert sorted(line.split()[0] for line in receiver.marks) == ["begin"] * 8 + ["end"] * 8
        assert len(set(receiver.marks)) == 16


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount a small disk to fill")
def test_a_full_disk_makes_alertmanager_try_again_and_loses_nothing(tmp_path):
    state = tmp_path / "state"
    state.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=32m", "tmpfs", str(state)], check=True)
    try:
        with serving(tmp_path, policy="recovery: {autonomy: watch}") as receiver:
            # What somebody else leaves on the disk until nothing more fits but the end of a page.
            with open(state / "ballast", "wb") as ballast:
                ballast.write(b"x" * (shutil.disk_usage(state).free - (1 << 20)))
            bodies, answers = [], Counter()
            while answers[503] < SOME_REFUSED and len(bodies) < MORE_THAN_FIT:
                bodies.append(payload(alert(f"h{len(bodies)}", start=now(), padding="x" * 20_000)))
                answer = receiver.post(bodies[-1])
                answers[answer.status_code] += 1
                assert answer.status_code == 200 or answer.headers["retry-after"]
            assert answers.keys() == {200, 503}
            assert answers[503] == SOME_REFUSED
            assert receiver.client.get(f"{receiver.url}/readyz").status_code == 503
            (state / "ballast").unlink()
            again = [receiver.post(body).json() for body in bodies]
            assert sum(answer["duplicates"] for answer in again) == answers[200]
            assert sum(answer["committed"] for answer in again) == answers[503]
            until("the receiver to be ready again", receiver.ready)
    finally:
        subprocess.run(["umount", "--lazy", str(state)], check=True)
