# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The adapter of ONNX Runtime servers against answers out of their documentation."""

from __future__ import annotations

import pytest
from ansible_collections.autoglm.recovery.plugins.module_utils.engines.protocol import NotSupported
from ansible_collections.autoglm.recovery.plugins.module_utils.health.probe import CompletionAsked, observe
from ansible_collections.autoglm.recovery.plugins.module_utils.health.verdict import judge

ENGINE = "onnx_runtime"
pytestmark = pytest.mark.recorded


@pytest.mark.parametrize(
    ("changes", "model", "ready"),
    [
        ({}, None, True),
        ({}, "model_A/v1", True),
        ({}, "model_A/v2", False),
        ({"GET /api/sessions": (200, "[]")}, None, False),
        ({"GET /api/sessions": (200, "{}")}, None, None),
    ],
)
def test_it_is_ready_when_the_session_is_there(play, changes, model, ready) -> None:
    engine = play(changes, **({"model": model} if model else {})).engine
    assert (engine.live().value, engine.ready().value) == (True, ready)


def test_figures(play) -> None:
    stats = play().engine.stats()
    assert (stats.models, stats.version, stats.in_flight) == (("model_A/v1",), "1.0.0", None)
    assert "load balancer" in stats.in_flight_unread


def test_the_retired_server_tells_that_it_answers_and_no_more(play) -> None:
    recording = play({"GET /": (404, '{"error_code": 404, "error_message": "Unsupported"}')}, api="predict")
    assert (recording.engine.live().value, recording.engine.ready().value) == (True, None)
    assert recording.engine.stats().models is None


def test_tensors_are_no_completion_so_that_a_demand_for_one_is_unknown(play) -> None:
    engine = play().engine
    with pytest.raises(NotSupported, match="tensors"):
        engine.generate("hi", 8)
    verdict = judge(observe(engine, CompletionAsked(), None))
    assert verdict.verdict == "unknown"
    seen = observe(engine, None, None)
    assert judge(seen).verdict == "unknown"
    assert judge(seen, answers_suffice=True).verdict == "healthy"
