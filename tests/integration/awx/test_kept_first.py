# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Nothing is posted to AWX before the database has committed the word by which the job is found again."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
import sqlalchemy as sa

from autoglm_recovery.receiver.runs.awx.background import BackgroundAwx
from autoglm_recovery.receiver.runs.awx.launcher import AwxLauncher
from autoglm_recovery.receiver.runs.protocol import LaunchRefused, RunStatus
from autoglm_recovery.receiver.store.database import Database
from tests.integration.awx.driving import DEADLINE_S, RUN, Kept, awaited, order
from tests.integration.awx.test_once import RECEIVER
from tests.support.fake_awx import Fault
from tests.support.fake_awx.server import Running
from tests.unit.receiver.runs.test_follow import Stage

# A receiver that has taken the word and is about to keep it: for that it waits until it is killed.  It asks a second
# time while AWX works on the first look (a line on stdin says when that is), and in the end for another run.
ABOUT_TO_KEEP = """
import sys, time
from dataclasses import replace
from autoglm_recovery.receiver.runs.awx.background import BackgroundAwx
from autoglm_recovery.receiver.runs.awx.launcher import AwxLauncher
from tests.integration.awx.driving import RUN, order, settings
background = BackgroundAwx(AwxLauncher(settings(sys.argv[1], call_timeout_s=60.0, look_timeout_s=60.0)), 60.0)
background.start()
background.look(RUN, order)
sys.stdin.readline()
background.look(RUN, order)
print("asked again", flush=True)
while (look := background.look(RUN, order)).reference is None:
    time.sleep(0.02)
background.look(replace(RUN, id=99), order)
print("about to keep", look.reference, flush=True)
sys.stdin.readline()
"""


@pytest.fixture
def background(make_launcher: Callable[..., AwxLauncher]) -> Iterator[BackgroundAwx]:
    made = BackgroundAwx(make_launcher(call_timeout_s=60.0, look_timeout_s=60.0), 60.0)
    made.start()
    yield made
    made.stop()


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    with closing(Database(f"sqlite:///{tmp_path / 'r.db'}")) as database:
        database.migrate()
        yield Stage(database, tmp_path)


def held(awx: Running, method: str = "GET", path: str = "/job_templates/$") -> Fault:
    """Have AWX hold back an answer; every look at a run that it does not know yet begins with this question."""
    fault = Fault("wait", method, path)
    awx.faults.append(fault)
    return fault


def after_all_that(awx: Running, background: BackgroundAwx, number: int) -> Fault:
    """Ask for another run: AWX sees that once everything that was asked before is over, and holds it back."""
    fault = held(awx)
    background.look(replace(RUN, id=number), order)
    return fault


def seen(fault: Fault) -> None:
    assert fault.hit.wait(DEADLINE_S)


def test_a_word_that_is_not_kept_is_said_again_and_nothing_posted(awx: Running, launcher: AwxLauncher) -> None:
    words = {launcher.look(RUN, order).reference for _turn in range(3)}
    assert not awx.launches()
    (word,) = words
    kept = Kept(replace(RUN, reference=word))
    kept.launched(launcher)
    awx.awx.succeed(awx.awx.all("jobs")[0])
    assert kept.ended(launcher).rc == 0
    assert len(awx.launches()) == 1


@pytest.mark.parametrize("taken", [False, True], ids=["not taken", "taken and not kept"])
def test_who_asks_again_while_a_look_goes_on_has_nothing_posted(
    awx: Running, background: BackgroundAwx, *, taken: bool
) -> None:
    first = held(awx)
    background.look(RUN, order)
    seen(first)
    between = after_all_that(awx, background, 98)
    background.look(RUN, order)
    after = after_all_that(awx, background, 99)
    first.release.set()
    seen(between)
    look = background.look(RUN, order) if taken else None
    between.release.set()
    seen(after)
    assert not awx.launches()
    word = (look or background.look(RUN, order)).reference
    assert str(word).startswith("launching:")
    after.release.set()
    kept = Kept(replace(RUN, reference=word))
    kept.launched(background)
    awx.awx.succeed(awx.awx.all("jobs")[0])
    assert kept.ended(background).rc == 0
    assert len(awx.launches()) == 1


