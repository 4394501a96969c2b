# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the module says and refuses, and what a schedule puts in place."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.autoglm.recovery.plugins.module_utils.checkpoints import timer, timer_install
from ansible_collections.autoglm.recovery.plugins.module_utils.host.command import CommandResult
from ansible_collections.autoglm.recovery.plugins.modules import checkpoint_model

from tests.support.checkpoints import builders

Run = Callable[..., dict[str, Any]]
ID = "20261124T204700.123456Z-0123abcd"


@pytest.fixture
def run(run_module: Run, tmp_path: Path) -> Run:
    def call(**arguments: Any) -> dict[str, Any]:
        usual = {"name": "m", "store": str(tmp_path / "store"), "min_free": 0}
        return run_module(checkpoint_model, **{**usual, **arguments})

    return call


@pytest.fixture
def source(tmp_path: Path) -> str:
    return str(builders.safetensors_file(tmp_path / "m.safetensors"))


def test_a_save_is_a_change_once(run: Run, source: str) -> None:
    first = run(source=source, incident="inc-42 {{ lookup('pipe', 'id') }}")
    assert first["changed"]
    assert first["diff"]["after"] == f"{first['checkpoint']['path']}\n"
    manifest = json.loads((Path(first["checkpoint"]["path"]) / "manifest.json").read_text())
    assert manifest["incident"] == "inc-42 {{ lookup('pipe', 'id') }}"
    again = run(source=source)
    assert (again["changed"], again["checkpoint"]["id"]) == (False, first["checkpoint"]["id"])
    assert run(source=source, force=True)["changed"]
    builders.safetensors_file(Path(source), fill=3.0)
    assert run(source=source)["changed"]
    assert "skipped" not in first  # a key by which Ansible would take the task for one that did not run


def test_check_mode_writes_nothing(run: Run, source: str, tmp_path: Path) -> None:
    assert run(check=True, source=source)["changed"]
    assert not (tmp_path / "store").exists()
    run(source=source)
    assert not run(check=True, source=source)["changed"]
    assert run(check=True, state="restored", dest=str(tmp_path / "back"))["changed"]
    assert not (tmp_path / "back").exists()
    assert run(check=True, command=["false"])["changed"]


def test_retention_comes_with_the_save(run: Run, source: str) -> None:
    first = run(source=source)["checkpoint"]["id"]
    assert run(source=source, force=True, keep=1)["removed"] == [first]


def test_one_checkpoint_is_removed_by_its_id(run: Run, source: str) -> None:
    made = run(source=source)["checkpoint"]["id"]
    assert run(state="absent", id=made, check=True)["changed"]
    assert run(state="absent", id=made)["removed"] == [made]
    assert not run(state="absent", id=made)["changed"]


def test_the_verdict_has_three_values(run: Run, source: str, tmp_path: Path) -> None:
    assert run(state="verified")["verdict"] == "unhealthy"
    made = run(source=source)["checkpoint"]
    found = run(state="verified")
    assert (found["verdict"], found["checkpoint"]["id"], found["changed"]) == ("healthy", made["id"], False)
    (Path(made["path"]) / "files/m.safetensors").write_bytes(b"")
    found = run(state="verified")
    assert (found["verdict"], found["checkpoint"]) == ("unhealthy", None)
    (tmp_path / "file").write_text("")
    assert run(state="verified", store=str(tmp_path / "file"))["verdict"] == "unknown"


def test_a_restore_says_what_it_passed_over(run: Run, source: str, tmp_path: Path) -> None:
    run(source=source, signing_key="key")
    torn = run(source=source, signing_key="key", force=True)["checkpoint"]
    (Path(torn["path"]) / "files/m.safetensors").write_bytes(b"")
    back = run(state="restored", dest=str(tmp_path / "back"), signing_key="key")
    assert [each["id"] for each in back["passed_over"]] == [torn["id"]]
    assert not run(state="restored", dest=str(tmp_path / "back"), signing_key="key")["changed"]


