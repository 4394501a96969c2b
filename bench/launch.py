# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""From the order to the first task: a supervisor started warm, cold, ansible_runner.run, and bare ansible-playbook.

The four take turns, so that the machine's mood is the same for all; a play of one ``debug`` task on a local host. Bare
ansible-playbook has neither a supervisor nor ansible-runner, so that it does less than what it is compared with.
"""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

from rich.console import Console
from rich.table import Table

from autoglm_recovery.receiver.runs.local import run_directory
from autoglm_recovery.receiver.runs.warm.warmer import Spawned, Warmer
from tests.integration.warm.running import Place, ready
from tests.support.servers.waiting import until

ROUNDS = 7
AT_ONCE = 8
PLAYBOOK = """
- hosts: node-a
  gather_facts: false
  tasks: [{name: First, ansible.builtin.debug: {msg: reached}}]
"""
RUNNER = """
import sys, ansible_runner
ansible_runner.run(private_data_dir=sys.argv[1], playbook=sys.argv[2], cmdline=sys.argv[3])
"""
Start = Callable[[Path], None]


def main() -> None:
    """Measure and print."""
    with tempfile.TemporaryDirectory() as folder:
        place = Place(Path(folder))
        place.build()
        (place.playbooks / "bench.yml").write_text(PLAYBOOK)
        os.environ["ANSIBLE_COLLECTIONS_PATH"] = str(place.root / "collections")
        warmer = Warmer(run_directory.spawn, place.root / "warm.log")
        try:
            begun = time.monotonic()
            ready(warmer)
            warm_up = time.monotonic() - begun
            _report(place, warmer, warm_up)
        finally:
            warmer.stop()


def _report(place: Place, warmer: Warmer, warm_up: float) -> None:
    def supervised(spawn: Callable[[Path], Spawned]) -> float:
        begun = time.monotonic()
        run = place.start(spawn, "bench")
        events = run.directory / "events.jsonl"
        until("the first task", lambda: events.exists() and events.read_text())
        took = time.monotonic() - begun
        run.result()
        return took

    words = ["--inventory", str(place.inventory)]

    def bare() -> float:
        return _until_reached([_program("ansible-playbook"), *words, "autoglm.recovery.bench"])

    def runner() -> float:
        with tempfile.TemporaryDirectory() as private:
            (Path(private) / "project").mkdir()
            return _until_reached([sys.executable, "-c", RUNNER, private, "autoglm.recovery.bench", shlex.join(words)])

    ways: dict[str, Callable[[], float]] = {
        "bare ansible-playbook": bare,
        "ansible_runner.run": runner,
        "supervisor, cold": lambda: supervised(run_directory.spawn),
        "supervisor, warm": lambda: supervised(warmer.spawn),
    }
    alone = _in_turn(ways, _one)
    together = _in_turn(ways, _several, rounds=2)
    table = Table("started as", "to first task, s", "of bare", f"{AT_ONCE} at once, last one, s", "of bare")
    base, base_together = alone["bare ansible-playbook"], together["bare ansible-playbook"]
    for name in ways:
        both = together[name] / base_together
        table.add_row(name, f"{alone[name]:.2f}", f"{alone[name] / base:.2f}", f"{together[name]:.2f}", f"{both:.2f}")
    Console().print(table)
    Console().print(f"medians of {ROUNDS} and 2 rounds; the warm process was ready after {warm_up:.2f} s")


def _in_turn(
    ways: dict[str, Callable[[], float]], measure: Callable[[Callable[[], float]], float], rounds: int = ROUNDS
) -> dict[str, float]:
    taken: dict[str, list[float]] = {name: [] for name in ways}
    for _round in range(rounds):
        for name, way in ways.items():
            taken[name].append(measure(way))
    return {name: median(figures) for name, figures in taken.items()}


def _one(way: Callable[[], float]) -> float:
    return way()


def _several(way: Callable[[], float]) -> float:
    """Return how long the slowest of several at once took to its first task."""
    taken: list[float] = []
    threads = [threading.Thread(target=lambda: taken.append(way())) for _number in range(AT_ONCE)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(taken) == AT_ONCE
    return max(taken)


def _program(name: str) -> str:
    return str(Path(sys.executable).with_name(name))


def _until_reached(command: list[str]) -> float:
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}", "PYTHONUNBUFFERED": "1"}
    begun = time.monotonic()
    with subprocess.Popen(command, stdout=subprocess.PIPE, stdin=subprocess.DEVNULL, env=environment) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if b"reached" in line:
                took = time.monotonic() - begun
                process.stdout.read()
                return took
    raise AssertionError(f"{command[0]} ended with {process.returncode} and reached nothing")


if __name__ == "__main__":
    main()