@pytest.mark.parametrize("taken", [False, True], ids=["not taken", "taken and not closed"])
def test_what_awx_refused_to_launch_is_not_asked_for_again(
    awx: Running, background: BackgroundAwx, *, taken: bool
) -> None:
    kept = Kept()
    kept.until(background, lambda look: look.status is RunStatus.running)
    awx.awx.forbidden_launch = True
    first = held(awx, "POST", "/launch/$")
    background.look(kept.run, order)
    seen(first)
    between = after_all_that(awx, background, 98)
    background.look(kept.run, order)
    after = after_all_that(awx, background, 99)
    first.release.set()
    seen(between)
    # Somebody grants what was missing: a job would appear of a run that is being closed as not launched.
    awx.awx.forbidden_launch = False
    if taken:
        with pytest.raises(LaunchRefused, match="permission"):
            background.look(kept.run, order)
    between.release.set()
    seen(after)
    if not taken:
        with pytest.raises(LaunchRefused, match="permission"):
            background.look(kept.run, order)
    after.release.set()
    assert len(awx.launches()) == 1
    assert not awx.awx.all("jobs")


def test_a_cancel_is_carried_out_though_what_was_seen_is_not_taken_yet(awx: Running, background: BackgroundAwx) -> None:
    kept = Kept()
    kept.launched(background)
    first = held(awx, "GET", r"/jobs/\d+/$")
    background.look(kept.run, order)
    seen(first)
    background.cancel(kept.run, "closed by ann")
    after = after_all_that(awx, background, 99)
    first.release.set()
    seen(after)
    assert sum("/cancel/" in line for line in awx.seen) == 1
    after.release.set()


def test_a_database_that_cannot_commit_the_word_has_nothing_posted(
    awx: Running, background: BackgroundAwx, stage: Stage
) -> None:
    stage.begin("awx")
    stage.elsewhere = background
    follower = stage.follower("a")
    follower.step(stage.config)
    posted = held(awx, "POST", "/launch/$")
    failed = []

    def full(connection: sa.Connection) -> None:
        if connection.get_execution_options().get("autoglm_reading"):
            return
        failed.append("disk full")
        raise OSError(failed[-1])

    def turns(over: Callable[[], bool]) -> None:
        def turn() -> bool:
            follower.step(stage.config)
            return over()

        awaited(turn)

    sa.event.listen(stage.database.engine, "commit", full)
    turns(lambda: len(failed) > 2)
    assert (awx.launches(), stage.run.reference) == ([], None)
    sa.event.remove(stage.database.engine, "commit", full)
    turns(posted.hit.is_set)
    assert stage.run.reference.startswith("launching:")
    posted.release.set()
    turns(lambda: stage.run.reference.startswith("job:"))
    assert len(awx.launches()) == 1


def test_killed_before_it_has_kept_the_word(awx: Running, tmp_path: Path) -> None:
    """kill -9 between the word and the disk: the next receiver, which knows of nothing, launches the only job."""
    checkout = Path(__file__).parents[3]
    first, after = held(awx), held(awx)
    command = [sys.executable, "-c", ABOUT_TO_KEEP, awx.url]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True, bufsize=1, cwd=checkout) as killed:
        assert killed.stdin is not None
        assert killed.stdout is not None
        seen(first)
        killed.stdin.write("AWX works on it\n")
        assert killed.stdout.readline() == "asked again\n"
        first.release.set()
        assert killed.stdout.readline().startswith("about to keep ")
        seen(after)
        killed.send_signal(signal.SIGKILL)
    assert not awx.launches()
    after.release.set()
    kept_in = tmp_path / "kept"
    with subprocess.Popen([sys.executable, "-c", RECEIVER, awx.url, str(kept_in)], stdout=pipe, cwd=checkout) as second:
        assert second.stdout is not None
        assert any(line.startswith(b"running job:") for line in second.stdout)
        second.kill()
    assert json.loads(kept_in.read_text()) == f"job:{awx.awx.all('jobs')[0]['id']}"
    assert len(awx.launches()) == len(awx.awx.all("jobs")) == 1
