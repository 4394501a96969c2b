# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""C(python -m bench.checkpoint): a checkpoint saved and verified, beside cp, sync and sha256sum of the same files."""

from __future__ import annotations

import json
import os
import shutil
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from autoglm_recovery.knowledge.checkpoints import proving
from autoglm_recovery.knowledge.checkpoints.local_store import LocalStore
from autoglm_recovery.knowledge.checkpoints.saving import Order, save
from tests.checkpoints.builders import safetensors_file

SHARDS = 4
SHARD_MIB = 128
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
        theirs = statistics.median(each[0][place] for each in rounds)
        ours = statistics.median(each[1][place] for each in rounds)
        ratio = statistics.median(each[0][place] / each[1][place] for each in rounds)
        print(f"  {baseline:40}   {mib / theirs:7.0f} MiB/s   baseline")
        print(f"  {what:40}   {mib / ours:7.0f} MiB/s   x {ratio:.2f}")


def _model(directory: Path) -> Path:
    directory.mkdir()
    names = [f"model-{number:05}-of-{SHARDS:05}.safetensors" for number in range(1, SHARDS + 1)]
    for number, name in enumerate(names):
        safetensors_file(directory / name, {f"t{number}": SHARD_MIB << 18}, fill=float(number))
    index = {"weight_map": {f"t{number}": name for number, name in enumerate(names)}}
    (directory / "model.safetensors.index.json").write_text(json.dumps(index))
    return directory


def _round(directory: Path, source: Path) -> tuple[list[float], list[float]]:
    """Seconds of copying, of checking, and of both: theirs and ours."""
    copied, store = directory / "copied", LocalStore(directory / "store")
    theirs = [_seconds(lambda: _copy(source, copied)), _seconds(lambda: _sums(copied))]
    ours = [
        _seconds(lambda: save(store, Order("m", source))),
        _seconds(lambda: _verified(store)),
    ]
    shutil.rmtree(copied)
    shutil.rmtree(store.root)
    os.sync()
    return [*theirs, sum(theirs)], [*ours, sum(ours)]


def _copy(source: Path, target: Path) -> None:
    """A save is durable when it returns, and so must be what it is compared with."""
    subprocess.run(["cp", "-r", str(source), str(target)], check=True)
    subprocess.run(["sync", *map(str, target.iterdir())], check=True)


def _sums(directory: Path) -> None:
    subprocess.run(["sha256sum", *map(str, directory.iterdir())], check=True, stdout=subprocess.DEVNULL)


def _verified(store: LocalStore) -> None:
    assert [each.reason for each in proving.survey(store, "m", None)] == [None]


def _seconds(work: Callable[[], object]) -> float:
    begun = time.monotonic()
    work()
    return time.monotonic() - begun


if __name__ == "__main__":
    main()
