# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The module nvlink_check, with the real pynvml on the fake library."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.autoglm.recovery.plugins.module_utils.gpu.nvlink import look as nvlink_look
from ansible_collections.autoglm.recovery.plugins.modules import nvlink_check

from tests.support.fake_nvml import BY_ARCHITECTURE, NEVER_HEALTHY, FakeNvml
from tests.support.fake_nvml.plugin import *  # noqa: F403


@pytest.fixture
def check(run_module, tmp_path: Path) -> Callable[..., dict[str, Any]]:
    """Run the module on a fake; without the kernel's log, which is this machine's and not the fake's."""

    def run(fake: FakeNvml, check: bool = False, **options: Any) -> dict[str, Any]:
        defaults = {"nvml_library": str(fake.library), "state_dir": str(tmp_path / "state"), "device_timeout": 60}
        given = {**defaults, "kernel_lines": "never", "network_ports": False, **options}
        return run_module(nvlink_check, check, **given)

    return run


@pytest.mark.parametrize(
    ("profile", "links", "up"),
    [("a100", 12, 12), ("h100", 18, 18), ("b200", 18, 18), ("h100_pcie", 18, 0), ("l40s", 0, 0)],
)
def test_healthy(make_fake_nvml, check, profile: str, links: int, up: int) -> None:
    result = check(make_fake_nvml(profile), expected_gpus=8)
    assert (result["verdict"], result["failure_class"], result["reasons"]) == ("healthy", None, [])
    assert [(gpu["count"], gpu["up"]) for gpu in result["nvlink"]["gpus"]] == [(links, up)] * 8


@pytest.mark.parametrize("kind", BY_ARCHITECTURE)
def test_a_gpu_that_has_no_links_by_architecture_is_healthy(make_fake_nvml, check, kind: str) -> None:
    fake = make_fake_nvml("l40s", gpus=1, driver="580.142")
    BY_ARCHITECTURE[kind](fake)
    result = check(fake)
    assert result["verdict"] == "healthy", result["reasons"]


@pytest.mark.parametrize("error", [9, 6, 28])  # driver not loaded, not found, GPU not found
def test_a_host_without_gpus_has_lost_none(make_fake_nvml, check, monkeypatch, error: int) -> None:
    fake = make_fake_nvml("h100", gpus=1)
    fake.fail("nvmlInit*", error)
    monkeypatch.setattr(nvlink_look, "read_host", lambda _roots: {"pci": {"value": [], "error": None}})
    assert (check(fake)["verdict"], check(fake)["failure_class"]) == ("unknown", "unknown")
    one = {"pci": "0000:0b:00.0", "driver": None, "answers": True, "minor": None}
    monkeypatch.setattr(nvlink_look, "read_host", lambda _roots: {"pci": {"value": [one], "error": None}})
    assert check(fake)["failure_class"] == "gpu_lost"


def test_no_gpu_is_listed_and_none_is_on_the_bus(make_fake_nvml, check) -> None:
    result = check(make_fake_nvml("h100", gpus=0))
    assert (result["verdict"], result["failure_class"]) == ("unknown", "unknown")


def test_what_is_read_of_a_link(make_fake_nvml, check) -> None:
    fake = make_fake_nvml("b200", gpus=1)
    fake.set_many({"gpu0.field.208.4": 2**40, "gpu0.field.222.4": 3 << 8 | 20, "gpu0.field.146.4": 11})
    result = check(fake, expected_links=18)
    link = result["nvlink"]["gpus"][0]["links"][4]
    assert (link["state"], link["version"], link["speed_mbps"]) == ("active", "5.0", 53125)
    assert (link["remote"], link["remote_type"], link["remote_link"]) == ("0000:c0:00.0", "switch", 11)
    assert link["counters"]["receive_errors"] == 2**40
    assert link["ber"]["symbol"]["mantissa"] == 3
    assert link["ber"]["effective"]["exponent"] == 255
    assert link["fec_history"] == [0] * 16
    assert "crc_flit" not in link["counters"]
    assert link["unread"] == {}
    fabric = result["nvlink"]["gpus"][0]["fabric"]
    assert (fabric["state"], fabric["summary"], fabric["health"]["degraded_bandwidth"]) == (
        "completed",
        "healthy",
        False,
    )


def test_an_old_driver_is_asked_link_by_link(make_fake_nvml, check) -> None:
    fake = make_fake_nvml("a100", gpus=2, driver="470.256.02", symbols="old")
    fake.set_many({"fields.last": 90})
    gpu = check(fake)["nvlink"]["gpus"][0]
    assert (gpu["count"], gpu["up"], gpu["fabric"]) == (12, 12, None)
    assert set(gpu["links"][0]["counters"]) == {"crc_flit", "crc_data", "ecc_data"}


OF_LINKS = {
    "seven_of_eight": ("unhealthy", "gpu_lost"),
    "gpu_lost": ("unhealthy", "gpu_lost"),
    "driver_mismatch": ("unknown", "gpu_lost"),
    "driver_not_loaded": ("unknown", "gpu_lost"),
    "one_link_down": ("unhealthy", "gpu_comm"),
    "nvlink_unknown": ("unknown", "gpu_comm"),
    "call_blocks": ("unknown", "gpu_lost"),
    "init_blocks": ("unknown", "gpu_lost"),
    "everything_unreadable": ("unknown", "gpu_lost"),
}


@pytest.mark.parametrize("name", OF_LINKS)
def test_states_that_are_never_healthy(fake_nvml, check, name: str) -> None:
    NEVER_HEALTHY[name](fake_nvml)
    started = time.monotonic()
    result = check(fake_nvml, expected_gpus=8, device_timeout=1.5)
    assert (result["verdict"], result["failure_class"]) == OF_LINKS[name]
    assert result["reasons"]
    assert time.monotonic() - started < 20


