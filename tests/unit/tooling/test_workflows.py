# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The forge runs what a person runs: each workflow calls targets and steps that are there, and may read, or publish."""

from __future__ import annotations

import re
from collections.abc import Iterator
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support.tooling.__main__ import SANITY_OF_CORES, steps_for
from tests.support.tooling.report import Report
from tests.support.tooling.site.build import SITE

CHECKOUT = Path(__file__).parents[3]
WORKFLOWS = {
    path.stem: yaml.safe_load(path.read_text("utf-8")) for path in (CHECKOUT / ".github/workflows").glob("*.yml")
}
TARGETS = set(re.findall(r"^([a-z-]+):", (CHECKOUT / "Makefile").read_text("utf-8"), re.MULTILINE))
TARGETS |= set(re.findall(r"^lint .*(?=:)", (CHECKOUT / "Makefile").read_text("utf-8"), re.MULTILINE)[0].split())


def steps(workflow: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Return the steps of all jobs."""
    for job in workflow["jobs"].values():
        yield from job["steps"]


def test_each_of_these_has_a_workflow() -> None:
    assert set(WORKFLOWS) == {"quick", "sanity", "integration", "lab", "molecule", "site"}


@pytest.mark.parametrize("name", WORKFLOWS)
def test_each_target_of_make_and_each_step_is_there(name: str) -> None:
    commands = "\n".join(step.get("run", "") for step in steps(WORKFLOWS[name]))
    targets = set(re.findall(r"^make (\S+)$", commands, re.MULTILINE))
    assert targets
    assert targets <= TARGETS
    if "tests.support.tooling" in commands:
        (job,) = WORKFLOWS[name]["jobs"].values()
        assert {each["step"] for each in job["strategy"]["matrix"]["include"]} <= set(steps_for(Report()))


def test_sanity_has_a_job_for_each_supported_core() -> None:
    (job,) = WORKFLOWS["sanity"]["jobs"].values()
    cores = {each["step"] for each in job["strategy"]["matrix"]["include"]}
    assert cores == {"sanity", "sanity-newest", *SANITY_OF_CORES}


@pytest.mark.parametrize("name", WORKFLOWS)
def test_a_workflow_may_only_read_and_pins_what_it_uses(name: str) -> None:
    assert WORKFLOWS[name]["permissions"] == {"contents": "read"}
    more = {job: found["permissions"] for job, found in WORKFLOWS[name]["jobs"].items() if "permissions" in found}
    assert more == ({"publish": {"pages": "write", "id-token": "write"}} if name == "site" else {})
    used = [step["uses"] for step in steps(WORKFLOWS[name]) if "uses" in step]
    assert all(re.fullmatch(r"actions/[\w-]+@v\d+", each) for each in used)


def test_molecule_has_the_history_out_of_which_a_scenario_installs_a_release() -> None:
    played = [path.read_text("utf-8") for path in (CHECKOUT / "molecule").glob("*/*.yml")]
    assert any(re.search(r"git .* archive ", text) for text in played), "else a checkout of one commit would do"
    (checkout,) = (step for step in steps(WORKFLOWS["molecule"]) if "actions/checkout@" in step.get("uses", ""))
    assert checkout["with"]["fetch-depth"] == 0


def test_what_may_publish_runs_nothing_of_the_repository_and_only_of_main() -> None:
    assert WORKFLOWS["site"]["on"] == {"push": {"branches": ["main"]}, "workflow_dispatch": None}
    assert WORKFLOWS["site"]["jobs"]["publish"]["if"] == "github.ref == 'refs/heads/main'"
    (step,) = WORKFLOWS["site"]["jobs"]["publish"]["steps"]
    assert step["uses"].startswith("actions/deploy-pages@")
    *_, uploaded = WORKFLOWS["site"]["jobs"]["build"]["steps"]
    assert uploaded["with"]["path"] == str(SITE.relative_to(CHECKOUT))


def test_workflows_do_not_ship() -> None:
    ignored = yaml.safe_load((CHECKOUT / "galaxy.yml").read_text("utf-8"))["build_ignore"]
    assert any(fnmatch(".github", pattern) for pattern in ignored)
