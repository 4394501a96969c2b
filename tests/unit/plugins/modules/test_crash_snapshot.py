# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The module crash_snapshot on this very host, whatever it is."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from ansible_collections.autoglm.recovery.plugins.modules import crash_snapshot

from tests.support.fake_nvml.plugin import fake_nvml, make_fake_nvml

__all__ = ["fake_nvml", "make_fake_nvml"]

ABSENT = "autoglm-there-is-no-such.service"


@pytest.fixture
def arguments(tmp_path: Path) -> dict:
    return {"dest": str(tmp_path / "ev"), "host": "node-a", "min_free": 0, "command_timeout": 5}


def test_a_bundle_of_a_unit_that_does_not_exist(run_module, arguments: dict) -> None:
    result = run_module(crash_snapshot, incident="inc-1", unit=ABSENT, **arguments)
    manifest = json.loads((Path(result["path"]) / "manifest.json").read_text())
    assert result["changed"]
    assert {"host.txt", "processes.txt"} <= set(result["parts"])
    assert {entry["name"] for entry in result["unreadable"]} >= {"journal.log"}
    assert manifest["unreadable"] == result["unreadable"]
    assert result["bytes"] == sum(file.stat().st_size for file in Path(result["path"]).iterdir())


def test_the_gpus_are_saved_also_those_that_do_not_answer(run_module, arguments: dict, make_fake_nvml) -> None:
    fake = make_fake_nvml("h100", gpus=2)
    fake.set("gpu1.lost", 1)
    result = run_module(crash_snapshot, nvml_library=str(fake.library), **arguments)
    told = json.loads((Path(result["path"]) / "gpu.json").read_text())
    assert [gpu["state"] for gpu in told["gpus"]] == ["read", "lost"]


def test_a_driver_that_hangs_hangs_no_snapshot(run_module, arguments: dict, make_fake_nvml) -> None:
    fake = make_fake_nvml("h100", gpus=2)
    fake.hang("nvmlDeviceGetMemoryInfo*", gpu=1)
    result = run_module(crash_snapshot, nvml_library=str(fake.library), **{**arguments, "command_timeout": 1})
    fake.release()
    told = json.loads((Path(result["path"]) / "gpu.json").read_text())
    assert [gpu["state"] for gpu in told["gpus"]] == ["read", "hung"]
    assert "host.txt" in result["parts"]


def test_check_mode_says_what_it_would_write_and_writes_nothing(run_module, arguments: dict) -> None:
    result = run_module(crash_snapshot, True, incident="inc-1", unit=ABSENT, **arguments)
    assert result["changed"]
    assert "journal.log" in result["parts"]
    assert result["path"].startswith(arguments["dest"])
    assert not Path(arguments["dest"]).exists()


def test_the_first_bundle_of_an_attempt_is_the_evidence(run_module, arguments: dict) -> None:
    first = run_module(crash_snapshot, incident="inc-1", **arguments)
    again = run_module(crash_snapshot, incident="inc-1", **arguments)
    next_attempt = run_module(crash_snapshot, incident="inc-1", attempt=2, **arguments)
    assert (again["changed"], again["existing"], again["path"]) == (False, True, first["path"])
    assert next_attempt["changed"]
    assert next_attempt["path"] != first["path"]


def test_without_an_incident_each_run_has_its_own(run_module, arguments: dict) -> None:
    paths = {run_module(crash_snapshot, **arguments)["path"] for _run in range(2)}
    assert len(paths) == 2


@pytest.mark.parametrize(
    "incident", ["../../../tmp/x", "{{ lookup('env', 'HOME') }}", "$(touch /tmp/x)", "a\nb", "x" * 65536]
)
def test_a_hostile_incident_is_only_a_name(run_module, arguments: dict, incident: str) -> None:
    result = run_module(crash_snapshot, incident=incident, **arguments)
    assert Path(result["path"]).parent == Path(arguments["dest"])


def test_old_bundles_go_and_the_new_one_stays(run_module, arguments: dict) -> None:
    paths = [run_module(crash_snapshot, incident=str(number), keep=2, **arguments)["path"] for number in range(3)]
    assert [Path(path).exists() for path in paths] == [False, True, True]


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"engine": "vllm"}, "together"),
        ({"unit": "a b"}, "systemd unit"),
        ({"unit": "a", "container": "b"}, "mutually exclusive"),
        ({"container": "b", "log_file": "/x"}, "belongs to a service with a pid_file"),
        ({"pid_file": "x/../../y"}, "absolute path"),
        ({"max_bytes": 0}, "max_bytes"),
        ({"min_free": 2**60}, "min_free"),
        ({"dest": "/proc/no/such"}, "/proc"),
    ],
)
def test_what_cannot_be_done_fails_and_says_why(run_module, arguments: dict, more: dict, message: str) -> None:
    result = run_module(crash_snapshot, **{**arguments, **more})
    assert result["failed"]
    assert message in result["msg"]
