# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A run is launched once: answers get lost, processes are killed, launchers race."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from autoglm_recovery.receiver.runs.awx.launcher import AwxLauncher
from autoglm_recovery.receiver.runs.protocol import LaunchRefused, RunStatus
from tests.integration.awx.driving import DEADLINE_S, RUN, Kept
from tests.support.fake_awx import Fault
from tests.support.fake_awx.server import Running

# A receiver of its own: looks again and again, and keeps what it has seen where the next one finds it.
RECEIVER = """
import sys, json, time
from dataclasses import replace
from pathlib import Path
from autoglm_recovery.receiver.runs.awx.launcher import AwxLauncher
from tests.integration.awx.driving import Kept, settings
url, kept_in = sys.argv[1], Path(sys.argv[2])
launcher, kept = AwxLauncher(settings(url)), Kept()
if kept_in.exists():
    kept.run = replace(kept.run, reference=json.loads(kept_in.read_text()))
while True:
    look = kept.look(launcher)
    kept_in.with_suffix(".part").write_text(json.dumps(kept.run.reference))
    kept_in.with_suffix(".part").rename(kept_in)
    print(look.status.name, look.reference, look.why, flush=True)
    time.sleep(0.02)
"""


@pytest.mark.parametrize("how", ["lose", 502, "html"])
def test_a_lost_answer_launches_once(awx: Running, launcher: AwxLauncher, how: str | int) -> None:
    fault = Fault(how, "POST", "/launch/", done=how != "lose")
    awx.faults.append(fault)
    kept = Kept()
    kept.launched(launcher)
    assert len(awx.awx.all("jobs")) == 1


@pytest.mark.parametrize("own_limit", ["", "all"])
def test_a_job_whose_limit_was_ignored_is_cancelled_though_the_answer_was_lost(
    awx: Running, make_launcher: Callable[..., AwxLauncher], own_limit: str
) -> None:
    kept = Kept()
    kept.look(launcher := make_launcher())
    awx.awx.all("job_templates")[0].update(ask_limit_on_launch=False, limit=own_limit)
    awx.faults += [Fault("lose", "POST", "/launch/"), Fault(502, "POST", "/cancel/")]
    with pytest.raises(LaunchRefused, match=f"the limit '{own_limit}'") as refused:
        kept.ended(launcher)
    assert refused.value.launched
    awx.awx.dispatch()
    assert [(job["limit"], job["status"]) for job in awx.awx.all("jobs")] == [(own_limit, "canceled")]
    # Also for a receiver that has no reference of the run.
    with pytest.raises(LaunchRefused, match="was cancelled") as refused:
        Kept().launched(make_launcher())
    assert refused.value.launched


def test_an_answer_that_never_comes_is_not_waited_for_and_not_asked_for_again(
    awx: Running, make_launcher: Callable[..., AwxLauncher]
) -> None:
    launcher = make_launcher(call_timeout_s=0.3, settle_s=60.0)
    fault = Fault("wait", "POST", "/launch/")
    awx.faults.append(fault)
    kept = Kept()
    kept.until(launcher, lambda look: look.why is not None and "answer was lost" in look.why)
    assert kept.looks[-1].status is RunStatus.running
    fault.release.set()
    kept.launched(launcher)
    assert len(awx.awx.all("jobs")) == 1


def test_a_request_that_surely_did_not_arrive_is_sent_again(
    awx: Running, make_launcher: Callable[..., AwxLauncher]
) -> None:
    awx.faults.append(Fault(503, "POST", "/launch/", headers={"Retry-After": "0"}))
    awx.faults.append(Fault(429, "POST", "/launch/", headers={"Retry-After": "0"}))
    kept = Kept()
    kept.launched(make_launcher(settle_s=3600.0))
    assert len(awx.launches()) == 3
    assert len(awx.awx.all("jobs")) == 1


def test_a_request_that_broke_before_awx_had_it_is_sent_again_when_its_time_is_over(
    awx: Running, launcher: AwxLauncher
) -> None:
    awx.faults.append(Fault("drop", "POST", "/launch/"))
    Kept().launched(launcher)
    assert len(awx.awx.all("jobs")) == 1


