# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Silences that the receiver makes in a real Alertmanager while it acts, and alerts that end while silenced."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta

import httpx
import pytest

from autoglm_recovery.receiver.observe.absence_watch import AbsenceWatch
from autoglm_recovery.receiver.observe.own_silences import maker
from autoglm_recovery.receiver.observe.silencer import Silencer
from autoglm_recovery.receiver.observe.silences import SilenceWatch
from autoglm_recovery.receiver.process.redact import without_secrets
from autoglm_recovery.receiver.store import own_silences as rows
from autoglm_recovery.receiver.store import schema
from autoglm_recovery.receiver.values.model import Alert
from tests.integration.receiver.running import alert, payload, serving
from tests.support.servers.waiting import until
from tests.unit.receiver.desk import desk

# Waits while it is told to, as short as a playbook can be.
PLAYBOOK = """\
---
- name: Wait while told to
  hosts: "{{ autoglm_target.host }}"
  gather_facts: false
  tasks:
    - name: Wait while the file is there
      ansible.builtin.wait_for:
        path: "{{ scratch }}/hold"
        state: absent
        sleep: 1
"""
POLICY = """
monitoring: {{alertmanager: {{url: '{url}', every: 500ms, complete_after: 1ms, silence: true}}}}
guardrails: {{silences: {{alertmanager: '{url}'}}, max_pool_unavailable: 100%, max_fleet_unavailable: 100%}}
recovery: {{strategies: {{oom: {{delay: 0s, then: []}}}}}}
"""
OOM = {"alertname": "Oom", "failure_class": "oom", "nature": "state", "host": "node-a", "instance": "node-a:9100"}


def tell(alertmanager, *alerts, ended: bool = False) -> None:
    """Send alerts as Prometheus does, with the Watchdog."""
    now = datetime.now(UTC)
    ends = {"endsAt": now.isoformat()} if ended else {}
    body = [{"labels": labels, "startsAt": (now - timedelta(minutes=1)).isoformat(), **ends} for labels in alerts]
    body.append({"labels": {"alertname": "Watchdog", "severity": "none"}})
    answer = httpx.post(f"{alertmanager.url}/api/v2/alerts", json=body, trust_env=False)
    assert answer.status_code == 200, answer.text


def silences(alertmanager, state: str = "active") -> list[dict]:
    answer = httpx.get(f"{alertmanager.url}/api/v2/silences", trust_env=False)
    return [each for each in answer.json() if each["status"]["state"] == state]


def suppressed(alertmanager) -> list[dict]:
    """Return the labels of the alerts that are silenced."""
    return [each["labels"] for each in alertmanager.alerts() if each["status"]["state"] == "suppressed"]


def deliver(at, alertmanager, labels) -> None:
    """Deliver an alert that Alertmanager has, as its webhook does, and do what is due."""
    found = until("the alert", lambda: [each for each in alertmanager.alerts() if each["labels"] == labels])[0]
    began = datetime.fromisoformat(found["startsAt"]).timestamp()
    at.commit(Alert("firing", labels, {}, began, None, found["fingerprint"]))
    at.turn()


@pytest.fixture
def at(tmp_path, alertmanager):
    """Return a desk, by the clock of this machine, whose policy silences while it acts."""
    (tmp_path / "desk").mkdir()
    with desk(tmp_path / "desk", POLICY.format(url=alertmanager.url)) as made:
        made.now = time.time()
        yield made


def silencer(at, owner: str = "desk") -> Silencer:
    return Silencer(at.database, lambda: at.config.policy, owner, maker("ours"), lambda: at.now)


def told(at) -> list[str]:
    return [row.text for row in at.rows(schema.timeline) if row.kind == "silence"]


