# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A real llama-server's slots: saved, the server killed, restored into a new one, and the prompt cache is used."""

from __future__ import annotations

import os
import shutil
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from ansible_collections.autoglm.recovery.plugins.module_utils.checkpoints import operation
from ansible_collections.autoglm.recovery.plugins.module_utils.checkpoints.problems import CheckpointError

from tests.support.servers import llama, root

PROMPT = "The operator wrote down what had happened. " * 40

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="the server runs in a chroot, which needs root")


@pytest.fixture
def slots() -> Iterator[tuple[Path, str]]:
    """The directory of slots, as this machine sees it and as the server does."""
    inside = f"/var/lib/llama/slots-{uuid.uuid4().hex[:8]}"
    outside = root.ensure() / inside.lstrip("/")
    outside.mkdir(parents=True)
    yield outside, inside
    shutil.rmtree(outside)


def complete(server: llama.Llama, prompt: str, slot: int = 0) -> dict[str, Any]:
    body = {"prompt": prompt, "n_predict": 8, "temperature": 0, "cache_prompt": True, "id_slot": slot}
    answer = httpx.post(f"{server.url}/completion", json=body, timeout=60, trust_env=False)
    answer.raise_for_status()
    found: dict[str, Any] = answer.json()
    return found


def params(server: llama.Llama, slots: tuple[Path, str], tmp_path: Path) -> dict[str, Any]:
    place = {"engine_state_dir": str(slots[0]), "store": str(tmp_path / "store")}
    return {"name": "chat", "engine": "llama_cpp", "url": server.url, "timeout": 30.0, **place}


def test_the_prompt_cache_outlives_the_server(slots: tuple[Path, str], tmp_path: Path) -> None:
    with llama.running(tmp_path, "--slot-save-path", slots[1] + "/") as server:
        first = complete(server, PROMPT)
        saved = operation.save(params(server, slots, tmp_path))
        server.kill()
    assert saved["checkpoint"]["format"] == "llama_slots"
    assert first["timings"]["prompt_n"] > 300
    for path in slots[0].iterdir():
        path.unlink()  # as on another host, or after the disk was lost
    with llama.running(tmp_path, "--slot-save-path", slots[1] + "/") as server:
        back = operation.restore(params(server, slots, tmp_path))
        assert max(back["engine_state"].values()) > 300
        again = complete(server, PROMPT)
        assert again["content"] == first["content"]
        assert again["timings"]["prompt_n"] <= 2, again["timings"]
        assert again["timings"]["cache_n"] > 300


def test_without_the_restore_the_prompt_is_read_again(slots: tuple[Path, str], tmp_path: Path) -> None:
    with llama.running(tmp_path, "--slot-save-path", slots[1] + "/") as server:
        assert complete(server, PROMPT)["timings"]["prompt_n"] > 300


def test_a_torn_slot_is_passed_over(slots: tuple[Path, str], tmp_path: Path) -> None:
    with llama.running(tmp_path, "--slot-save-path", slots[1] + "/") as server:
        complete(server, PROMPT)
        good = operation.save(params(server, slots, tmp_path))["checkpoint"]
        torn = operation.save(params(server, slots, tmp_path))["checkpoint"]
        path = next(Path(torn["path"]).rglob("*slot0.bin"))
        os.truncate(path, path.stat().st_size // 2)
        back = operation.restore(params(server, slots, tmp_path))
    assert back["checkpoint"]["id"] == good["id"]
    assert back["passed_over"][0]["id"] == torn["id"]


def test_a_server_without_slot_saving_says_what_it_needs(slots: tuple[Path, str], tmp_path: Path) -> None:
    with llama.running(tmp_path) as server, pytest.raises(CheckpointError, match="slot"):
        operation.save(params(server, slots, tmp_path))


def test_another_directory_than_the_server_s_is_noticed(slots: tuple[Path, str], tmp_path: Path) -> None:
    with llama.running(tmp_path, "--slot-save-path", slots[1] + "/") as server:
        complete(server, PROMPT)
        (tmp_path / "elsewhere").mkdir()
        with pytest.raises(CheckpointError, match="must be the directory that the engine was started with"):
            operation.save({**params(server, slots, tmp_path), "engine_state_dir": str(tmp_path / "elsewhere")})


def test_a_server_that_is_gone_is_said_to_be(slots: tuple[Path, str], tmp_path: Path) -> None:
    with llama.running(tmp_path, "--slot-save-path", slots[1] + "/") as server:
        server.kill()
        with pytest.raises(CheckpointError, match="llama_cpp did not save its state"):
            operation.save(params(server, slots, tmp_path))
