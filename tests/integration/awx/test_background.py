# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""AWX is asked in a thread of its own: a call returns at once, whatever AWX does."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from autoglm_recovery.receiver.runs.awx.background import BackgroundAwx
from autoglm_recovery.receiver.runs.awx.launcher import AwxLauncher
from autoglm_recovery.receiver.runs.protocol import LaunchRefused, RunStatus
from tests.integration.awx.driving import RUN, Kept, awaited, order
from tests.integration.awx.test_receiver import policy, the_job
from tests.integration.receiver.running import alert, now, payload, serving
from tests.support.fake_awx import Fault
from tests.support.fake_awx.server import Running
from tests.support.servers.waiting import until


@pytest.fixture
def background(make_launcher: Callable[..., AwxLauncher]) -> Iterator[BackgroundAwx]:
    made = BackgroundAwx(make_launcher(call_timeout_s=60.0, look_timeout_s=60.0), 60.0)
    made.start()
    yield made
    made.stop()


def test_a_run_goes_its_way_and_no_call_waits(awx: Running, background: BackgroundAwx) -> None:
    hanging = Fault("wait", "GET", "/job_templates/")
    awx.faults.append(hanging)
    kept = Kept()
    assert kept.look(background).status is RunStatus.not_begun
    assert hanging.hit.wait(60)
    # It hangs now, and every look still says at once that there is nothing new.
    assert [kept.look(background).status for _again in range(50)] == [RunStatus.not_begun] * 50
    hanging.release.set()
    kept.launched(background)
    awx.awx.succeed(awx.awx.all("jobs")[0])
    assert kept.ended(background).rc == 0
    assert len(awx.launches()) == 1


def test_what_was_seen_of_another_state_of_the_run_is_thrown_away(awx: Running, background: BackgroundAwx) -> None:
    kept = Kept()
    kept.launched(background)
    (job,) = awx.awx.all("jobs")
    awx.awx.start(job)
    awx.awx.event(job, "runner_on_ok", task="one", res={})
    kept.until(background, lambda _look: bool(kept.lines))
    # The database was restored to what it knew before: everything is told again, once.
    kept.run, kept.lines = replace(kept.run, cursor=0), []
    kept.until(background, lambda _look: bool(kept.lines))
    assert kept.lines == ["one: ok"]


def test_a_refusal_is_told_to_who_looks(awx: Running, background: BackgroundAwx) -> None:
    awx.awx.forbidden_launch = True
    with pytest.raises(LaunchRefused, match="permission"):
        Kept().launched(background)


def test_a_cancel_is_carried_out_and_the_job_followed_to_its_end(awx: Running, background: BackgroundAwx) -> None:
    kept = Kept()
    kept.launched(background)
    awx.awx.start(awx.awx.all("jobs")[0])

    def ended() -> bool:
        background.cancel(kept.run, "closed by ann")
        return kept.look(background).status is RunStatus.ended

    awaited(ended)
    assert awx.awx.all("jobs")[0]["status"] == "canceled"
    background.look(replace(RUN, id=99), order)


def test_a_hanging_awx_holds_up_no_other_repair(tmp_path: Path, awx: Running) -> None:
    (tmp_path / "r").mkdir()
    token = tmp_path / "awx-token"
    token.write_text("a-token\nmade by alice\n")
    token.chmod(0o600)
    hanging = Fault("wait", "GET", "/job_templates/")
    awx.faults.append(hanging)
    given = policy(awx, token).replace("token_file:", "timeout: 10m, token_file:")
    given = given.replace("oom: {delay: 0s}", "oom: {delay: 0s}, crash: {delay: 0s, launcher: local}")
    with serving(tmp_path / "r", policy=given) as receiver:
        receiver.post(payload(alert("node-a", start=now())))
        assert hanging.hit.wait(60)
        receiver.post(payload(alert("node-b", failure_class="crash", start=now())))
        (other,) = until(
            "the other incident to be decided", lambda: [one for one in receiver.incidents() if one["host"] == "node-b"]
        )
        until("its run", lambda: receiver.runs(other["id"]))
        until("its end", lambda: receiver.runs(other["id"])[0]["state"] not in ("launching", "running"))
        assert not awx.launches()
        hanging.release.set()
        until("the job", lambda: the_job(awx))