def test_a_link_that_went_down_is_named_by_both_ends(fake_nvml, check) -> None:
    assert check(fake_nvml)["verdict"] == "healthy"
    fake_nvml.link_down(3, 7)
    result = check(fake_nvml)
    assert (result["verdict"], result["recommended_action"]) == ("unhealthy", "switch_comm_path")
    assert "GPU 3 (0000:38:00.0)" in result["reasons"][0]
    assert "link 7 to switch 0000:c3:00.0" in result["reasons"][0]


def test_disabled_on_purpose(fake_nvml, check) -> None:
    fake_nvml.set_many({f"gpu*.nvlink.{link}.state": 0 for link in range(12, 18)})
    assert check(fake_nvml)["verdict"] == "unknown"
    assert check(fake_nvml, expected_links=12)["verdict"] == "healthy"
    assert check(fake_nvml, expected_nvlinks=18)["verdict"] == "unhealthy"
    assert (
        check(fake_nvml, expected_links=18, expected_links_by_gpu=dict.fromkeys(map(str, range(8)), 12))["verdict"]
        == "healthy"
    )


def test_counters_are_judged_by_their_growth(fake_nvml, check) -> None:
    fake_nvml.set("gpu2.nvlink.5.errors.1", 1000)  # a thousand recoveries, nobody knows when
    first = check(fake_nvml)
    assert (first["verdict"], first["nvlink"]["baseline"]["seconds"]) == ("healthy", None)
    fake_nvml.set("gpu2.nvlink.5.errors.1", 1001)
    second = check(fake_nvml)
    assert second["verdict"] == "unhealthy"
    assert "recovery grew by 1" in second["reasons"][0]
    assert second["nvlink"]["gpus"][2]["links"][5]["changes"]["recovery"]["delta"] == 1
    assert check(fake_nvml, link_rates={"recovery": 1000})["verdict"] == "healthy"
    reset = check(fake_nvml, reset_baseline=True)
    assert (reset["verdict"], reset["changed"]) == ("healthy", True)
    assert check(fake_nvml)["verdict"] == "healthy"


def test_check_mode_writes_nothing(fake_nvml, check, tmp_path: Path) -> None:
    assert check(fake_nvml, True)["verdict"] == "healthy"
    assert not (tmp_path / "state").exists()


def test_a_baseline_of_rubbish(fake_nvml, check, tmp_path: Path) -> None:
    (tmp_path / "state").mkdir()
    (tmp_path / "state/baseline.json").write_text("{not json")
    result = check(fake_nvml)
    assert result["verdict"] == "healthy"
    assert "no use" in result["nvlink"]["baseline"]["note"]
    assert json.loads((tmp_path / "state/baseline.json").read_text())["format"] == 1


def test_a_baseline_that_cannot_be_kept(fake_nvml, check, tmp_path: Path) -> None:
    (tmp_path / "state").write_text("a file in its place")
    result = check(fake_nvml)
    assert result["verdict"] == "healthy"
    assert any("could not be kept" in one for one in result["warnings_found"])


def test_nvml_that_fails_does_not_cost_the_baseline(fake_nvml, check, tmp_path: Path) -> None:
    check(fake_nvml)
    before = json.loads((tmp_path / "state/baseline.json").read_text())
    NEVER_HEALTHY["driver_not_loaded"](fake_nvml)
    assert check(fake_nvml)["verdict"] == "unknown"
    fake_nvml.unset("err.nvmlInit*")
    assert check(fake_nvml)["nvlink"]["baseline"]["seconds"] is not None
    assert json.loads((tmp_path / "state/baseline.json").read_text())["reference"] == before["reference"]


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"gpu1.fabric.mask": 0x1A9}, "degraded"),
        ({"gpu1.fabric.summary": 2}, "unhealthy"),
        ({"gpu1.fabric.state": 1}, "not_started"),
        ({"gpu1.fabric.status": 999}, "999"),
    ],
)
def test_fabric(fake_nvml, check, values: dict, words: str) -> None:
    fake_nvml.set_many(values)
    result = check(fake_nvml)
    assert (result["verdict"], result["failure_class"]) == ("unhealthy", "gpu_comm")
    assert words in result["reasons"][0]


@pytest.mark.parametrize(("fail_on", "failed"), [("never", False), ("unhealthy", False), ("not_healthy", True)])
def test_fail_on(fake_nvml, check, fail_on: str, failed: bool) -> None:
    NEVER_HEALTHY["nvlink_unknown"](fake_nvml)
    assert bool(check(fake_nvml, fail_on=fail_on).get("failed")) is failed


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"device_timeout": 0}, "timeout"),
        ({"window": "nan"}, "window"),
        ({"expected_links": -1}, "expected_links"),
        ({"expected_links_by_gpu": {"0": "many"}}, "expected_links_by_gpu"),
        ({"link_rates": {"crcs": 1}}, "crcs"),
        ({"kernel_lines": "maybe"}, "kernel_lines"),
    ],
)
def test_options_that_cannot_be(fake_nvml, check, options: dict, words: str) -> None:
    result = check(fake_nvml, **options)
    assert result["failed"]
    assert words in result["msg"]


def test_no_library(run_module, tmp_path: Path) -> None:
    result = run_module(nvlink_check, nvml_library=str(tmp_path / "none.so"), state_dir=str(tmp_path))
    assert (result["verdict"], result["failure_class"]) == ("unknown", "unknown")
    assert "NVML_ERROR_LIBRARY_NOT_FOUND" in result["reasons"][0]
