# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""An engine in a container is run by its unit, with the unit's limits, by what its image is and not by a tag."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.autoglm.recovery.plugins.plugin_utils.inference_units import Defaults, UnitMistake, planned

IMAGE = f"ghcr.io/ggml-org/llama.cpp@sha256:{'0a' * 32}"
DECLARED = {"name": "llama", "engine": "llama_cpp", "url": "http://127.0.0.1:8080", "unit": "llama"}


def plan(declared: dict[str, Any] | None = None, **own: Any) -> dict[str, Any]:
    """Plan the only service; ``declared`` is added to what autoglm_services says of it."""
    run = {"name": "llama", "image": IMAGE, "model_path": "/srv/m.gguf"}
    (only,) = planned([run | own], [DECLARED | (declared or {})], Defaults("inference", {"llama_cpp": ["/no"]}))
    return only


def test_the_engine_is_in_its_units_group_and_sees_little_of_the_host() -> None:
    made = plan({"checkpoint": {"store": "/b", "engine_state_dir": "/srv/slots"}})
    words = made["exec"].split()
    assert words[:3] == ["/usr/bin/podman", "run", "--user=${AUTOGLM_ENGINE_USER}"]
    assert {"--cgroups=disabled", "--sdnotify=conmon", "--pull=never", "--read-only", "--cap-drop=all"} <= set(words)
    assert "--security-opt=no-new-privileges" in words
    assert [word for word in words if word.startswith("--volume=")] == [
        "--volume=/srv/m.gguf:/srv/m.gguf:ro",
        "--volume=/var/lib/inference/llama:/var/lib/inference/llama:rw",
        "--volume=/var/cache/inference/llama:/var/cache/inference/llama:rw",
        "--volume=/srv/slots:/srv/slots:rw",
    ]
    # The image's own entrypoint gets what the engine's would get, and what a remedy may override comes last.
    after = words[words.index(IMAGE) + 1 :]
    assert after[:2] == ["--model", "/srv/m.gguf"]
    assert after[-2:] == ["$AUTOGLM_ENGINE_ARGS", "$AUTOGLM_ENGINE_OVERRIDES"]
    assert made["programs"] == []


def test_a_key_reaches_the_engine_and_no_command_line() -> None:
    made = plan({"api_key": "s3cret"})
    assert "s3cret" not in made["exec"]
    assert "--env=LLAMA_API_KEY" in made["exec"].split()
    assert 'LLAMA_API_KEY="s3cret"' in made["environment"]
    assert made["credentials"] == []


def test_which_configuration_it_has_is_in_its_own_environment() -> None:
    assert "--env=AUTOGLM_CONFIGURATION" in plan()["exec"].split()
    assert plan()["digest"] != plan(shm_size="16g")["digest"]


def test_it_has_all_gpus_unless_it_is_said_which_or_that_it_needs_none() -> None:
    assert plan()["devices"] == ["nvidia.com/gpu=all"]
    assert "--device=nvidia.com/gpu=all" in plan()["exec"].split()
    assert plan(devices=["nvidia.com/gpu=0", "/dev/kfd"])["devices"] == ["nvidia.com/gpu=0", "/dev/kfd"]
    assert plan(gpu=False)["devices"] == []


def test_a_command_takes_the_place_of_the_entrypoint() -> None:
    assert '"--entrypoint=[\\"/usr/bin/llama-server\\"]"' in plan(command=["/usr/bin/llama-server"])["exec"]
    assert "--entrypoint" not in plan()["exec"]


@pytest.mark.parametrize(
    ("own", "reason"),
    [
        ({"image": "localhost/llama"}, "must have its digest"),
        ({"image": "localhost/llama:latest"}, "must have its digest"),
        ({"image": f"localhost/llama@sha256:{'0a' * 32}\n"}, "must have its digest"),
        ({"image": f"--privileged@sha256:{'0a' * 32}"}, "must have its digest"),
        ({"prefix": ["/usr/bin/numactl"]}, "prefix is for a service without an image"),
        ({"devices": ["nvidia.com/gpu=all --privileged"]}, "is no device"),
        ({"devices": ["../../etc"]}, "is no device"),
        ({"groups": ["render"]}, "give its number"),
        ({"shm_size": "8g --privileged"}, "is no size"),
        ({"read_only_paths": ["/"]}, "is no path that a container can be given"),
        ({"model_path": "/srv/a:/etc"}, "is no path that a container can be given"),
        ({"read_write_paths": ["/srv/../etc"]}, "is no path that a container can be given"),
        ({"model_path": None}, "has no model_path"),
        ({"environment": {"AUTOGLM_ENGINE_USER": "0:0"}}, "is no variable"),
        ({"image": None, "devices": ["nvidia.com/gpu=0"]}, "devices is for one with an image"),
    ],
)
def test_what_cannot_be_run_so_is_said(own: dict[str, Any], reason: str) -> None:
    with pytest.raises(UnitMistake, match=reason):
        plan(**own)
