# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The role alert_rules gives a real Prometheus the rules of the policy, and takes back what that does not take."""

from __future__ import annotations

import getpass
import grp
import os
from pathlib import Path
from typing import Any

import pytest

from autoglm_recovery.policy import Policy, parse_policy
from autoglm_recovery.rules.render import render_receiver_rules, render_rules
from tests.support.tooling.prometheus_tools import tool

from .running import PROGRAMS, Played, Server, play, prometheus

POLICY = "monitoring: {interval: 5s}\n"
CONFIGURATION = "rule_files: ['{rules}/*.rules.yml']\n"


class Site:
    """A Prometheus, the folder of its rules, and the variables of the role."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.rules = directory / "rules"
        self.server: Server = prometheus(directory, CONFIGURATION.format(rules=self.rules))

    def play(self, *options: str, **variables: Any) -> Played:
        """Play the role."""
        mine = {
            "alert_rules_autoglm": str(PROGRAMS / "autoglm"),
            "alert_rules_promtool": tool("promtool"),
            "alert_rules_directory": str(self.rules),
            "alert_rules_owner": getpass.getuser(),
            "alert_rules_group": grp.getgrgid(os.getegid()).gr_name,
            "alert_rules_reload": "http",
            "alert_rules_url": self.server.url,
        }
        return play(
            self.directory,
            "alert_rules",
            mine | {f"alert_rules_{name}": what for name, what in variables.items()},
            *options,
        )

    def policy(self, text: str) -> str:
        """Write a policy, and return its path."""
        path = self.directory / "auto-recovery.yaml"
        path.write_text(text)
        return str(path)

    def files(self) -> dict[str, str]:
        """Return what the rules' files hold, without backups."""
        return {path.name: path.read_text() for path in self.rules.glob("*.yml")}

    def loaded(self) -> dict[str, float]:
        """Return the groups that Prometheus has, each with its interval."""
        answer = self.server.get("/api/v1/rules")
        assert answer is not None
        return {group["name"]: group["interval"] for group in answer.json()["data"]["groups"]}


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path)


def rendered(policy: Policy) -> dict[str, str]:
    return {"autoglm.rules.yml": render_rules(policy), "receiver.rules.yml": render_receiver_rules(policy)}


@pytest.mark.thorough
def test_rules_come_change_are_kept_and_go(site: Site) -> None:
    # As on a host on which the same playbook would install Prometheus before.
    site.play("--check", promtool="/nowhere/promtool").went_well(changed=True)
    assert not site.rules.exists()
    with site.server:
        site.play().went_well(changed=True)
        assert site.files() == rendered(Policy())
        assert set(site.loaded()) >= {"autoglm-receiver", "autoglm-presence"}
        site.play().went_well(changed=False)

        policy = site.policy(POLICY)
        # A signal instead, whose end is read out of Prometheus' metrics.
        assert site.server.process is not None
        signal = {"reload": "command", "reload_command": ["kill", "-HUP", str(site.server.process.pid)]}
        changing = site.play("--diff", policy=policy, **signal)
        changing.went_well(changed=True)
        assert "-    interval: 2s" in changing.said
        assert "+    interval: 5s" in changing.said
        assert site.files() == rendered(parse_policy(POLICY))
        assert set(site.loaded().values()) == {5}
        (old,) = site.rules.glob("autoglm.rules.yml.*~")
        assert old.read_text() == render_rules(Policy())

        # Somebody else breaks Prometheus' own configuration: it takes nothing then, and goes on with what it has.
        whole = site.server.configuration.read_text()
        site.server.configuration.write_text(whole + "scrape_configs: none\n")
        site.play(**signal).refused("The old rules are in place again: Prometheus has refused its configuration")
        assert site.files() == rendered(parse_policy(POLICY))
        assert set(site.loaded().values()) == {5}
        site.server.configuration.write_text(whole)

        # The last configuration was refused, as Prometheus says until it takes one.
        site.play(state="absent", **signal).went_well(changed=True)
        assert site.files() == {}
        assert site.loaded() == {}


def test_what_a_run_that_died_has_written_or_removed_is_read_by_the_next_one(site: Site) -> None:
    with site.server:
        # As it is when a run dies before it tells Prometheus: with the old rules' groups loaded, by the same names.
        site.play().went_well(changed=True)
        policy = site.policy(POLICY)
        site.play(policy=policy, reload="none").went_well(changed=True)
        assert set(site.loaded().values()) != {5}
        site.play(policy=policy).went_well(changed=True)
        assert set(site.loaded().values()) == {5}
        site.play(policy=policy).went_well(changed=False)

        for rules in site.rules.glob("*.rules.yml"):
            rules.unlink()
        site.play(state="absent").went_well(changed=True)
        assert site.loaded() == {}
        site.play(state="absent").went_well(changed=False)


def test_what_promtool_does_not_take_is_not_left_there(site: Site) -> None:
    liar = site.directory / "promtool"
    liar.write_text('#!/bin/sh\n[ "$1" = --version ] || { echo "this is no rule" >&2; exit 1; }\n')
    liar.chmod(0o755)
    site.rules.mkdir()
    (site.rules / "autoglm.rules.yml").write_text("groups: []\n")
    playing = site.play(promtool=str(liar), reload="none")
    playing.refused("The old rules are in place again: failed to validate", "this is no rule")
    assert site.files() == {"autoglm.rules.yml": "groups: []\n"}


def test_rules_that_prometheus_does_not_load_are_not_left_there(site: Site) -> None:
    # Another file's name: rules that are valid, and of which nobody would ever hear an alert.
    site.server.configuration.write_text(f"rule_files: ['{site.rules}/others.yml']\n")
    with site.server:
        site.play().refused("has not loaded autoglm.rules.yml", f"{site.rules}/*.rules.yml")
    assert site.files() == {}


def test_what_is_missing_is_said_before_anything_is_changed(site: Site) -> None:
    missing = site.play(autoglm="/nowhere/autoglm")
    missing.refused("nothing was changed", "/nowhere/autoglm renders no rules", "pip install autoglm-recovery")
    site.play(policy="/nowhere/policy.yaml").refused("nothing was changed", "renders no rules: /nowhere/policy.yaml")
    assert not site.rules.exists()
