# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is made of systemd's answers. What systemd makes of ours is proven on real units, in the lab."""

from __future__ import annotations

from pathlib import Path

import pytest
from ansible_collections.autoglm.recovery.plugins.module_utils.host.command import CommandResult
from ansible_collections.autoglm.recovery.plugins.module_utils.services.protocol import ServiceError
from ansible_collections.autoglm.recovery.plugins.module_utils.services.systemd import Unit


def unit(text: str, proc: Path = Path("/nowhere")) -> Unit:
    return Unit("a", 1.0, lambda _argv, _timeout: CommandResult(0, text.encode(), b""), proc)


@pytest.mark.parametrize(
    ("text", "state", "gone"),
    [
        ("ActiveState=active\nMainPID=7\nJob=0\n", "running", False),
        ("ActiveState=active\nMainPID=0\n", "running", False),  # systemd does not know its main process
        ("ActiveState=reloading\nMainPID=7\n", "running", False),
        ("ActiveState=activating\nMainPID=7\n", "starting", False),
        ("ActiveState=activating\nSubState=auto-restart\nMainPID=0\n", "starting", True),
        ("ActiveState=deactivating\nMainPID=7\n", "stopping", False),
        ("ActiveState=inactive\nMainPID=0\n", "stopped", True),
        ("ActiveState=failed\nMainPID=0\n", "failed", True),
        ("ActiveState=failed\nMainPID=0\nJob=93\n", "starting", True),  # it was told to start, and has not begun
        ("LoadState=not-found\nActiveState=inactive\nMainPID=0\n", "absent", True),
        ("LoadState=masked\nActiveState=inactive\nMainPID=0\n", "stopped", True),
    ],
)
def test_states(text: str, state: str, gone: bool) -> None:
    status = unit(text).status()
    assert (status.readable, status.state, status.process_gone) == (True, state, gone)


@pytest.mark.parametrize("text", ["", "MainPID=7\n", "ActiveState=hibernating\nMainPID=7\n"])
def test_what_is_not_understood_is_unknown(text: str) -> None:
    status = unit(text).status()
    assert (status.readable, status.state, status.process_gone) == (False, "unknown", False)
    assert status.reason


def test_who_starts_it_again_is_said() -> None:
    told = "ActiveState=active\nMainPID=7\nRestart={}\nControlGroup=/system.slice/a.service\n"
    assert unit(told.format("on-failure")).status().restarts_itself == "systemd, Restart=on-failure"
    assert unit(told.format("no")).status().restarts_itself == ""
    assert unit(told.format("no")).status().cgroup == "/system.slice/a.service"
    assert unit(told.format("no")).ownership().unit_group == "/system.slice/a.service"


@pytest.mark.parametrize(
    "outcome",
    [
        CommandResult(5, b"", b"Failed to start a.service: Unit a.service not found."),
        CommandResult(1, b"", b"Interactive authentication required."),
        CommandResult(None, b"", b"", "systemctl did not end within 1 s"),
        CommandResult(None, b"", b"", "systemctl cannot be run: No such file or directory"),
    ],
)
def test_what_systemctl_says_is_passed_on(outcome: CommandResult) -> None:
    one = Unit("a", 1.0, lambda _argv, _timeout: outcome)
    words = (outcome.problem or outcome.stderr.decode()).rstrip(".")
    for act in (one.start, lambda: one.ask_to_stop(one.status())):
        with pytest.raises(ServiceError) as error:
            act()
        assert words in str(error.value)


@pytest.mark.parametrize(("children", "main"), [("8 ", 8), ("", 7), ("8 9 ", 7)])
def test_the_main_process_of_a_container_is_the_one_behind_its_monitor(
    children: str, main: int, tmp_path: Path
) -> None:
    for pid, name, state in ((7, "conmon", "S"), (8, "llama-server", "T")):
        (tmp_path / f"{pid}/task/{pid}").mkdir(parents=True)
        (tmp_path / f"{pid}/comm").write_text(f"{name}\n")
        (tmp_path / f"{pid}/stat").write_text(f"{pid} ({name}) {state} 1\n")
    (tmp_path / "7/task/7/children").write_text(children)
    status = unit("ActiveState=active\nMainPID=7\n", tmp_path).status()
    assert (status.main_pid, status.process_state) == (main, "T" if main == 8 else "S")


def test_the_child_of_anything_else_is_not_taken_for_it(tmp_path: Path) -> None:
    (tmp_path / "7/task/7").mkdir(parents=True)
    (tmp_path / "7/comm").write_text("llama-server\n")
    (tmp_path / "7/task/7/children").write_text("8 ")
    assert unit("ActiveState=active\nMainPID=7\n", tmp_path).status().main_pid == 7
