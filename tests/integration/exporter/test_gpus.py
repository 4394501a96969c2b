# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The exporter's page, with GPUs that are well, ill, silent or not there."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.integration.exporter.running import Exporter, Page
from tests.support.fake_nvml import FakeNvml, HostTree
from tests.support.fake_nvml.presets import driver_mismatch, gpu_lost, init_blocks, seven_of_eight

GPUS = [f"0000:{0x0B + gpu * 0x0F:02x}:00" for gpu in range(8)]
QUIET = ("--kmsg", "none", "--probe-timeout", "1s")


@pytest.fixture
def make(
    fake_nvml: FakeNvml, fake_gpu_host: Callable[..., HostTree], make_exporter: Callable[..., Exporter]
) -> Callable[..., Exporter]:
    tree = fake_gpu_host()
    roots = ("--sys", str(tree.sys), "--dev", str(tree.dev))
    return lambda *options: make_exporter("--nvml-library", str(fake_nvml.library), *roots, *QUIET, *options)


def verdicts(page: Page) -> list[str | None]:
    return [page.verdict(gpu) for gpu in GPUS]


def all_healthy(page: Page) -> bool:
    return set(verdicts(page)) == {"healthy"}


def test_eight_gpus_that_are_well(make: Callable[..., Exporter]) -> None:
    page = make().until("healthy GPUs", all_healthy)
    assert page.value("autoglm_host_verdict", verdict="healthy") == 1
    assert page.value("autoglm_gpus_expected") == 8
    assert page.value("autoglm_gpus_present", witness="nvml") == page.value("autoglm_gpus_present", witness="pci") == 8
    assert page.value("autoglm_gpu_memory_total_bytes", gpu=GPUS[3], index="3") == 85520809984
    assert page.value("autoglm_gpu_temperature_celsius", gpu=GPUS[0], sensor="gpu") == 31
    assert len(page.values("autoglm_nvlink_up", gpu=GPUS[0])) == 18
    assert page.values("autoglm_gpu_retired_pages", cause="uncorrected", gpu=GPUS[0]) in ([], [0])


def test_what_the_driver_does_not_tell_is_absent(make: Callable[..., Exporter], fake_nvml: FakeNvml) -> None:
    fake_nvml.fail("nvmlDeviceGetTemperature*", 999, gpu=2)
    page = make().until("an unknown GPU", lambda page: page.verdict(GPUS[2]) == "unknown")
    assert page.values("autoglm_gpu_temperature_celsius", gpu=GPUS[2], sensor="gpu") == []
    assert page.value("autoglm_gpu_memory_used_bytes", gpu=GPUS[2]) == 0
    assert (page.value("autoglm_probe_errors_total", error="NVML_ERROR_UNKNOWN") or 0) > 0


def test_one_gpu_that_hangs_does_not_hide_the_others(make: Callable[..., Exporter], fake_nvml: FakeNvml) -> None:
    exporter = make()
    exporter.until("healthy GPUs", all_healthy)
    fake_nvml.hang("nvmlDevice*", gpu=3)
    page = exporter.until("a hung GPU", lambda page: page.value("autoglm_gpu_hung", gpu=GPUS[3]) == 1)
    assert page.verdict(GPUS[3]) == "unknown"
    assert verdicts(page).count("healthy") == 7
    fake_nvml.release()
    exporter.until("healthy GPUs again", all_healthy)


def test_a_driver_that_hangs_is_unknown_and_ages_while_pages_go_on(
    make: Callable[..., Exporter], fake_nvml: FakeNvml
) -> None:
    exporter = make()
    first = exporter.until("healthy GPUs", all_healthy)
    init_blocks(fake_nvml)
    page = exporter.until("unknown GPUs", lambda page: set(verdicts(page)) == {"unknown"})
    assert page.value("autoglm_gpu_memory_used_bytes", gpu=GPUS[0]) is None
    assert page.value("autoglm_nvml_error", error="hung") == 1
    beat = first.value("autoglm_heartbeat_timestamp_seconds") or 0
    later = exporter.until(
        "a greater age", lambda later: (age(later) > age(page)) and (age(page) > age(first) or age(later) > 2)
    )
    assert (later.value("autoglm_heartbeat_timestamp_seconds") or 0) > beat


