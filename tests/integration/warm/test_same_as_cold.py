# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A warm run is what a cold run is: same results, same surroundings, nothing of another run."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from contextlib import suppress
from typing import Any

import psutil
import pytest

from autoglm_recovery.receiver.runs.local import run_directory
from autoglm_recovery.receiver.runs.warm.warmer import Warmer
from tests.integration.warm.running import Place, Run
from tests.support.servers.waiting import until


@pytest.mark.parametrize(
    ("playbook", "rc"),
    [("fail", 2), ("broken", 4), ("unreachable", 4), ("absent", 1), ("nobody", 1), ("observe", 0), ("pause", 0)],
)
def test_results_are_those_of_a_cold_start(place: Place, warmer: Warmer, playbook: str, rc: int) -> None:
    runs = [place.start(spawn, playbook) for spawn in (run_directory.spawn, warmer.spawn)]
    results = [run.result() for run in runs]
    assert [result["rc"] for result in results] == [rc, rc], runs[1].said()
    assert results[0]["status"] == results[1]["status"]
    assert runs[1].cold is None


@pytest.mark.parametrize(("playbook", "said"), [("nobody", "no hosts matched"), ("absent", "could not be found")])
def test_a_run_in_which_no_task_was_begun_has_failed_and_says_why(place: Place, playbook: str, said: str) -> None:
    run = place.start(run_directory.spawn, playbook)
    assert run.result()["status"] == "failed"
    (line,) = run_directory.told(run.directory, 0)
    assert line["text"].startswith("no task was begun: ")
    assert said in line["text"]


@pytest.fixture(scope="module")
def observed(place: Place, warmer: Warmer) -> list[dict[str, Any]]:
    """What a cold and then two warm runs have seen."""
    seen = []
    for spawn in (run_directory.spawn, warmer.spawn, warmer.spawn):
        run = place.start(spawn, "observe")
        assert run.result()["rc"] == 0, run.said()
        assert run.cold is None
        seen.append(run.seen())
    return seen


@pytest.mark.parametrize(
    "what", ["Umask", "SigBlk", "SigIgn", "SigCgt", "Threads", "Groups", "Uid", "terminal", "descriptors"]
)
def test_the_process_is_that_of_a_cold_start(observed: list[dict[str, Any]], what: str) -> None:
    cold, warm, _ = (seen["process"][what] for seen in observed)
    assert warm == cold


def test_the_environment_is_that_of_a_cold_start(observed: list[dict[str, Any]]) -> None:
    cold, warm, again = ({**seen["process"]["environment"]} for seen in observed)
    # Set in the test's own process by readline, behind Python's back, and inherited by what it executes.
    accidental = {"LINES", "COLUMNS"}
    own = accidental | {name for name in cold if cold[name] != again.get(name)}
    assert {name: value for name, value in warm.items() if name not in own} == {
        name: value for name, value in cold.items() if name not in own
    }
    assert cold.keys() - accidental == warm.keys() - accidental


def test_people_see_what_runs(observed: list[dict[str, Any]]) -> None:
    shown, also = ({*seen["process"]["shown"]} - {"LINES", "COLUMNS"} for seen in observed[:2])
    assert shown == also
    cold, warm, _ = (seen["process"]["command"] for seen in observed)
    assert [word for word in warm if "/run-" not in word] == [word for word in cold if "/run-" not in word]
    assert any(word.endswith("vars.yml") for word in warm)


def test_people_see_the_warm_process_by_a_short_title(warmer: Warmer) -> None:
    assert warmer.process is not None
    words = psutil.Process(warmer.process.pid).cmdline()
    assert [word for word in words if word] == ["autoglm-warm", str(warmer.socket)]
    if (ps := shutil.which("ps")) is not None:
        shown = subprocess.run([ps, "-o", "args=", "-ww", str(warmer.process.pid)], stdout=subprocess.PIPE, check=True)
        assert shown.stdout.decode().split() == ["autoglm-warm", str(warmer.socket)]
        assert len(shown.stdout) < 200


def test_no_run_sees_another(observed: list[dict[str, Any]]) -> None:
    numbers = [seen["given"]["id"] for seen in observed]
    assert [seen["given"]["secret"] for seen in observed] == [f"only-of-{number}" for number in numbers]
    assert all(seen["others"] == [] for seen in observed)
    assert len({name for seen in observed for name in seen["process"]["temporary"]}) == 3
    assert len({seen["random"] for seen in observed}) == 3


def test_runs_are_in_the_folder_in_which_the_receiver_was_started(observed: list[dict[str, Any]]) -> None:
    assert [seen["process"]["folder"] for seen in observed] == [os.getcwd()] * 3


def test_host_keys_are_checked_as_by_ansible_itself(observed: list[dict[str, Any]]) -> None:
    assert [seen["host_keys_checked"] for seen in observed] == [True, True, True]


