# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A server is not left down because its evidence cannot be saved, unless somebody wants it so; and incidents of two
installations have evidence of their own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.support.servers.asked import INCIDENT

from .fleet import Fleet, told

TARGET = {"host": "p1", "service": "llama"}


def asked(**incident: Any) -> dict[str, Any]:
    """What the receiver gives."""
    return {"autoglm_incident": {**INCIDENT, **incident}, "autoglm_target": TARGET}


@pytest.fixture
def unwritable(fleet: Fleet) -> Fleet:
    """A host whose evidence directory is no directory."""
    fleet.add("p1")
    (fleet.directory / "evidence").write_text("a file where the directory should be")
    return fleet


@pytest.mark.parametrize(
    ("extra", "inventory"),
    [
        (asked(), {}),  # an older receiver
        ({"target": "p1", "autoglm_require_evidence": False}, {"autoglm_evidence": ""}),
        (asked(evidence="required"), {"autoglm_evidence": "best_effort"}),
    ],
)
def test_a_server_is_restarted_without_evidence_which_is_said(
    unwritable: Fleet, extra: dict[str, Any], inventory: dict[str, Any]
) -> None:
    unwritable.group_vars.update(inventory)
    done = unwritable.run("restart_process", extra)
    assert done.returncode == 0, told(done)
    assert "NO EVIDENCE WAS SAVED, and autoglm_evidence is best_effort" in told(done)
    assert unwritable.pid("p1") is not None


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount a small disk")
def test_a_full_disk_keeps_no_server_down(fleet: Fleet) -> None:
    fleet.add("p1")
    disk = fleet.directory / "evidence"
    disk.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(disk)], check=True)
    try:
        done = fleet.run("restart_process", asked(evidence="best_effort"))
        assert done.returncode == 0, told(done)
        assert "bytes free, of which" in told(done)
        assert fleet.pid("p1") is not None
        assert list(disk.iterdir()) == []
    finally:
        subprocess.run(["umount", "-l", str(disk)], check=True)


@pytest.mark.parametrize(
    ("extra", "inventory"),
    [
        (asked(evidence="required"), {}),
        ({"target": "p1", "autoglm_evidence": "required"}, {"autoglm_evidence": "best_effort"}),
        ({"target": "p1"}, {"autoglm_require_evidence": True}),
    ],
)
def test_where_evidence_is_required_nothing_is_changed_without_it(
    unwritable: Fleet, extra: dict[str, Any], inventory: dict[str, Any]
) -> None:
    unwritable.group_vars.update(inventory)
    done = unwritable.run("restart_process", extra)
    assert done.returncode == 2
    assert "cannot be written" in told(done)
    assert unwritable.pid("p1") is None


def test_another_word_is_refused(unwritable: Fleet) -> None:
    done = unwritable.run("restart_process", {"target": "p1", "autoglm_evidence": "maybe"})
    assert done.returncode == 2
    assert 'must be required or best_effort, not "maybe"' in told(done)


@pytest.mark.thorough
def test_incident_1_of_two_installations_and_both_runs_of_one_have_bundles_of_their_own(fleet: Fleet) -> None:
    fleet.add("p1")
    runs = [
        {"key": "3f2a9c1b4d5e-1", "run": "aa"},
        {"key": "3f2a9c1b4d5e-1", "run": "bb"},
        {"key": "77aa00bb11cc-1", "run": "cc"},
    ]
    for number, run in enumerate(runs, 1):
        done = fleet.run("restart_process", {**asked(id=1, **run), "force": True})
        assert done.returncode == 0, told(done)
        assert len(bundles(fleet)) == number
    assert [name.partition("-p1-")[0] for name in bundles(fleet)] == sorted(run["key"] for run in runs)


def test_what_a_failed_start_has_logged_is_saved_too_and_the_run_says_why_it_failed(fleet: Fleet) -> None:
    words = "import sys; print('error: failed to load model /var/lib/x', flush=True); sys.exit(3)"
    fleet.add("p1", start_command=[sys.executable, "-c", words], ready_timeout=5)
    # No proof is made where the start fails, whatever somebody's inventory calls so.
    fleet.group_vars["autoglm_proof"] = {"verdict": "healthy"}
    done = fleet.run("restart_process", asked(key="3f-1", run="aa"))
    assert done.returncode == 2
    before, after = sorted((fleet.directory / "evidence").iterdir(), key=lambda path: len(path.name))
    assert after.name.endswith("-failed-start")
    assert "failed to load model" not in (before / "SUMMARY.txt").read_text()
    assert "error: failed to load model /var/lib/x" in (after / "SUMMARY.txt").read_text()
    assert "failed=1" in told(done)


def test_a_start_that_succeeds_leaves_one_bundle(fleet: Fleet) -> None:
    fleet.add("p1")
    assert fleet.run("restart_process", asked(key="3f-1", run="aa")).returncode == 0
    assert len(bundles(fleet)) == 1


def bundles(fleet: Fleet) -> list[str]:
    """The names of the bundles."""
    return sorted(path.name for path in Path(fleet.directory / "evidence").iterdir())
