# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Services that are containers, of a real podman and of a real Docker engine."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable

import pytest
from ansible_collections.autoglm.recovery.plugins.module_utils.health.probe import read_service
from ansible_collections.autoglm.recovery.plugins.module_utils.host import kernel_log
from ansible_collections.autoglm.recovery.plugins.module_utils.host.command import CommandResult
from ansible_collections.autoglm.recovery.plugins.module_utils.host.command import run as run_here
from ansible_collections.autoglm.recovery.plugins.module_utils.services import acting
from ansible_collections.autoglm.recovery.plugins.module_utils.services.containers import Container
from ansible_collections.autoglm.recovery.plugins.module_utils.services.protocol import ServiceError, Status

from tests.support.servers import containers
from tests.support.servers.containers import LABEL, Runtime
from tests.support.servers.freezing import freeze
from tests.support.servers.waiting import until

SLEEPS = (
    "sh",
    "-c",
    "trap 'echo asked; exit 0' TERM; echo begun; sleep 0.1; echo trouble >&2; while :; do sleep 0.1; done",
)
GREEDY = "x=a; while :; do x=$x$x; done"
DEAF = ("sh", "-c", "trap '' TERM; while :; do sleep 0.1; done")


@pytest.fixture
def service(runtime: Runtime) -> Callable[..., Container]:
    """The container of a name, asked where it lives."""

    def run(argv, timeout: float) -> CommandResult:
        return run_here([*runtime.prefix, *argv], timeout)

    return lambda name: Container(name, runtime.kind, 30.0, run)


def ended(one: Container) -> Status:
    return until("the container to end", lambda: status if (status := one.status()).process_gone else None)


def test_a_running_container_is_told_as_its_host_sees_it(runtime: Runtime, service) -> None:
    name = runtime.run("a", *SLEEPS)
    status = service(name).status()
    assert (status.state, status.restarts_itself) == ("running", "")
    assert status.process_state in ("S", "R", "D")  # it sleeps most of the time
    assert status.main_pid is not None
    assert os.path.basename(os.readlink(f"/proc/{status.main_pid}/exe")) in ("dash", "busybox")
    assert runtime.inspect(name)["Id"] in (status.cgroup or "")
    assert status.since is not None
    assert status.since.startswith(runtime.inspect(name)["State"]["StartedAt"][:19])


def test_it_stops_on_the_first_word_and_starts_again(runtime: Runtime, service) -> None:
    one = service(runtime.run("a", *SLEEPS))
    before = one.status()
    stopped = acting.stop(one, 10, True)
    after = one.status()
    assert (stopped.by, after.state, after.main_pid, after.end.exit_code) == ("SIGTERM", "stopped", None, 0)
    started = acting.start(one, 10)
    assert started.state == "running"
    assert started.main_pid not in (None, before.main_pid)
    assert "asked" in one.logs(100).text


def test_both_streams_are_logged_in_order(runtime: Runtime, service) -> None:
    one = service(runtime.run("a", *SLEEPS))
    logs = until("both lines", lambda: text if "trouble" in (text := one.logs(10).text) else None)
    assert [line.split(" ", 1)[1] for line in logs.splitlines()] == ["begun", "trouble"]


def test_a_deaf_process_is_killed_when_its_time_is_over(runtime: Runtime, service) -> None:
    one = service(runtime.run("a", *DEAF))
    stopped = acting.stop(one, 0.5, True)
    assert stopped.by == "SIGKILL"
    assert "after 0.5 s of SIGTERM" in stopped.text
    assert one.status().end.exit_code == 137


def test_a_deaf_process_goes_on_where_killing_is_forbidden(runtime: Runtime, service) -> None:
    one = service(runtime.run("a", *DEAF))
    with pytest.raises(ServiceError, match="kill_after is false"):
        acting.stop(one, 0.3, False)
    assert one.status().state == "running"


@pytest.mark.parametrize("how", ["stopped by a signal", "paused"])
def test_what_stands_still_is_stopped_all_the_same(runtime: Runtime, service, how: str) -> None:
    name = runtime.run("a", *DEAF)
    one = service(name)
    if how == "paused":
        runtime("pause", name)
        assert one.status().state == "paused"
    else:
        freeze(one.status().main_pid)
        until("it to stand still", lambda: one.status().process_state == "T")
    assert acting.stop(one, 0.3, True).by == "SIGKILL"
    assert one.status().process_gone