def test_what_hosts_say_is_no_variable(observed: list[dict[str, Any]]) -> None:
    assert [seen["facts_are_variables"] for seen in observed] == [False, False, False]


@pytest.mark.usefixtures("observed")
def test_nothing_is_left_of_a_run(place: Place, warmer: Warmer) -> None:
    assert warmer.process is not None
    (kept,) = (place.root / "temporary").iterdir()
    assert kept.name.startswith(f"ansible-local-{warmer.process.pid}")
    # The zygote itself is as it was: one thread, no children, and its descriptors are the three and the socket.
    zygote = psutil.Process(warmer.process.pid)
    assert zygote.num_threads() == 1
    assert until("the last fork to be gone", lambda: not zygote.children())
    assert zygote.num_fds() == 4


def test_the_python_of_the_controller_is_named(observed: list[dict[str, Any]]) -> None:
    assert observed[1]["python"] == observed[0]["python"]


def test_twenty_at_once_each_get_their_own(place: Place, warmer: Warmer) -> None:
    runs = [place.start(warmer.spawn, "observe") for _number in range(20)]
    for run in runs:
        assert run.result()["rc"] == 0, run.said()
        assert run.cold is None
        number = int(run.directory.name.partition("-")[2])
        assert run.seen()["given"] == {"id": number, "secret": f"only-of-{number}"}
    assert len({run.seen()["random"] for run in runs}) == 20


def _held(place: Place, warmer: Warmer, timeout_s: float = 60.0) -> tuple[Run, list[psutil.Process]]:
    run = place.start(warmer.spawn, "hold", timeout_s)
    return run, until("the playbook to hold", lambda: _holding(run))


def _holding(run: Run) -> list[psutil.Process]:
    """Return its processes, once the sleep is among them."""
    with suppress(psutil.NoSuchProcess):
        processes = run.descendants()
        # Not any sleep: Ansible's own shell lines end in "sleep 0".
        if ["sleep", "1000"] in [each.cmdline() for each in processes]:
            return processes
    return []


def _gone(processes: list[psutil.Process]) -> bool:
    return all(not each.is_running() or each.status() == psutil.STATUS_ZOMBIE for each in processes)


# Ansible's workers have sessions of their own, so that ending them takes a supervisor that knows its descendants.
def test_a_timeout_ends_all_of_it(place: Place, warmer: Warmer) -> None:
    run, processes = _held(place, warmer, timeout_s=5.0)
    assert run.result()["status"] == "timeout"
    until("the end of its processes", lambda: _gone(processes))


def test_a_cancelled_run_ends_all_of_it(place: Place, warmer: Warmer) -> None:
    run, processes = _held(place, warmer)
    run_directory.cancel(run.directory, "no longer wanted")
    assert run.result()["status"] == "canceled"
    until("the end of its processes", lambda: _gone(processes))


def test_all_of_it_ends_with_the_supervisor(place: Place, warmer: Warmer) -> None:
    run, processes = _held(place, warmer)
    os.kill(run.process.pid, signal.SIGKILL)
    until("the end of its supervisor", lambda: run.process.poll() is not None)
    until("the end of its processes", lambda: (run_directory.end_left(run.directory), _gone(processes))[1])


def test_what_a_dead_supervisor_left_is_found_by_its_words(place: Place, warmer: Warmer) -> None:
    run, processes = _held(place, warmer)
    found = []
    for each in processes:
        with suppress(psutil.NoSuchProcess):  # a shell that has ended meanwhile
            if f"@{run.directory}/vars.yml" in each.cmdline():
                found.append(each)
    assert found
    for each in processes:
        with suppress(psutil.NoSuchProcess):
            each.kill()


def test_a_run_goes_on_without_the_warm_process(place: Place, own_warmer: Warmer) -> None:
    run = place.start(own_warmer.spawn, "wait")
    until("the playbook to begin", run.out.exists)
    assert own_warmer.process is not None
    own_warmer.process.kill()
    own_warmer.process.wait()
    # The next run starts cold at once, and the one after the restart is warm again.
    other = place.start(own_warmer.spawn, "fail")
    assert isinstance(other.process, subprocess.Popen)
    run.out.with_suffix(".out.go").touch()
    assert run.result()["rc"] == 0, run.said()
    assert run.out.with_suffix(".out.end").exists()
    assert other.result()["rc"] == 2


def test_a_run_goes_on_when_the_receiver_stops(place: Place, own_warmer: Warmer) -> None:
    run = place.start(own_warmer.spawn, "wait")
    until("the playbook to begin", run.out.exists)
    socket = own_warmer.socket
    assert socket is not None
    own_warmer.stop()
    assert not socket.parent.exists()
    run.out.with_suffix(".out.go").touch()
    assert run.result()["rc"] == 0, run.said()