def age(page: Page) -> float:
    return page.value("autoglm_probe_age_seconds") or 0


def test_a_gpu_that_vanished_is_remembered_over_a_restart(make: Callable[..., Exporter], fake_nvml: FakeNvml) -> None:
    exporter = make()
    exporter.until("healthy GPUs", all_healthy)
    exporter.stop()
    seven_of_eight(fake_nvml)
    exporter.start()
    page = exporter.until("a lost GPU", lambda page: page.value("autoglm_gpu_lost", gpu=GPUS[3]) == 1)
    assert page.verdict(GPUS[3]) == "unhealthy"
    assert (page.value("autoglm_gpus_expected"), page.value("autoglm_gpus_present", witness="nvml")) == (8, 7)


def test_a_lost_gpu(make: Callable[..., Exporter], fake_nvml: FakeNvml) -> None:
    exporter = make()
    exporter.until("healthy GPUs", all_healthy)
    gpu_lost(fake_nvml)

    def nothing_is_read(page: Page) -> bool:
        # It may have been lost in the midst of a look, with its memory read before.
        lost = page.value("autoglm_gpu_lost", gpu=GPUS[3]) == 1
        return lost and page.value("autoglm_gpu_memory_used_bytes", gpu=GPUS[3]) is None

    page = exporter.until("a lost GPU", nothing_is_read)
    assert page.verdict(GPUS[3]) == "unhealthy"


def test_a_driver_that_does_not_fit_its_library(make: Callable[..., Exporter], fake_nvml: FakeNvml) -> None:
    driver_mismatch(fake_nvml)
    page = make().until("an error", lambda page: page.values("autoglm_nvml_error"))
    assert page.value("autoglm_nvml_error", error="NVML_ERROR_LIB_RM_VERSION_MISMATCH") == 1
    assert page.value("autoglm_host_verdict", verdict="unhealthy") == 1


def test_links_that_went_down(make: Callable[..., Exporter], fake_nvml: FakeNvml) -> None:
    exporter = make()
    exporter.until("healthy GPUs", all_healthy)
    fake_nvml.link_down(3, 7)
    page = exporter.until("a missing link", lambda page: page.value("autoglm_nvlink_links_missing", gpu=GPUS[3]) == 1)
    assert page.value("autoglm_nvlink_up", gpu=GPUS[3], link="7") == 0
    assert page.value("autoglm_nvlink_links_missing", gpu=GPUS[2]) == 0


def test_a_node_without_any_gpu(make_exporter: Callable[..., Exporter], tmp_path: Path) -> None:
    (tmp_path / "sys/bus/pci/devices").mkdir(parents=True)
    (tmp_path / "dev").mkdir()
    exporter = make_exporter("--sys", str(tmp_path / "sys"), "--dev", str(tmp_path / "dev"), *QUIET)
    page = exporter.until("an error", lambda page: page.values("autoglm_nvml_error"))
    assert page.value("autoglm_host_verdict", verdict="unknown") == 1
    assert page.value("autoglm_gpus_expected") == 0
    assert page.values("autoglm_gpu_verdict") == []


def test_wrong_options_are_said_in_words(make_exporter: Callable[..., Exporter], tmp_path: Path) -> None:
    (tmp_path / "services.yml").write_text("llm: {unit: llm.service}\n")
    for options, status, words in (
        (("--services", "services.yml"), 1, "must be a list"),
        (("--interval", "2"), 2, "is not a duration"),
        (("--alertmanager", "alertmanager:9093"), 2, "must be http://"),
        (("--label", "host=x"), 2, "no label of our own"),
    ):
        exporter = make_exporter(*QUIET, *options)
        assert exporter.process is not None
        assert exporter.process.wait(60) == status
        assert words in " ".join(exporter.log().replace("│", " ").split())
        exporter.process = None