def test_a_paused_container_is_resumed_by_a_start(runtime: Runtime, service) -> None:
    name = runtime.run("a", *SLEEPS)
    before = service(name).status().main_pid
    runtime("pause", name)
    assert acting.start(service(name), 10).main_pid == before


def test_a_restart_policy_is_said_and_does_not_undo_a_stop(runtime: Runtime, service) -> None:
    one = service(runtime.run("a", *DEAF, options=("--restart=always",)))
    assert one.status().restarts_itself == "the container runtime, restart policy always"
    acting.stop(one, 0, True)
    first = one.status()
    time.sleep(1.0)  # podman would start it again at once: that it does not is what has to be seen
    assert (first.state, one.status().state) == ("failed", "failed")


def test_a_container_that_ends_again_and_again_is_stopped_between_two_starts(runtime: Runtime, service) -> None:
    one = service(runtime.run("a", "sh", "-c", "exit 3", options=("--restart=always",)))
    until("some starts", lambda: runtime.inspect(one.name)["RestartCount"] > 2)
    acting.stop(one, 1, True)
    count = runtime.inspect(one.name)["RestartCount"]
    time.sleep(1.5)  # again it is that nothing happens that has to be seen
    assert (one.status().state, runtime.inspect(one.name)["RestartCount"]) == ("failed", count)


def test_an_end_at_once_is_told_with_its_last_words(runtime: Runtime, service) -> None:
    name = runtime.make("create", "a", "sh", "-c", "echo no model at /srv/m --api-key s3cret-value; exit 3")
    with pytest.raises(ServiceError, match=r"ended at once: (exited|stopped) \(3\)") as error:
        acting.start(service(name), 10)
    assert "no model at /srv/m" in str(error.value)
    assert "s3cret-value" not in str(error.value)


def test_kill_9_is_a_crash_and_no_want_of_memory(runtime: Runtime, service) -> None:
    one = service(runtime.run("a", *SLEEPS))
    os.kill(one.status().main_pid, signal.SIGKILL)
    assert ended(one).state == "failed"
    status = read_service(one, 10.0)
    assert (status.oom, status.oom_evidence, status.end.exit_code) == (False, (), 137)


def test_want_of_memory_is_told_even_where_podman_does_not(runtime: Runtime, service) -> None:
    kernel_log.read(run_here, 10.0)  # without the kernel's log there is nothing to prove: then this fails
    options = ("--memory=30m", "--memory-swap=30m")
    one = service(runtime.run("a", "sh", "-c", GREEDY, options=options))
    ended(one)
    status = until("the evidence", lambda: seen if (seen := read_service(one, 10.0)).oom else None)
    assert "in the service's control group" in " ".join(status.oom_evidence)


def test_a_worker_that_fell_is_counted_while_its_server_lives(runtime: Runtime, service) -> None:
    words = ("sh", "-c", f"sleep 0.5; (exec sh -c '{GREEDY}'); while :; do sleep 1; done")
    one = service(runtime.run("a", *words, options=("--memory=30m", "--memory-swap=30m")))
    status = until("the kill", lambda: seen if (seen := read_service(one, 10.0)).oom_kills else None)
    assert (status.state, status.oom_kills) == ("running", 1)


def test_a_container_of_systemd_is_left_to_systemd(runtime: Runtime, service) -> None:
    one = service(runtime.run("a", *SLEEPS, options=("--label=PODMAN_SYSTEMD_UNIT=vllm.service",)))
    with pytest.raises(ServiceError, match=r"managed by the systemd unit vllm\.service"):
        acting.stop(one, 1, True)
    assert one.status().state == "running"


def test_a_container_that_is_not_there(service) -> None:
    one = service(f"{LABEL}-none")
    status = one.status()
    assert (status.readable, status.exists, status.state) == (True, False, "absent")
    for act in (lambda: acting.stop(one, 1, True), lambda: acting.start(one, 1)):
        with pytest.raises(ServiceError, match="knows no container"):
            act()


def test_a_runtime_that_is_not_there_is_unknown() -> None:
    status = Container("a", "podman", 5.0, lambda _argv, timeout: run_here(["/nowhere/podman"], timeout)).status()
    assert (status.readable, status.state, status.process_gone) == (False, "unknown", False)
    assert "cannot be run" in status.reason


@pytest.mark.usefixtures("podman")
def test_a_test_that_has_podman_and_asks_for_it_again_is_told_so() -> None:
    """It would wait for itself, and the whole run with it."""
    with pytest.raises(RuntimeError, match="this process has podman already"), containers.podman():
        pass
