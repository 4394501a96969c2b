# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A disk that fills up: the save fails with a sentence, and nothing is left of it."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from ansible_collections.autoglm.recovery.plugins.module_utils.checkpoints.local_store import LocalStore
from ansible_collections.autoglm.recovery.plugins.module_utils.checkpoints.problems import CheckpointError
from ansible_collections.autoglm.recovery.plugins.module_utils.checkpoints.restoring import RestoreTarget, restore
from ansible_collections.autoglm.recovery.plugins.module_utils.checkpoints.saving import SaveRequest, save

from tests.support.checkpoints import builders

CHECKOUT = Path(__file__).parents[3]


def in_child(work: Callable[[], None]) -> str:
    """What a child that may write 64 KiB to a file says; empty when it went through."""
    read, write = os.pipe()
    pid = os.fork()
    if pid == 0:
        resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 16, 1 << 16))
        try:
            work()
        except BaseException as error:  # noqa: BLE001 - a child never returns into pytest
            os.write(write, f"{type(error).__name__}: {error}".encode())
        os._exit(0)
    os.close(write)
    os.waitpid(pid, 0)
    with os.fdopen(read) as said:
        return said.read()


def test_a_file_that_can_grow_no_more_is_no_checkpoint(tmp_path: Path) -> None:
    source = builders.safetensors_file(tmp_path / "m.safetensors", {"w": 100_000})
    store = LocalStore(tmp_path / "store")
    assert "CheckpointError" in in_child(lambda: save(store, SaveRequest("m", source)))
    assert store.ids("m") == []
    assert store.leftovers("m", remove=False) == []
    save(store, SaveRequest("m", source))
    (tmp_path / "back").write_text("what was there before")
    assert "cannot be written" in in_child(lambda: restore(store, "m", RestoreTarget(tmp_path / "back"), None))
    assert (tmp_path / "back").read_text() == "what was there before"
    assert not list(tmp_path.glob(".autoglm-*"))


FULL = """
import sys
from pathlib import Path
from autoglm_recovery.knowledge.checkpoints.local_store import LocalStore
from autoglm_recovery.knowledge.checkpoints.problems import CheckpointError
from autoglm_recovery.knowledge.checkpoints.saving import SaveRequest, save

place, source = map(Path, sys.argv[1:])
store = LocalStore(place / "store")
try:
    save(store, SaveRequest("m", source))
except CheckpointError as error:
    print(error)
print(store.ids("m"), store.leftovers("m", remove=False))
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount a small disk")
@pytest.mark.parametrize(
    ("disk", "said"),
    [
        ("size=1m", "bytes free"),  # it is not begun
        ("size=64m,nr_inodes=6", "No space left on device"),  # the free bytes looked enough
    ],
)
def test_a_disk_that_is_full(disk: str, said: str, tmp_path: Path) -> None:
    source = builders.hf_sharded(tmp_path / "model")
    builders.safetensors_file(source / "model-00002-of-00002.safetensors", {"c": 500_000})
    (tmp_path / "disk").mkdir()
    # In a mount namespace of its own, so that the disk is gone with the process.
    script = f'mount -t tmpfs -o {disk} none "$1" && exec "$2" -c "$3" "$1" "$4"'
    done = subprocess.run(
        ["unshare", "-m", "sh", "-c", script, "sh", str(tmp_path / "disk"), sys.executable, FULL, str(source)],
        capture_output=True,
        text=True,
        check=True,
        cwd=CHECKOUT,
    )
    assert said in done.stdout
    assert done.stdout.endswith("[] []\n")


def test_a_store_that_cannot_be_written_says_so(tmp_path: Path) -> None:
    (tmp_path / "store").write_text("a file")
    with pytest.raises(CheckpointError, match="no checkpoint can be written here"):
        save(LocalStore(tmp_path / "store"), SaveRequest("m", builders.safetensors_file(tmp_path / "m.safetensors")))
