# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What cannot be launched has repaired nothing and failed at nothing: a person is called, and no next rung taken."""

from __future__ import annotations

import time
from dataclasses import dataclass
from unittest.mock import patch

import pytest

from autoglm_recovery.policy.launchers import ExecutionEnvironment
from autoglm_recovery.receiver.runs.follow import Follower
from autoglm_recovery.receiver.runs.leases import LeaseRenewer
from autoglm_recovery.receiver.runs.local import launcher as local_launcher
from autoglm_recovery.receiver.runs.local.container import check_podman
from autoglm_recovery.receiver.runs.local.launcher import LocalLauncher
from autoglm_recovery.receiver.runs.protocol import LaunchRefused, RunReport, RunStatus
from autoglm_recovery.receiver.store import schema
from autoglm_recovery.receiver.store.runs import Lease
from tests.unit.receiver.desk import GPU, desk

POLICY = """
launchers: {awx: {url: https://awx.example.org, token_file: /run/awx-token}}
recovery: {strategies: {gpu_fault: {launcher: awx}}}
notify: {routes: ['json://127.0.0.1:9/']}
"""


@dataclass
class Awx:
    """Stands for AWX's launcher, which says what the test tells it to."""

    says: RunReport | LaunchRefused
    name = "awx"
    outlives_receiver = True

    def look(self, _run, _order):
        """Say it."""
        if isinstance(self.says, LaunchRefused):
            raise self.says
        return self.says

    def cancel(self, _run, _why):
        """There is nothing to end."""


class Gone:
    """A process that has ended before it did anything."""

    pid = 0

    def poll(self):
        """Say so."""
        return 1

    def wait(self):
        """Say so."""
        return 1


def follow(at, launcher, turns=1):
    """Look at what runs, as the loop does, and do what is due."""
    lease = Lease("desk", 60.0, at.database.now())
    follower = Follower(at.database, at.metrics, LeaseRenewer(at.database, lease), {launcher.name: launcher})
    for _ in range(turns):
        with at.clock():
            follower.step(at.config)
    at.turn()


def a_person_was_called_once(at, why):
    """Nothing but the first action was tried, it counts for nothing, and one notice says why."""
    (run,) = at.rows(schema.runs)
    assert (run.action, run.state) == ("reset_gpu", "not_launched")
    assert (at.state(), at.running()) == ("escalated", {})
    assert at.incident().reason.startswith("reset_gpu was not launched, and nothing was done: ")
    assert why in at.incident().reason
    (notice,) = at.rows(schema.notices)
    assert notice.occasion == "escalated"
    assert why in notice.body


@pytest.mark.parametrize(
    "says",
    [
        LaunchRefused("AWX has no job template 'autoglm reset_gpu'"),
        RunReport(RunStatus.ended, why="given up: not launched for 900 s. HTTP 503", started=False),
    ],
)
def test_what_awx_cannot_launch_is_a_persons_and_a_retry_begins_with_the_same_action(tmp_path, says):
    why = getattr(says, "why", None) or str(says)
    with desk(tmp_path, POLICY) as at:
        at.fire("node-a", "gpu_fault", gpu_uuid=GPU)
        at.pass_time(60)
        at.turn()
        assert at.running() == {"node-a": "reset_gpu"}
        follow(at, Awx(says))
        a_person_was_called_once(at, why)
        # However much time passes, and whatever is told again.
        at.pass_time(3600)
        at.turn()
        a_person_was_called_once(at, why)
        at.order(1, "retry")
        assert at.running() == {"node-a": "reset_gpu"}
        assert at.rows(schema.runs)[-1].attempt == 1


def test_a_job_that_may_have_been_there_is_an_attempt(tmp_path):
    with desk(tmp_path, POLICY) as at:
        at.fire("node-a", "gpu_fault", gpu_uuid=GPU)
        at.pass_time(60)
        at.turn()
        follow(at, Awx(LaunchRefused("the limit was ignored; the job was cancelled", launched=True)))
        assert at.rows_of_runs()[0] == "lost"


def local(environment=None):
    """Return the launcher of this machine, whose processes end at once."""
    return LocalLauncher(lambda: time.monotonic() + 60, lambda _directory: Gone(), environment)


def test_what_this_machine_cannot_start_is_a_persons(tmp_path):
    with desk(tmp_path, "notify: {routes: ['json://127.0.0.1:9/']}") as at:
        at.fire("node-a", "gpu_fault", gpu_uuid=GPU)
        at.pass_time(60)
        at.turn()
        follow(at, local(), turns=4)
        a_person_was_called_once(at, "its process would not start 3 times")


def test_a_container_without_podman_is_a_persons(tmp_path):
    with desk(tmp_path, "notify: {routes: ['json://127.0.0.1:9/']}") as at:
        at.fire("node-a", "gpu_fault", gpu_uuid=GPU)
        at.pass_time(60)
        at.turn()
        with patch.object(local_launcher, "check_podman", lambda: check_podman(lambda _name: None)):
            follow(at, local(ExecutionEnvironment(image="registry.example.org/ee:1")))
        a_person_was_called_once(at, "podman is not installed")


def test_a_check_that_cannot_be_launched_has_read_nothing(tmp_path):
    with desk(tmp_path) as at:
        at.probe = None
        began = at.post("firing", "node-a", "oom", nature="event")
        at.resolve("node-a", "oom", began, nature="event")
        launcher = local()
        launcher.name = at.rows(schema.runs)[0].launcher
        follow(at, launcher, turns=4)
        (check,) = at.rows(schema.runs)
        assert (check.action, check.state) == ("check_service", "not_launched")
        assert at.state() == "verifying"
        assert "its own probe: the check was not launched: its process would not start" in at.incident().reason
