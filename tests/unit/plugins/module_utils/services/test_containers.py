# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a container is when its runtime hangs, complains or talks nonsense. Real ones: tests/integration/services."""

from __future__ import annotations

import pytest
from ansible_collections.autoglm.recovery.plugins.module_utils.host import command
from ansible_collections.autoglm.recovery.plugins.module_utils.host.command import CommandResult, run
from ansible_collections.autoglm.recovery.plugins.module_utils.host.unread import Unread
from ansible_collections.autoglm.recovery.plugins.module_utils.services.containers import Container
from ansible_collections.autoglm.recovery.plugins.module_utils.services.protocol import ServiceError


def container(outcome: CommandResult) -> Container:
    return Container("ab", "docker", 1.0, lambda _argv, _timeout: outcome)


@pytest.mark.parametrize(
    ("outcome", "reason"),
    [
        (CommandResult(None, b"", b"", "docker did not end within 1 s"), "did not end within"),
        (CommandResult(None, b"", b"", "docker cannot be run: No such file or directory"), "cannot be run"),
        (CommandResult(1, b"[]", b"Cannot connect to the Docker daemon at unix:///x"), "Cannot connect"),
        (CommandResult(126, b"", b"permission denied"), "permission denied"),
        (CommandResult(0, b"rubbish", b""), "no JSON"),
        (CommandResult(0, b"[]", b""), "no list of one"),
        (CommandResult(0, b'[{"State": {"Status": "hibernating"}}]', b""), "not known here"),
        (CommandResult(0, b'[{"State": {"Status": "running", "Pid": "x"}}]', b""), "tells no process"),
    ],
)
def test_what_cannot_be_read_is_unknown_and_not_touched(outcome: CommandResult, reason: str) -> None:
    status = container(outcome).status()
    assert (status.readable, status.state, status.process_gone) == (False, "unknown", False)
    assert reason in status.reason


def test_no_such_container_is_known_to_be_absent() -> None:
    one = container(CommandResult(1, b"[]", b"Error: No such container: ab"))
    assert (one.status().readable, one.status().state) == (True, "absent")
    with pytest.raises(ServiceError, match="knows no container"):
        one.start()


def test_a_runtime_that_hangs_costs_its_deadline() -> None:
    status = Container("ab", "podman", 0.2, lambda _argv, timeout: run(["sleep", "1000"], timeout)).status()
    assert "did not end within 0.2 s" in status.reason


@pytest.mark.parametrize(
    "outcome", [CommandResult(0, b"", b""), CommandResult(1, b"", b"configured logging driver does not support")]
)
def test_a_log_that_is_not_there_is_said(outcome: CommandResult) -> None:
    with pytest.raises(Unread, match=r"log"):
        container(outcome).logs(10)


def test_an_unknown_runtime_is_refused() -> None:
    with pytest.raises(ValueError, match="not a container runtime"):
        Container("ab", "lxc", 1.0)


def test_of_a_log_with_a_line_of_any_length_the_end_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(command, "MOST_BYTES", 2**23)
    long = ["sh", "-c", "head -c 16777216 /dev/zero; echo; echo 2026-11-28T17:00:00Z its last words"]
    one = Container("ab", "docker", 60.0, lambda _argv, timeout: run(long, timeout))
    assert one.logs(10).text == "2026-11-28T17:00:00Z its last words\n"
    failed = Container("ab", "docker", 60.0, lambda _argv, timeout: run([*long[:2], f"{long[2]}; exit 3"], timeout))
    with pytest.raises(Unread, match="said more than"):
        failed.logs(10)