def test_an_engine_that_is_only_named_is_left_alone(run: Run, source: str, tmp_path: Path) -> None:
    """As by module_defaults for all modules that take an engine: here it is the directory that asks for its state."""
    named = {"engine": "llama_cpp", "url": "http://127.0.0.1:1"}
    assert run(source=source, **named)["checkpoint"]["format"] == "safetensors"
    assert run(state="restored", dest=str(tmp_path / "back"), **named)["changed"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({}, "give one of source, command and engine_state_dir"),
        ({"source": "/x", "command": ["y"]}, "give one of source, command and engine_state_dir"),
        ({"source": "/no/such/place"}, "No such file"),
        ({"source": "/dev/null"}, "neither a file nor a directory"),
        ({"source": "/x", "name": "../x"}, "must begin with"),
        ({"source": "/x", "pattern": "../*"}, "not a plain path"),
        ({"command": ["x"], "pattern": "*"}, "pattern needs source"),
        ({"source": "/x", "signal": {}}, "one of pid_file and unit"),
        ({"source": "/x", "format": "files", "signal": {"unit": "x"}}, "shows when it is finished"),
        ({"source": "/x", "keep": 0}, "keep must be 1 or more"),
        ({"source": "/x", "timeout": 0}, "timeout must be more than 0"),
        ({"source": "/x", "store": "relative"}, "must be an absolute path"),
        ({"source": "/x", "storage_options": {"key": "x"}}, "a directory has none"),
        ({"source": "/x", "store": "nosuchprotocol://x"}, "nosuchprotocol"),
        ({"engine": "llama_cpp"}, "give one of source, command and engine_state_dir"),
        ({"engine_state_dir": "/x", "engine": "llama_cpp"}, "engine_state_dir needs engine and url"),
        ({"engine_state_dir": "/x", "url": "http://127.0.0.1:1"}, "engine_state_dir needs engine and url"),
        ({"state": "restored"}, "give one of dest and engine_state_dir"),
        ({"state": "restored", "dest": "/tmp/x/y", "id": "../../etc"}, "is no id of a checkpoint"),
        ({"state": "absent"}, "id"),
        ({"state": "scheduled", "source": "/x"}, "schedule"),
    ],
)
def test_nonsense_is_refused_with_a_reason(run: Run, arguments: dict[str, Any], said: str) -> None:
    result = run(**arguments)
    assert result["failed"]
    assert said in result["msg"]


class FakeSystemctl:
    """Stands in for systemctl, which this machine may not have: what was asked, and what is enabled and runs.

    Which orders are refused is systemctl's of systemd 252: one for a unit of which there is no file (to enable and to
    disable), or that is not loaded (to start and to stop).  A real one is asked in
    tests/integration/checkpoints/test_systemd.py.  See tests/FAKES.md.
    """

    def __init__(self, units: Path) -> None:
        self.asked: list[str] = []
        self.enabled: set[str] = set()
        self.active: set[str] = set()
        self._units = units

    def __call__(self, argv: Sequence[str], _timeout: float) -> CommandResult:
        verb, unit, there = argv[1], argv[-1], (self._units / argv[-1]).exists()
        self.asked.append(" ".join(argv[1:]))
        if verb in ("is-enabled", "is-active"):
            return CommandResult(0 if unit in (self.enabled if verb == "is-enabled" else self.active) else 3, b"", b"")
        if verb in ("enable", "disable") and not there:
            return CommandResult(1, b"", f"Failed to {verb} unit: Unit file {unit} does not exist.\n".encode())
        if verb in ("restart", "stop") and not there and unit not in self.active:
            return CommandResult(5, b"", f"Failed to {verb} {unit}: Unit {unit} not loaded.\n".encode())
        if verb == "reset-failed":
            return CommandResult(
                1, b"", f"Failed to reset failed state of unit {unit}: Unit {unit} not loaded.\n".encode()
            )
        if verb in ("enable", "disable"):
            (self.enabled.add if verb == "enable" else self.enabled.discard)(unit)
        if verb in ("restart", "stop") or "--now" in argv:
            (self.active.add if verb == "restart" else self.active.discard)(unit)
        return CommandResult(0, b"", b"")


WANTED = {"state": "scheduled", "signing_key": "a-secret-key", "schedule": {"interval": "30min"}}


