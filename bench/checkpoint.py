# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""``python -m bench.checkpoint``: a checkpoint saved and verified, beside cp, sync and sha256sum of the same files."""

from __future__ import annotations

import json
import os
import shutil
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from autoglm_recovery.knowledge.checkpoints import proving
from autoglm_recovery.knowledge.checkpoints.local_store import LocalStore
from autoglm_recovery.knowledge.checkpoints.saving import SaveRequest, save
from tests.support.checkpoints.builders import safetensors_file

SHARDS = 4
SHARD_MIB = 64
ROUNDS = 5


def main() -> None:
    """Measure in turn, and print each figure beside its baseline."""
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        source = _model(directory / "model")
        mib = sum(path.stat().st_size for path in source.iterdir()) / (1 << 20)
        rounds = [_round(directory, source) for _each in range(ROUNDS + 1)][1:]  # the first one fills the caches
    print(f"a sharded checkpoint of {mib:.0f} MiB in {SHARDS} files, median of {ROUNDS} rounds in turn")
    for place, what, baseline in (
        (0, "save (copy, SHA-256, structure, fsync)", "cp and sync"),
        (1, "verify (SHA-256, structure)", "sha256sum"),
        (2, "save and verify", "cp, sync and sha256sum"),
    ):
        theirs, ours = [[each[side][place] for each in rounds] for side in (0, 1)]
        ratio = statistics.median(one.wall / other.wall for one, other in zip(theirs, ours, strict=True))
        cpu = statistics.median(one.cpu / other.cpu for one, other in zip(theirs, ours, strict=True))
        _show(baseline, mib, theirs, "baseline")
        _show(what, mib, ours, f"x {ratio:.2f}   per CPU second x {cpu:.2f}")


@dataclass(frozen=True)
class Cost:
    """Seconds, and seconds of processor time, which do not depend on what else the machine does."""

    wall: float
    cpu: float

    def __add__(self, other: Cost) -> Cost:
        return Cost(self.wall + other.wall, self.cpu + other.cpu)


def _show(what: str, mib: float, costs: list[Cost], beside: str) -> None:
    print(f"  {what:40}   {mib / statistics.median(cost.wall for cost in costs):7.0f} MiB/s   {beside}")


def _model(directory: Path) -> Path:
    directory.mkdir()
    names = [f"model-{number:05}-of-{SHARDS:05}.safetensors" for number in range(1, SHARDS + 1)]
    for number, name in enumerate(names):
        safetensors_file(directory / name, {f"t{number}": SHARD_MIB << 18}, fill=float(number))
    index = {"weight_map": {f"t{number}": name for number, name in enumerate(names)}}
    (directory / "model.safetensors.index.json").write_text(json.dumps(index))
    return directory


def _round(directory: Path, source: Path) -> tuple[list[Cost], list[Cost]]:
    """Copying, checking, and both: theirs and ours."""
    copied, store = directory / "copied", LocalStore(directory / "store")
    theirs = [_cost(lambda: _copy(source, copied)), _cost(lambda: _sums(copied))]
    ours = [
        _cost(lambda: save(store, SaveRequest("m", source))),
        _cost(lambda: _verified(store)),
    ]
    shutil.rmtree(copied)
    shutil.rmtree(store.root)
    os.sync()
    return [*theirs, theirs[0] + theirs[1]], [*ours, ours[0] + ours[1]]


def _copy(source: Path, target: Path) -> None:
    """A save is durable when it returns, and so must be what it is compared with."""
    subprocess.run(["cp", "-r", str(source), str(target)], check=True)
    subprocess.run(["sync", *map(str, target.iterdir())], check=True)


def _sums(directory: Path) -> None:
    subprocess.run(["sha256sum", *map(str, directory.iterdir())], check=True, stdout=subprocess.DEVNULL)


def _verified(store: LocalStore) -> None:
    assert [each.reason for each in proving.survey(store, "m", None)] == [None]


def _cost(work: Callable[[], object]) -> Cost:
    before, begun = os.times(), time.monotonic()
    work()
    return Cost(time.monotonic() - begun, sum(os.times()[:4]) - sum(before[:4]))


if __name__ == "__main__":
    main()