def test_what_is_repaired_is_silenced_until_its_run_has_ended_and_nothing_else_is(at, alertmanager):
    others = [{**OOM, "service": "llama"}, {**OOM, "alertname": "Another"}, {**OOM, "host": "node-b"}]
    about_us = {"alertname": "AutoglmReceiverDown", "failure_class": "oom", "host": "node-c"}
    tell(alertmanager, OOM, about_us, *others)
    deliver(at, alertmanager, OOM)
    deliver(at, alertmanager, about_us)
    assert set(at.running()) == {"node-a", "node-c"}
    # The other receiver of the database leaves it to the run's owner.
    silencer(at, "another").step()
    assert silences(alertmanager) == []
    mine, before = silencer(at), time.time()
    mine.step()
    mine.step()
    after = time.time()
    (made,) = silences(alertmanager)
    assert all(each["isEqual"] and not each["isRegex"] for each in made["matchers"])
    assert {each["name"]: each["value"] for each in made["matchers"] if each["value"]} == OOM
    assert made["createdBy"] == "autoglm.recovery/ours"
    assert "incident 1, run 1: restart_process on node-a" in made["comment"]
    # The run's time-out, and a minute; an answer tells its moment in whole seconds.
    assert before + 659 <= datetime.fromisoformat(made["endsAt"]).timestamp() <= after + 661
    assert suppressed(alertmanager) == [OOM]
    # No person has said that nothing is to be done.
    for own, holds in ((maker("ours"), False), (maker("another"), True)):
        watch = SilenceWatch(lambda: at.config.policy.guardrails.silences, own)
        watch.look()
        assert (watch.now.covering([OOM], time.time() + 1)[0] is not None) is holds
    at.end_run("node-a", 1)
    silencer(at, "another").step()
    assert silences(alertmanager) == []
    assert silences(alertmanager, "expired")[0]["id"] == made["id"]
    first, last = told(at)
    assert first.startswith("Oom is silenced in Alertmanager while run 1 goes on, until ")
    assert last == "run 1 has ended, and its silence of Oom is over"
    mine.step()
    assert len(told(at)) == 2