class TestSchedule:
    @pytest.fixture(autouse=True)
    def places(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> FakeSystemctl:
        systemd = FakeSystemctl(tmp_path / "units")
        for name, where in (("PROGRAM", "lib/checkpoint.pyz"), ("PARAMETERS", "etc"), ("UNITS", "units")):
            monkeypatch.setattr(timer, name, str(tmp_path / where))
        monkeypatch.setattr(timer_install, "run", systemd)
        monkeypatch.setattr(timer_install, "check_calendar", lambda _calendar: None)
        return systemd

    def test_it_is_put_in_place_once(self, run: Run, source: str, places: FakeSystemctl, tmp_path: Path) -> None:
        first = run(source=source, **WANTED)
        assert first["changed"]
        assert "a-secret-key" not in json.dumps(first)
        modes = {"etc": 0o700, "etc/m.json": 0o600, "lib": 0o755, "lib/checkpoint.pyz": 0o755}
        assert {name: (tmp_path / name).stat().st_mode & 0o777 for name in modes} == modes
        assert json.loads((tmp_path / "etc/m.json").read_text())["signing_key"] == "a-secret-key"
        assert "a-secret-key" not in (tmp_path / "units/autoglm-checkpoint-m.service").read_text()
        assert "restart autoglm-checkpoint-m.timer" in places.asked
        assert not run(source=source, **WANTED)["changed"]
        (tmp_path / "units/autoglm-checkpoint-m.timer").write_text("changed by hand")
        assert run(source=source, **WANTED)["changed"]

    def test_a_key_is_written_down_only_for_an_engine_that_is_asked(
        self, run: Run, source: str, tmp_path: Path
    ) -> None:
        engine = {"engine": "llama_cpp", "url": "http://127.0.0.1:1", "api_key": "key-of-the-engine"}
        run(source=source, **engine, **WANTED)
        assert "key-of-the-engine" not in (tmp_path / "etc/m.json").read_text()
        run(engine_state_dir=str(tmp_path), **engine, **WANTED)
        assert json.loads((tmp_path / "etc/m.json").read_text())["api_key"] == "key-of-the-engine"

    def test_check_mode_shows_what_would_be(self, run: Run, source: str, places: FakeSystemctl, tmp_path: Path) -> None:
        would = run(check=True, source=source, **WANTED)
        assert would["changed"]
        assert "OnUnitInactiveSec=30min" in would["diff"]["after"]
        assert not (tmp_path / "units").exists()
        assert not any(word.startswith(("enable", "daemon", "restart")) for word in places.asked)

    def test_it_is_taken_away(self, run: Run, source: str, places: FakeSystemctl, tmp_path: Path) -> None:
        run(source=source, **WANTED)
        assert run(state="unscheduled", store=None)["changed"]
        assert "disable --now autoglm-checkpoint-m.timer" in places.asked
        assert list((tmp_path / "units").iterdir()) == list((tmp_path / "etc").iterdir()) == []
        assert not run(state="unscheduled", store=None)["changed"]

    @pytest.mark.parametrize("lost", ["autoglm-checkpoint-m.timer", "autoglm-checkpoint-m.service"])
    def test_it_is_taken_away_where_a_part_is_gone_already(
        self, run: Run, source: str, places: FakeSystemctl, tmp_path: Path, lost: str
    ) -> None:
        run(source=source, **WANTED)
        (tmp_path / "units" / lost).unlink()
        result = run(state="unscheduled", store=None)
        assert result.get("changed"), result
        assert list((tmp_path / "units").iterdir()) == list((tmp_path / "etc").iterdir()) == []
        assert places.active == set()

    @pytest.mark.parametrize(
        "schedule",
        [
            {},
            {"interval": "30min", "calendar": "daily"},
            {"interval": "soon"},
            {"calendar": "daily\nExecStart=/bin/sh"},
            {"interval": "1h", "randomized_delay": "1s\n[Service]"},
            {"interval": "1h", "timeout": 10},
            {"interval": "1h", "read_write_paths": ['/x"\nExecStart=/bin/sh']},
        ],
    )
    def test_nonsense_is_refused(self, run: Run, source: str, schedule: dict[str, Any], tmp_path: Path) -> None:
        result = run(source=source, **{**WANTED, "schedule": schedule})
        assert result["failed"]
        assert not (tmp_path / "units").exists()
