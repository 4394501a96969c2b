# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Scenarios of molecule are whole, and are refused where they cannot be played."""

from __future__ import annotations

import fcntl
import sys
from pathlib import Path

import pytest
import yaml

from tests.lab import scenario_hosts
from tests.lab.errors import LabError
from tests.lab.scenario_hosts import Platform, parse_platforms, platforms_of
from tests.support.tooling import molecule
from tests.support.tooling.workplace import CHECKOUT, StepFailedError, Workplace

each_scenario = pytest.mark.parametrize("scenario", molecule.scenarios())


@each_scenario
def test_a_scenario_has_hosts_to_play_on(scenario: str) -> None:
    assert platforms_of(scenario)


@each_scenario
def test_a_scenario_plays_something_and_asks_what_came_of_it(scenario: str) -> None:
    needed = {"verify.yml"} | ({"converge.yml"} if scenario != "default" else {"create.yml", "destroy.yml"})
    assert {name for name in needed if not (molecule.SCENARIOS / scenario / name).exists()} == set()


def test_a_role_that_can_be_taken_away_is_taken_away() -> None:
    """Molecule passes over a play that is not there."""
    roles = [role for role in molecule.scenarios() if (CHECKOUT / "roles" / role).is_dir()]
    gone = [role for role in roles if f"{role}_state" in (CHECKOUT / "roles" / role / "defaults/main.yml").read_text()]
    assert gone
    assert [role for role in gone if not (molecule.SCENARIOS / role / "absent.yml").exists()] == []


def test_without_platforms_of_its_own_a_scenario_is_played_on_both_releases_of_debian() -> None:
    assert platforms_of("alert_rules") == [Platform("debian12", "bookworm"), Platform("debian13", "trixie")]


def test_one_host_of_a_scenario_can_be_named() -> None:
    assert platforms_of("alert_rules", molecule.FAST_PLATFORM) == [Platform("debian12", "bookworm")]
    with pytest.raises(LabError, match="alert_rules has no host node-a; it has: debian12, debian13"):
        platforms_of("alert_rules", "node-a")


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ([], "there must be one host at least"),
        ([{"name": "a", "image": "buster"}], "image of a is 'buster', it must be one of: bookworm, trixie, forky"),
        ([{"name": "a"}], "image of a is None"),
    ],
)
def test_a_platform_that_cannot_be_made_is_refused(given: object, said: str) -> None:
    with pytest.raises(LabError, match=said):
        parse_platforms(given)


def test_hosts_of_the_lab_are_never_those_of_a_scenario(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["scenario_hosts", "down"])
    assert scenario_hosts.main() == 2
    assert "the hosts of the lab are not touched" in capsys.readouterr().out


def test_a_scenario_that_another_process_plays_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(molecule, "CHECKOUT", tmp_path)
    (tmp_path / ".cache").mkdir()
    with (tmp_path / ".cache/molecule-default.lock").open("w+", encoding="utf-8") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        lock.write("4711")
        lock.flush()
        with pytest.raises(StepFailedError, match="process 4711 plays default from this checkout"):
            molecule.play("default", Workplace("here", Path(sys.prefix)))


def test_the_shared_sequence_looks_before_it_changes_and_takes_away_at_the_end() -> None:
    shared = yaml.safe_load((CHECKOUT / ".config/molecule/config.yml").read_text("utf-8"))
    sequence = shared["scenario"]["test_sequence"]
    assert sequence.index("create") < sequence.index("check") < sequence.index("converge")
    assert sequence[-2:] == ["side_effect", "destroy"]
    assert shared["ansible"]["playbooks"]["side_effect"] == "absent.yml"