def test_killed_between_the_request_and_its_answer(awx: Running, tmp_path: Path) -> None:
    """kill -9 while AWX works on the launch; the next receiver finds the job that appears later."""
    fault = Fault("wait", "POST", "/launch/")
    awx.faults.append(fault)
    kept_in = tmp_path / "kept"
    command = [sys.executable, "-c", RECEIVER, awx.url, str(kept_in)]
    checkout = Path(__file__).parents[3]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, cwd=checkout) as first:
        assert fault.hit.wait(DEADLINE_S)
        first.send_signal(signal.SIGKILL)
    assert json.loads(kept_in.read_text()).startswith("launching:")
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=checkout) as second:
        assert second.stdout is not None
        seen = second.stdout.readline()
        assert seen.startswith("running launching:")
        assert "answer was lost" in seen
        fault.release.set()
        while not seen.startswith("running job:"):
            seen = second.stdout.readline()
            assert seen
        second.kill()
    assert len(awx.awx.all("jobs")) == 1
    assert len(awx.launches()) == 1


def test_killed_right_after_awx_launched(awx: Running, make_launcher: Callable[..., AwxLauncher]) -> None:
    awx.faults.append(Fault("lose", "POST", "/launch/"))
    kept = Kept()
    first = make_launcher(settle_s=3600.0)
    kept.until(first, lambda _look: bool(awx.launches()))
    # Even where nothing at all was kept, the job is found by its mark.
    other = Kept()
    other.launched(make_launcher(settle_s=3600.0))
    assert other.run.reference == f"job:{awx.awx.all('jobs')[0]['id']}"
    assert len(awx.launches()) == 1


def test_killed_before_it_asked_awx_is_taken_up(awx: Running, make_launcher: Callable[..., AwxLauncher]) -> None:
    kept = Kept()
    kept.look(make_launcher())
    assert kept.run.reference is not None
    assert not awx.launches()
    look = kept.look(make_launcher(settle_s=0.3))
    assert "looking for the job" in str(look.why)
    kept.launched(make_launcher(settle_s=0.3))
    assert len(awx.awx.all("jobs")) == 1


def test_a_launcher_whose_reference_another_one_has_replaced_does_not_launch(
    awx: Running, make_launcher: Callable[..., AwxLauncher]
) -> None:
    """The database took another receiver's word: this one was frozen meanwhile."""
    frozen, mine = make_launcher(settle_s=3600.0), Kept()
    mine.look(frozen)
    mine.run = replace(mine.run, reference="launching:somebody-else")
    for _turn in range(3):
        assert mine.look(frozen).status is RunStatus.running
    assert not awx.launches()


def test_two_launchers_that_both_believe_the_run_is_theirs_end_with_one_job(
    awx: Running, make_launcher: Callable[..., AwxLauncher]
) -> None:
    """Without any database between them, which is worse than the receiver ever lets happen."""
    both = threading.Barrier(2)
    held = [Fault("wait", "POST", "/launch/"), Fault("wait", "POST", "/launch/")]
    awx.faults += held
    keeps = [Kept(), Kept()]

    def race(kept: Kept) -> None:
        launcher = make_launcher()
        both.wait()
        kept.launched(launcher)
        both.wait()
        kept.run = replace(kept.run, reference=None)
        kept.launched(launcher)

    threads = [threading.Thread(target=race, args=(kept,)) for kept in keeps]
    for thread in threads:
        thread.start()
    for fault in held:
        assert fault.hit.wait(DEADLINE_S)
    for fault in held:
        fault.release.set()
    for thread in threads:
        thread.join()
    awx.awx.dispatch()
    going_on = [job["id"] for job in awx.awx.all("jobs") if job["status"] != "canceled"]
    assert going_on == [min(job["id"] for job in awx.awx.all("jobs"))]
    assert {kept.run.reference for kept in keeps} == {f"job:{going_on[0]}"}


def test_another_installation_with_the_same_numbers_is_not_taken_for_ours(
    awx: Running, make_launcher: Callable[..., AwxLauncher]
) -> None:
    Kept().launched(make_launcher(installation="east"))
    Kept().launched(make_launcher(installation="west"))
    assert len(awx.awx.all("jobs")) == 2


def test_the_job_is_found_among_many_newer_ones(awx: Running, make_launcher: Callable[..., AwxLauncher]) -> None:
    Kept().launched(make_launcher())
    (job,) = awx.awx.all("jobs")
    for _number in range(250):
        awx.awx.add("jobs", limit="node-a", job_template=job["job_template"], extra_vars="{}")
    for _number in range(300):
        awx.awx.add("jobs", limit="node-b", job_template=job["job_template"], extra_vars=job["extra_vars"])
    again = Kept()
    again.launched(make_launcher())
    assert again.run.reference == f"job:{job['id']}"
    assert len(awx.launches()) == 1


def test_a_run_that_was_launched_long_ago_is_not_launched_again_after_its_job_was_lost(
    awx: Running, launcher: AwxLauncher
) -> None:
    kept = Kept(replace(RUN, reference="job:424242"))
    assert kept.look(launcher).status is RunStatus.ended
    assert not awx.launches()
