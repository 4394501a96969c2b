# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The module clean_leftovers: what it refuses, and that it cleans nothing that runs."""

from __future__ import annotations

from pathlib import Path

import pytest
from ansible_collections.autoglm.recovery.plugins.module_utils.host.command import CommandResult
from ansible_collections.autoglm.recovery.plugins.module_utils.services.systemd import Unit
from ansible_collections.autoglm.recovery.plugins.modules import clean_leftovers


class FakeSystemctl:
    """Stands in for systemctl, which the machine of the tests may not have: one unit, and the commands that were run.

    The form of ``show`` and what ``reset-failed`` does are described in systemctl(1) of systemd 252.  Real units are in
    tests/lab and tests/integration/targets/clean_leftovers.  See tests/FAKES.md.
    """

    def __init__(self, state: str) -> None:
        self.state = state
        self.commands: list[list[str]] = []

    def __call__(self, argv, _timeout):
        self.commands.append(list(argv))
        if argv[1] == "show":
            loaded = f"LoadState=loaded\nActiveState={self.state}\nSubState=dead\nMainPID=0\nControlGroup=\n"
            return CommandResult(0, f"Id=autoglm-none.service\n{loaded}Slice=system.slice\n".encode(), b"")
        if argv[1] == "reset-failed":
            if self.state == "failed":
                self.state = "inactive"
                return CommandResult(0, b"", b"")
            said = "Failed to reset failed state of unit autoglm-none.service: Unit autoglm-none.service not loaded.\n"
            return CommandResult(1, b"", said.encode())
        return CommandResult(1, b"", f"Unknown command verb '{argv[1]}'.\n".encode())


@pytest.fixture
def systemd(monkeypatch: pytest.MonkeyPatch):
    """Have the module ask a fake; gives the commands that were run."""

    def unit_is(state: str) -> list[list[str]]:
        fake = FakeSystemctl(state)
        monkeypatch.setattr(clean_leftovers.registry, "Unit", lambda name, timeout: Unit(name, timeout, fake))
        return fake.commands

    return unit_is


def test_a_cache_is_emptied_and_failures_are_forgotten(run_module, systemd, tmp_path: Path) -> None:
    commands = systemd("failed")
    (tmp_path / "cache").mkdir()
    (tmp_path / "cache" / "x").write_text("123")
    result = run_module(clean_leftovers, unit="autoglm-none.service", cache_paths=[str(tmp_path / "cache")])
    assert result["changed"]
    assert result["removed"] == [str(tmp_path / "cache" / "x")]
    assert result["killed"] == []
    assert ["systemctl", "reset-failed", "--", "autoglm-none.service"] in commands
    again = run_module(clean_leftovers, unit="autoglm-none.service", cache_paths=[str(tmp_path / "cache")])
    assert not again["changed"]


def test_check_mode_changes_nothing(run_module, systemd, tmp_path: Path) -> None:
    commands = systemd("active")
    (tmp_path / "cache").mkdir()
    (tmp_path / "cache" / "x").write_text("123")
    result = run_module(clean_leftovers, True, unit="autoglm-none.service", cache_paths=[str(tmp_path / "cache")])
    assert result["changed"]
    assert (tmp_path / "cache" / "x").exists()
    assert {command[1] for command in commands} == {"show"}


@pytest.mark.parametrize("state", ["active", "activating", "reloading", "deactivating"])
def test_what_runs_is_not_touched(run_module, systemd, tmp_path: Path, state: str) -> None:
    systemd(state)
    (tmp_path / "x").write_text("123")
    result = run_module(clean_leftovers, unit="autoglm-none.service", cache_paths=[str(tmp_path)])
    assert result["failed"]
    assert (tmp_path / "x").exists()


@pytest.mark.parametrize(("unit", "paths"), [("a", ["/"]), ("a", ["/var/lib"]), ("-a", []), ("a", ["/x/../etc"])])
def test_what_is_refused(run_module, systemd, unit: str, paths: list[str]) -> None:
    commands = systemd("failed")
    assert run_module(clean_leftovers, unit=unit, cache_paths=paths)["failed"]
    assert commands == []
