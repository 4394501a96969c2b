# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Ollama's adapter against answers out of its docs/api.md."""

from __future__ import annotations

import json

import pytest
from ansible_collections.autoglm.recovery.plugins.module_utils.engines.protocol import EngineError, NotSupported

ENGINE = "ollama"
pytestmark = pytest.mark.recorded

NONE_LOADED = {"GET /api/ps": (200, '{"models":[]}')}


def test_figures_that_it_does_not_tell_are_unknown(play) -> None:
    stats = play().engine.stats()
    assert (stats.models, stats.version) == (("codellama:13b", "llama3:latest"), "0.5.1")
    assert stats.in_flight is None
    assert "load balancer" in stats.in_flight_unread


@pytest.mark.parametrize(
    ("changes", "model", "ready", "awake"),
    [
        ({}, None, True, True),
        ({}, "llama3", True, True),  # a name without a tag means latest
        ({}, "codellama:13b", True, False),  # there, and not loaded
        ({}, "mistral", False, False),
        (NONE_LOADED, None, True, False),
        ({"GET /api/tags": (200, '{"models":[]}')}, None, False, True),
        ({"GET /api/tags": (200, "[]"), "GET /api/ps": "timeout"}, None, None, None),
    ],
)
def test_readiness_is_having_the_model_and_waking_is_loading_it(play, changes, model, ready, awake) -> None:
    engine = play(changes, **({"model": model} if model else {})).engine
    assert (engine.live().value, engine.ready().value, engine.awake().value) == (True, ready, awake)


def test_sleep_unloads_and_wake_loads(play) -> None:
    sleeper = play({"POST /api/generate": "unload"})
    sleeper.engine.sleep()
    assert sleeper.body_of("/api/generate") == {"model": "llama3:latest", "stream": False, "keep_alive": 0}
    waking = play({"POST /api/generate": "load"}, model="llama3")
    waking.engine.wake()
    assert waking.body_of("/api/generate") == {"model": "llama3", "stream": False}
    with pytest.raises(NotSupported, match="option model"):
        play().engine.wake()


def test_a_model_that_was_not_unloaded_is_no_success(play) -> None:
    with pytest.raises(EngineError, match="did not unload"):
        play({"POST /api/generate": "load"}).engine.sleep()
    with pytest.raises(EngineError, match="404"):
        play({"POST /api/generate": (404, '{"error":"model not found"}')}, model="x").engine.wake()


@pytest.mark.parametrize(("options", "asked"), [({}, "llama3:latest"), ({"model": "codellama:13b"}, "codellama:13b")])
def test_a_completion_of_the_model_that_is_meant(play, options, asked) -> None:
    recording = play(**options)
    made = recording.engine.generate("hi", 8)
    assert (made.tokens, made.finish_reason, made.model) == (16, "stop", "llama3.1:8b")
    assert recording.body_of("/api/generate")["model"] == asked


@pytest.mark.parametrize(
    "change",
    [
        {"done": False},
        {"done_reason": None},
        {"done_reason": "load"},
        {"response": ""},
        {"eval_count": 0},
        {"eval_count": None},
    ],
)
def test_what_proves_nothing(play, change) -> None:
    document = {"done": True, "done_reason": "stop", "response": "x", "eval_count": 1, **change}
    with pytest.raises(EngineError) as caught:
        play({"POST /api/generate": (200, json.dumps(document))}).engine.generate("hi", 8)
    assert caught.value.kind == "not_proven"
