# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The module clean_leftovers: what it refuses, and that it cleans nothing that runs."""

from __future__ import annotations

from pathlib import Path

import pytest
from ansible_collections.autoglm.recovery.plugins.module_utils.evidence.command import Outcome
from ansible_collections.autoglm.recovery.plugins.module_utils.services.systemd import Unit
from ansible_collections.autoglm.recovery.plugins.modules import clean_leftovers


@pytest.fixture
def systemd(monkeypatch: pytest.MonkeyPatch):
    """Stand in for systemd, which the machine of the tests may not have; the commands that were run."""
    commands: list[list[str]] = []

    def pretend(state: str) -> list[list[str]]:
        def run(argv, _timeout):
            commands.append(list(argv))
            return Outcome(0, f"ActiveState={state}\nSlice=system.slice\n".encode(), b"")

        monkeypatch.setattr(clean_leftovers.registry, "Unit", lambda name, timeout: Unit(name, timeout, run))
        return commands

    return pretend


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
