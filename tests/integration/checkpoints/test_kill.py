# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""kill -9 at random moments: what is in the store is whole, and what is restored is the old state or the new one."""

from __future__ import annotations

from pathlib import Path

from ansible_collections.autoglm.recovery.plugins.module_utils.checkpoints import proving
from ansible_collections.autoglm.recovery.plugins.module_utils.checkpoints.local_store import LocalStore
from ansible_collections.autoglm.recovery.plugins.module_utils.checkpoints.restoring import RestoreTarget, restore
from ansible_collections.autoglm.recovery.plugins.module_utils.checkpoints.retention import RetentionRules, prune
from ansible_collections.autoglm.recovery.plugins.module_utils.checkpoints.saving import SaveRequest, save

from tests.integration.checkpoints.forked import Killer
from tests.support.checkpoints import builders

TIMES = 200


def test_a_save_that_is_killed_leaves_nothing_or_a_whole_checkpoint(tmp_path: Path) -> None:
    killer = Killer(1)
    source = builders.hf_sharded(tmp_path / "model")
    store = LocalStore(tmp_path / "store")

    def work() -> None:
        done = save(store, SaveRequest("m", source))
        prune(store, "m", RetentionRules(keep=3), None, done.id)

    for _each in range(TIMES):
        killer.kill(work)
    assert 0 < killer.ended < TIMES, "the kills must come in the middle"
    findings = list(proving.survey(store, "m", None))
    assert findings
    assert [each.reason for each in findings if each.reason] == []
    work()
    assert store.leftovers("m", remove=False) == []
    assert len(store.ids("m")) == 3


def test_a_restore_that_is_killed_leaves_the_old_state_or_the_new_one(tmp_path: Path) -> None:
    killer = Killer(2)
    store = LocalStore(tmp_path / "store")
    ids = []
    for name in ("one", "two"):
        source = builders.hf_sharded(tmp_path / name)
        builders.safetensors_file(
            source / "model-00002-of-00002.safetensors", {"c": 16}, fill=1.0 if name == "one" else 2.0
        )
        ids.append(save(store, SaveRequest("m", source)).id)
    whole = [{path.name: path.read_bytes() for path in (tmp_path / name).iterdir()} for name in ("one", "two")]
    target = tmp_path / "place/back"
    target.parent.mkdir()
    restore(store, "m", RestoreTarget(target), None)
    seen = []
    for number in range(TIMES):
        wanted = ids[number // 5 % 2]
        killer.kill(lambda wanted=wanted: restore(store, "m", RestoreTarget(target), None, wanted))
        now = {path.name: path.read_bytes() for path in target.iterdir()}
        assert now in whole
        seen.append(whole.index(now))
    assert 0 < killer.ended < TIMES, "the kills must come in the middle"
    assert set(seen) == {0, 1}
    restore(store, "m", RestoreTarget(target), None, ids[1 - seen[-1]])
    assert [path.name for path in target.parent.iterdir()] == ["back"]