def test_one_that_was_killed_before_it_heard_the_number_finds_its_silence_again(at, alertmanager, monkeypatch):
    tell(alertmanager, OOM)
    deliver(at, alertmanager, OOM)
    with monkeypatch.context() as killed:
        killed.setattr(rows, "made", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            silencer(at).step()
    assert len(silences(alertmanager)) == 1
    silencer(at).step()
    assert len(silences(alertmanager)) == 1
    with monkeypatch.context() as killed:
        killed.setattr(rows, "ended", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        at.end_run("node-a", 0)
        with pytest.raises(KeyboardInterrupt):
            silencer(at).step()
    silencer(at, "another").step()
    assert silences(alertmanager) == []
    assert told(at)[1:] == ["run 1 has ended, and its silence of Oom was over already"]


def test_a_run_that_ends_while_its_silence_is_made_leaves_none(at, alertmanager, monkeypatch):
    tell(alertmanager, OOM)
    deliver(at, alertmanager, OOM)
    real = rows.made

    def end_before(connection, number, silence):
        rows.ended(connection, number, at.now)
        return real(connection, number, silence)

    monkeypatch.setattr(rows, "made", end_before)
    silencer(at).step()
    assert silences(alertmanager) == []


def test_an_alertmanager_that_is_away_stops_no_repair_and_is_told_of_once(at, alertmanager):
    tell(alertmanager, OOM)
    deliver(at, alertmanager, OOM)
    alertmanager.stop()
    mine = silencer(at)
    mine.step()
    mine.step()
    assert at.running() == {"node-a": "restart_process"}
    (line,) = told(at)
    assert line.startswith("Oom is not silenced: ConnectError")
    alertmanager.start()
    alertmanager.until_ready()
    tell(alertmanager, OOM)
    until("the alert", lambda: len(alertmanager.alerts()) == 2)
    mine.step()
    assert len(silences(alertmanager)) == 1
    alertmanager.stop()
    at.end_run("node-a", 0)
    mine.step()
    mine.step()
    assert [each.partition(":")[0] for each in told(at)[2:]] == ["Oom may be silenced still"]
    # Nobody is asked for ever after what has ended by itself.
    at.now += 800
    mine.step()
    assert told(at)[3:] == ["the silence of Oom has ended by itself, as nobody could end it"]
    assert mine.step() == 1.0


def test_what_another_alertmanager_has_is_not_silenced_and_off_is_off(at, alertmanager):
    at.fire("node-a", "oom")
    silencer(at).step()
    assert silences(alertmanager) == []
    assert told(at) == ["Alertoom is not silenced: Alertmanager has no such alert"]
    at.policy(POLICY.format(url=alertmanager.url).replace("silence: true", "silence: false"))
    on_b = {**OOM, "host": "node-b", "instance": "node-b:9100"}
    tell(alertmanager, on_b)
    deliver(at, alertmanager, on_b)
    assert "node-b" in at.running()
    silencer(at).step()
    assert silences(alertmanager) == []
    assert len(at.rows(schema.own_silences)) == 1


def test_another_alert_whose_fingerprint_was_posted_is_not_silenced(at, alertmanager):
    theirs = {"alertname": "DiskFull", "host": "node-z", "severity": "page"}
    tell(alertmanager, theirs)
    found = until("the alert", lambda: [each for each in alertmanager.alerts() if each["labels"] == theirs])[0]
    at.commit(Alert("firing", OOM, {}, at.now, None, found["fingerprint"]))
    at.turn()
    assert at.running() == {"node-a": "restart_process"}
    silencer(at).step()
    assert silences(alertmanager) == []
    assert told(at) == ["Oom is not silenced: Alertmanager has another alert under its fingerprint"]
    silencer(at).step()
    assert len(told(at)) == 1


def test_a_label_from_which_a_secret_was_cut_is_the_alerts_still(at, alertmanager):
    sent = {**OOM, "url": "http://u:hunter2@node-a/"}
    tell(alertmanager, sent)
    found = until("the alert", lambda: [each for each in alertmanager.alerts() if each["labels"] == sent])[0]
    began = datetime.fromisoformat(found["startsAt"]).timestamp()
    kept = {name: without_secrets(value) for name, value in sent.items()}
    at.commit(Alert("firing", kept, {}, began, None, found["fingerprint"]))
    at.turn()
    silencer(at).step()
    assert suppressed(alertmanager) == [sent]


def test_an_alert_that_ends_while_it_is_silenced_leaves_the_word_to_the_probe(at, alertmanager):
    tell(alertmanager, OOM)
    deliver(at, alertmanager, OOM)
    mine, watch = silencer(at), AbsenceWatch(at.database, lambda: at.config.policy, lambda: None, lambda: at.now)
    mine.step()
    until("it to be silenced", lambda: suppressed(alertmanager))
    # Nobody looks before it has ended: who silenced it has seen that Alertmanager has it.
    tell(alertmanager, OOM, ended=True)
    until("its end", lambda: len(alertmanager.alerts()) == 1)
    at.end_run("node-a", 0)
    mine.step()
    at.policy(f"monitoring: {{alertmanager: {{url: '{alertmanager.url}', complete_after: 1h}}}}")
    watch.look()
    watch.look()
    at.turn()
    assert at.state() == "verifying"
    at.policy(f"monitoring: {{alertmanager: {{url: '{alertmanager.url}', complete_after: 3s}}}}")

    def ended() -> bool:
        tell(alertmanager)
        watch.look()
        at.turn()
        return at.state() == "resolved"

    until("the probe", ended)
    assert [row.outcome for row in at.rows(schema.alerts)] == ["joined", "absent"]
    assert "its own probe says so" in at.incident().reason


def test_a_receiver_that_is_killed_ends_its_silence_when_it_is_back(tmp_path, alertmanager):
    (tmp_path / "receiver").mkdir()
    with serving(tmp_path / "receiver", policy=POLICY.format(url=alertmanager.url), playbook=PLAYBOOK) as receiver:
        receiver.hold()
        sent = alert()
        tell(alertmanager, sent["labels"])
        (had,) = until(
            "the alert", lambda: [each for each in alertmanager.alerts() if each["labels"] == sent["labels"]]
        )
        assert receiver.post(payload({**sent, "fingerprint": had["fingerprint"]})).status_code == 200
        until("the silence", lambda: silences(alertmanager))
        receiver.kill()
        receiver.let_go()
        assert len(silences(alertmanager)) == 1
        receiver.start()
        until("its end", lambda: not silences(alertmanager))

        def told() -> list[str]:
            lines = receiver.get("/api/v1/incidents/1")["timeline"]
            return [line["text"] for line in lines if line["kind"] == "silence"]

        # It is told after Alertmanager has said so; of its beginning, killed in that moment, it may have told nothing.
        until("that to be told", lambda: "run 1 has ended, and its silence of Oom is over" in told())
        assert len(told()) <= 2
