# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The timer's files: systemd has nothing to say against them, and the program saves without anything around it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.autoglm.recovery.plugins.module_utils.checkpoints import proving, timer
from ansible_collections.autoglm.recovery.plugins.module_utils.checkpoints.stores import open_store

from tests.support.checkpoints import builders
from tests.support.servers import root
from tests.support.tooling import interpreters


def schedule(**more: Any) -> timer.Schedule:
    usual = {"calendar": None, "interval": "30min", "delay": "5min", "timeout": 3600, "python": "/usr/bin/python3"}
    return timer.Schedule(**{"name": "m", "writes": ["/var/lib"], "hook": False, **usual, **more})


@pytest.fixture
def units() -> Iterator[str]:
    """A directory in the root where systemd is."""
    inside = f"/tmp/units-{uuid.uuid4().hex[:8]}"
    outside = root.ensure() / inside.lstrip("/")
    outside.mkdir(parents=True)
    yield inside
    shutil.rmtree(outside)


def analyze(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(root.command("systemd-analyze", *words), capture_output=True, text=True, check=False)


@pytest.mark.skipif(os.geteuid() != 0, reason="systemd-analyze runs in a chroot, which needs root")
@pytest.mark.parametrize(
    "more",
    [
        {},
        {"interval": None, "calendar": "Mon..Fri *-*-* 03:00:00", "hook": True},
        {"writes": ["/var/lib", "/srv/a b/100%"], "delay": "0s"},
    ],
)
def test_systemd_finds_nothing_wrong(units: str, more: dict[str, Any]) -> None:
    made = timer.files(schedule(**more), {})
    for file in made:
        if file.path.startswith(timer.UNITS):
            (root.ensure() / units.lstrip("/") / Path(file.path).name).write_bytes(file.content)
    names = [f"{units}/{timer.unit('m')}.{kind}" for kind in ("service", "timer")]
    done = subprocess.run(
        root.command("systemd-analyze", "verify", "--recursive-errors=no", *names),
        capture_output=True,
        text=True,
        check=False,
    )
    about = [line for line in done.stderr.splitlines() if timer.unit("m") in line]
    assert (done.returncode, about) == (0, []), done.stderr
    exposure = subprocess.run(
        root.command("systemd-analyze", "security", "--offline=true", names[0]),
        capture_output=True,
        text=True,
        check=True,
    )
    assert "Overall exposure level" in exposure.stdout


def pythons() -> list[str]:
    found = [str(each.path) for each in interpreters.find()]
    return sorted({found[0], found[-1]}) if found else [sys.executable]


@pytest.mark.parametrize("python", pythons())
def test_the_program_saves_with_nothing_but_a_python(python: str, tmp_path: Path) -> None:
    source = builders.hf_sharded(tmp_path / "model")
    params = {"name": "m", "store": str(tmp_path / "store"), "source": str(source), "signing_key": "key", "keep": 1}
    program, parameters = tmp_path / "checkpoint.pyz", tmp_path / "m.json"
    program.write_bytes(timer.program())
    parameters.write_text(json.dumps(params))
    for changed in (True, False):
        done = subprocess.run(
            [python, "-I", str(program), str(parameters)], capture_output=True, text=True, check=False, cwd="/", env={}
        )
        assert done.returncode == 0, done.stderr
        assert json.loads(done.stdout)["changed"] is changed
    assert [each.reason for each in proving.survey(open_store(params["store"]), "m", "key")] == [None]


def test_a_save_that_fails_is_a_failed_service_with_a_reason(tmp_path: Path) -> None:
    program, parameters = tmp_path / "checkpoint.pyz", tmp_path / "m.json"
    program.write_bytes(timer.program())
    parameters.write_text(json.dumps({"name": "m", "store": str(tmp_path / "store"), "source": str(tmp_path / "gone")}))
    done = subprocess.run(
        [sys.executable, "-I", str(program), str(parameters)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert "no checkpoint was saved" in done.stderr
    assert "gone" in done.stderr
    assert "Traceback" not in done.stderr


def test_the_program_is_the_same_each_time() -> None:
    assert timer.program() == timer.program()
