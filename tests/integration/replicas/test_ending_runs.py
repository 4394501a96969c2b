# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs that are ended before they end, by a person, by the policy, or because their receiver never comes back."""

from __future__ import annotations

from autoglm_recovery.receiver.operators.orders import OperatorCommand, carry_out
from autoglm_recovery.receiver.store.database import Database
from autoglm_recovery.receiver.values.principal import Principal, Role
from tests.integration.decisions.test_outbox_and_pause import autoglm
from tests.integration.receiver.running import alert, now, payload, serving
from tests.support.servers.freezing import freeze
from tests.support.servers.waiting import until

from .test_takeover import playbooks_of


def begun(receiver):
    """Have a run in its middle."""
    receiver.hold()
    receiver.post(payload(alert(start=now())))
    until("the playbook to begin", lambda: receiver.marks)
    assert playbooks_of(receiver)


def test_closing_an_incident_ends_its_run_and_frees_the_host(tmp_path):
    with serving(tmp_path, policy="recovery: {persistent_within: 0s, strategies: {oom: {delay: 0s}}}") as receiver:
        begun(receiver)
        assert receiver.order(1, "close").json()["state"] == "closed"
        until("the run to end", lambda: receiver.runs(1)[0]["state"] == "cancelled")
        assert playbooks_of(receiver) == []
        told = [line["text"] for line in receiver.get("/api/v1/incidents/1")["timeline"]]
        assert any("the incident was closed by" in text for text in told)
        receiver.let_go()
        receiver.post(payload(alert(start=now(), alertname="Another")))
        until("the next incident to be repaired", lambda: receiver.incidents("verifying"))


def cancel(receiver, number, *comment):
    """Cancel by the command line."""
    return autoglm(receiver, "incidents", "cancel", str(number), *comment)


def test_cancelling_ends_the_run_for_real_and_leaves_the_incident_with_a_person(tmp_path):
    with serving(tmp_path) as receiver:
        begun(receiver)
        done = cancel(receiver, 1, "--comment", "the disk is being swapped")
        assert done.returncode == 0, done.stderr
        until("the run to end", lambda: receiver.runs(1)[0]["state"] == "cancelled")
        # By its supervisor: neither the playbook nor anything that it started is left.
        assert playbooks_of(receiver) == []
        (incident,) = receiver.incidents("escalated")
        assert incident["reason"].startswith("cancelled by ")
        assert incident["reason"].endswith(": the disk is being swapped")
        told = [(line["kind"], line["text"]) for line in receiver.get("/api/v1/incidents/1")["timeline"]]
        assert any(kind == "order" and text.startswith("cancel by ") for kind, text in told)
        assert any(kind == "run_finished" and "cancelled by " in text for kind, text in told)
        receiver.let_go()
        again = cancel(receiver, 1)
        assert again.returncode == 1
        assert "is for incidents that are running" in again.stderr
        assert [mark.partition(" ")[0] for mark in receiver.marks] == ["begin"]
        assert receiver.order(1, "retry").status_code == 200
        until("the retry to succeed", lambda: receiver.incidents("verifying"))


def test_a_cancellation_survives_the_receiver(tmp_path):
    with serving(tmp_path) as receiver:
        begun(receiver)
        freeze(receiver.process.pid)
        url = f"sqlite:///{tmp_path / 'state/receiver.db'}"
        database = Database(url)
        carry_out(database, 1, OperatorCommand.cancel, Principal("ann", Role.operator, "open", "127.0.0.1"))
        database.close()
        receiver.kill()
        receiver.start()
        until("the run to end", lambda: receiver.runs(1)[0]["state"] == "cancelled")
        assert playbooks_of(receiver) == []
        assert "cancelled by ann" in receiver.incidents("escalated")[0]["reason"]


def test_a_run_that_takes_longer_than_the_policy_allows_is_ended_and_has_failed(tmp_path):
    with serving(tmp_path, policy="recovery: {strategies: {oom: {delay: 0s, timeout: 5s, then: []}}}") as receiver:
        receiver.hold()
        receiver.post(payload(alert(start=now())))
        until("a person to be called", lambda: receiver.incidents("escalated"))
        assert [run["state"] for run in receiver.runs(1)] == ["failed"]
        assert playbooks_of(receiver) == []
        told = [line["text"] for line in receiver.get("/api/v1/incidents/1")["timeline"]]
        assert any("took longer than 5 s" in text for text in told)


def test_a_playbook_that_something_kills_is_lost_and_leaves_nothing(tmp_path):
    with serving(tmp_path) as receiver:
        begun(receiver)
        ansible = next(process for process in playbooks_of(receiver) if process.terminal())
        ansible.kill()
        until("the run to end", lambda: receiver.runs(1)[0]["state"] == "lost")
        assert playbooks_of(receiver) == []
        told = [line["text"] for line in receiver.get("/api/v1/incidents/1")["timeline"]]
        assert any("something killed it" in text for text in told)


def test_a_run_whose_receiver_never_comes_back_ends_itself(tmp_path):
    with serving(tmp_path, lease="6s") as receiver:
        begun(receiver)
        receiver.kill()
        until("the playbook to be ended", lambda: not playbooks_of(receiver))
        result = until("the result", (receiver.run_directory(1) / "result.json").exists)
        assert result
        receiver.start()
        until("it to be taken in", lambda: receiver.runs(1)[0]["state"] == "lost")
        told = [line["text"] for line in receiver.get("/api/v1/incidents/1")["timeline"]]
        assert any("has not renewed its lease" in text for text in told)
