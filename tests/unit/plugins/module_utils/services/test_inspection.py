# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What real answers of podman 4.3 and Docker 20.10 mean, and what is made of answers that are none."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from ansible_collections.autoglm.recovery.plugins.module_utils.host import clocks
from ansible_collections.autoglm.recovery.plugins.module_utils.host.unread import Unread
from ansible_collections.autoglm.recovery.plugins.module_utils.services import inspection
from hypothesis import given
from hypothesis import strategies as st


@pytest.fixture
def container(recorded: Callable[[str], str]) -> Callable[..., dict[str, Any]]:
    """A recorded container, with changes in its State."""

    def load(name: str, **state: object) -> dict[str, Any]:
        found = inspection.parse(recorded(f"services/{name}.json"))
        found["State"].update(state)
        return found

    return load


@pytest.mark.parametrize(("name", "pid"), [("podman-running", 23752), ("docker-running", 28934)])
def test_a_running_container(container, name: str, pid: int) -> None:
    found = container(name)
    assert (inspection.state(found), inspection.main_pid(found)) == ("running", pid)
    assert inspection.restart_policy(found) == "the container runtime, restart policy always"
    assert inspection.stop_signal(found) == "SIGTERM"
    assert inspection.manager(found) == ""
    assert len(inspection.container_id(found)) == 64


@pytest.mark.parametrize(
    ("name", "said"),
    [("podman-out-of-memory", ""), ("docker-out-of-memory", "the container runtime reports OOMKilled")],
)
def test_a_container_that_ran_out_of_memory(container, name: str, said: str) -> None:
    """podman does not notice on cgroup v1; its word that it was not is worth nothing."""
    found = container(name)
    end = inspection.last_end(found)
    assert (inspection.state(found), end.clean, end.by_sigkill, end.out_of_memory) == ("failed", False, True, said)
    assert end.text == "its main process exited with status 137 (SIGKILL)"
    assert end.since is not None
    assert end.at is not None
    assert end.since < end.at
    assert f"libpod-{inspection.container_id(found)}" in end.groups


@pytest.mark.parametrize(
    ("told", "meant"),
    [
        ({"Status": "created"}, "stopped"),
        ({"Status": "configured"}, "stopped"),
        ({"Status": "initialized"}, "starting"),
        ({"Status": "restarting"}, "starting"),
        ({"Status": "paused"}, "paused"),
        ({"Status": "stopping"}, "stopping"),
        ({"Status": "removing"}, "stopping"),
        ({"Status": "exited", "ExitCode": 0}, "stopped"),
        ({"Status": "exited", "ExitCode": 143}, "stopped"),
        ({"Status": "exited", "ExitCode": 143, "OOMKilled": True}, "failed"),
        ({"Status": "exited", "ExitCode": 1}, "failed"),
        ({"Status": "exited", "ExitCode": None}, "failed"),
        ({"Status": "dead", "ExitCode": 255}, "failed"),
        ({"Status": "hibernating"}, "unknown"),
    ],
)
def test_states(container, told: dict[str, Any], meant: str) -> None:
    assert inspection.state(container("docker-running", **told)) == meant


@pytest.mark.parametrize(
    ("told", "name"),
    [(15, "SIGTERM"), ("15", "SIGTERM"), (2, "SIGINT"), ("SIGQUIT", "SIGQUIT"), ("INT", "SIGINT"),
     ("SIGRTMIN+3", "SIGRTMIN+3"), (None, "SIGTERM"), ("", "SIGTERM"), (0, "SIGTERM"), ("--all", "SIGTERM"),
     (["x"], "SIGTERM")],
)  # fmt: skip
def test_signals_that_ask_to_stop(container, told: object, name: str) -> None:
    found = container("podman-running")
    found["Config"]["StopSignal"] = told
    assert inspection.stop_signal(found) == name


@pytest.mark.parametrize(
    ("labels", "manager"),
    [
        ({"PODMAN_SYSTEMD_UNIT": "vllm.service"}, "the systemd unit vllm.service"),
        ({"io.kubernetes.pod.name": "vllm-0"}, "the kubelet, as part of pod vllm-0"),
        ({"com.docker.compose.project": "x"}, ""),
        (None, ""),
    ],
)
def test_who_else_manages_it(container, labels: object, manager: str) -> None:
    found = container("podman-running")
    found["Config"]["Labels"] = labels
    assert inspection.manager(found) == manager


@pytest.mark.parametrize("name", ["a", "vllm-0", "a.b_c", "9f986fd1092a"])
def test_names(name: str) -> None:
    assert inspection.container_name(name) == name


@pytest.mark.parametrize("name", ["", "-a", "--all", "a b", "a/b", "../a", "a;b", "$(x)", "a\n", ".a", "a" * 256])
def test_what_is_no_name(name: str) -> None:
    with pytest.raises(ValueError, match="not the name of a container"):
        inspection.container_name(name)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
FIELDS = ("Pid", "ExitCode", "OOMKilled", "StartedAt", "FinishedAt", "Error")


@given(json_values)
def test_any_answer_is_read_or_refused(document: Any) -> None:
    with pytest.raises(Unread):
        inspection.parse(json.dumps(document))


@given(
    st.dictionaries(st.sampled_from(FIELDS), json_values),
    st.dictionaries(st.sampled_from(("Id", "Path", "Config", "HostConfig")), json_values),
    st.sampled_from(["running", "exited", "RUNNING", "x"]),
)
def test_odd_fields_make_no_trouble(state: dict[str, Any], more: dict[str, Any], status: str) -> None:
    found = inspection.parse(json.dumps([{**more, "State": {**state, "Status": status}}]))
    pid = inspection.main_pid(found)
    assert pid is None or pid > 0
    end = inspection.last_end(found)
    assert end.clean in (True, False)
    for tell in (
        inspection.state,
        inspection.detail,
        inspection.restart_policy,
        inspection.manager,
        inspection.stop_signal,
    ):
        assert isinstance(tell(found), str)


@pytest.mark.parametrize(
    ("text", "epoch"),
    [
        ("1970-01-01T00:00:01Z", 1.0),
        ("1970-01-01T00:00:01.5Z", 1.5),
        ("1970-01-01T02:00:01.250000000+02:00", 1.25),
        ("0001-01-01T00:00:00Z", None),
        ("2026-13-01T00:00:00Z", None),
        ("yesterday", None),
        ("", None),
        (None, None),
        (7, None),
    ],
)
def test_times(text: object, epoch: float | None) -> None:
    assert clocks.parse_rfc3339(text) == epoch
