# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Programs that a test starts, and that end with it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.integration.exporter.running import Alertmanager, Exporter, KernelFile, Prometheus, Running
from tests.support.fake_nvml.plugin import fake_gpu_host, fake_nvml, make_fake_nvml

__all__ = ["fake_gpu_host", "fake_nvml", "make_fake_nvml"]


@pytest.fixture
def started() -> Iterator[Callable[[Running], Running]]:
    running: list[Running] = []

    def start(program: Running) -> Running:
        running.append(program)
        program.start()
        return program

    yield start
    for program in reversed(running):
        if program.process is not None:
            program.process.kill()
            program.process.wait()


@pytest.fixture
def kernel(tmp_path: Path) -> KernelFile:
    return KernelFile(tmp_path / "kmsg")


@pytest.fixture
def make_exporter(tmp_path: Path, started: Callable[[Running], Running]) -> Callable[..., Exporter]:
    def make(*options: str) -> Exporter:
        exporter = Exporter(tmp_path, *options)
        started(exporter)
        return exporter

    return make


@pytest.fixture
def alertmanager(tmp_path: Path, started: Callable[[Running], Running]) -> Alertmanager:
    program = Alertmanager(tmp_path / "alertmanager")
    started(program)
    program.until_ready()
    return program


@pytest.fixture
def make_prometheus(tmp_path: Path, started: Callable[[Running], Running]) -> Callable[..., Prometheus]:
    def make(exporter: Exporter, alertmanager: Alertmanager) -> Prometheus:
        program = Prometheus(tmp_path / "prometheus", exporter, alertmanager)
        started(program)
        return program

    return make
