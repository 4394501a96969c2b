# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether the process of another run is known to be gone."""

from __future__ import annotations

import multiprocessing
import subprocess
from typing import Any

import pytest
from ansible_collections.autoglm.recovery.plugins.plugin_utils import controllers


def test_a_process_is_there_until_it_ends() -> None:
    other = subprocess.Popen(["sleep", "600"])
    process = {**controllers.here(), "pid": other.pid, "start": controllers._start_ticks(other.pid)}
    assert not controllers.has_ended(process)
    other.kill()
    other.wait()
    assert controllers.has_ended(process)


def test_a_number_that_was_used_again_is_another_process() -> None:
    mine = controllers.here()
    assert not controllers.has_ended(mine)
    assert controllers.has_ended({**mine, "start": mine["start"] - 1})


@pytest.mark.parametrize(
    "change", [{"boot": "another"}, {"boot": ""}, {"namespace": "pid:[1]"}, {"pid": "x"}, {"pid": -1}, {"pid": True}]
)
def test_what_cannot_be_known_from_here_is_not_gone(change: dict[str, Any]) -> None:
    mine = controllers.here()
    assert not controllers.has_ended({**mine, "start": mine["start"] - 1, **change})
    assert not controllers.has_ended({})


def test_a_task_s_process_speaks_for_the_one_that_forked_it() -> None:
    """As Ansible's workers do: all tasks of a run have one name."""
    context = multiprocessing.get_context("fork")
    queue = context.Queue()
    worker = context.Process(target=lambda: queue.put(controllers.here()))
    worker.start()
    told = queue.get(timeout=60)
    worker.join()
    assert controllers.name(told) == controllers.name(controllers.here())
