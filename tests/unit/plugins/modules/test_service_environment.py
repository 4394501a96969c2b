# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""More environment for a unit: written, told to systemd, looked at and taken back.  Only systemctl is none here."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.autoglm.recovery.plugins.module_utils.host.command import CommandResult
from ansible_collections.autoglm.recovery.plugins.modules import service_environment

Run = Callable[..., dict[str, Any]]
SLOW = {"label": "slow", "environment": {"NCCL_P2P_DISABLE": "1"}}


class Systemctl:
    """Answers ``show`` as systemctl does of a unit that is there, and counts how often it had to read files again."""

    def __init__(self) -> None:
        self.reloads, self.load_state, self.stale, self.refuses = 0, "loaded", "no", False

    def __call__(self, argv: Sequence[str], _timeout: float) -> CommandResult:
        """Answer."""
        if argv[1] == "daemon-reload":
            self.reloads += not self.refuses
            return CommandResult(int(self.refuses), b"", b"Failed to reload daemon: Access denied\n")
        shown = f"LoadState={self.load_state}\nActiveState=active\nMainPID=0\nNeedDaemonReload={self.stale}\n"
        return CommandResult(0, shown.encode(), b"")


@pytest.fixture
def systemctl(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Systemctl:
    one = Systemctl()
    monkeypatch.setattr(service_environment.command, "run", one)
    monkeypatch.setattr(service_environment.drop_in, "DIRECTORY", str(tmp_path / "system"))
    return one


@pytest.fixture
def act(run_module: Run, systemctl: Systemctl) -> Run:  # noqa: ARG001 - it stands for the real one meanwhile
    def run(state: str, check: bool = False, **options: Any) -> dict[str, Any]:
        return run_module(service_environment, check, unit="vllm", name="comm-path", state=state, **options)

    return run


def test_it_stays_until_it_is_taken_back(act: Run, systemctl: Systemctl) -> None:
    asked = [("queried", {}), ("present", SLOW), ("present", SLOW), ("queried", {}), ("absent", {}), ("absent", {})]
    told = [act(state, **options) for state, options in asked]
    assert [one["changed"] for one in told] == [False, True, False, False, True, False]
    assert [one["before"] and one["before"]["label"] for one in told] == [None, None, "slow", "slow", "slow", None]
    assert systemctl.reloads == 2
    assert told[0]["path"].endswith("/vllm.service.d/60-autoglm-comm-path.conf")
    assert not Path(told[0]["path"]).exists()


def test_check_mode_tells_and_changes_nothing(act: Run, systemctl: Systemctl) -> None:
    told = act("present", check=True, **SLOW)
    assert told["changed"]
    assert 'Environment="NCCL_P2P_DISABLE=1"' in told["diff"]["after"]
    assert not Path(told["path"]).exists()
    assert systemctl.reloads == 0


def test_a_run_that_was_killed_before_systemd_was_told_is_brought_to_its_end(act: Run, systemctl: Systemctl) -> None:
    act("present", **SLOW)
    systemctl.stale, systemctl.reloads = "yes", 0
    assert act("queried")["changed"] is False
    assert systemctl.reloads == 0
    assert act("present", **SLOW)["changed"] is True
    assert systemctl.reloads == 1


def test_systemd_that_does_not_read_it_is_a_failure(act: Run, systemctl: Systemctl) -> None:
    systemctl.refuses = True
    told = act("present", **SLOW)
    assert told["failed"]
    assert "systemd did not read the drop-in" in told["msg"]


def test_a_unit_that_is_not_there_gets_none(act: Run, systemctl: Systemctl) -> None:
    systemctl.load_state = "not-found"
    told = act("present", **SLOW)
    assert told["failed"]
    assert "vllm.service is not there (not-found)" in told["msg"]


def test_what_somebody_has_edited_is_left_as_it_is(act: Run) -> None:
    path = Path(act("present", **SLOW)["path"])
    path.write_text(edited := path.read_text() + "LimitNOFILE=1\n")
    for state, options in (("present", SLOW), ("absent", {}), ("queried", {})):
        told = act(state, **options)
        assert told["failed"]
        assert "somebody has edited it" in told["msg"]
    assert path.read_text() == edited


def test_a_secret_is_told_nowhere(act: Run) -> None:
    secret = {"label": "slow", "environment": {"FABRIC_TOKEN": "s3cr3t"}}
    told = [act("present", **secret), act("present", **SLOW)]
    assert "s3cr3t" not in str(told)


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ({}, "label, environment"),
        ({"label": "slow", "environment": {}}, "environment is empty"),
        ({"label": "a/b", "environment": {"A": "1"}}, "label must be"),
        ({"label": "slow", "environment": {"A B": "1"}}, "no name of an environment variable"),
    ],
)
def test_nonsense_is_refused(act: Run, options: dict[str, Any], why: str) -> None:
    told = act("present", **options)
    assert told["failed"]
    assert why in told["msg"]
