# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""trtllm-serve's adapter against answers written after its source."""

from __future__ import annotations

import pytest

ENGINE = "tensorrt_llm"
pytestmark = pytest.mark.recorded


@pytest.mark.parametrize(
    ("answer", "value"), [((200, ""), True), ((503, "LLM is unavailable."), False), ((500, ""), None)]
)
def test_health(play, answer, value) -> None:
    engine = play({"GET /health": answer}).engine
    assert (engine.live().value, engine.ready().value) == (value, value)


def test_figures_leave_the_queue_of_iterations_to_its_owner(play) -> None:
    recording = play()
    stats = recording.engine.stats()
    assert (stats.kv_cache_usage, stats.prompt_tokens_total, stats.generation_tokens_total) == (0.25, 100, 800)
    assert (stats.version, stats.models) == ("1.2.0", ("TinyLlama-1.1B-Chat-v1.0",))
    assert "GET /metrics" not in recording.paths


def test_gauges_of_the_last_request_that_ended_are_not_believed(play) -> None:
    """They say 0 running and 0 waiting, whatever has come since."""
    stats = play().engine.stats()
    assert stats.in_flight is None
    assert "when a request ends" in stats.in_flight_unread


def test_a_completion(play) -> None:
    recording = play()
    assert recording.engine.generate("hi", 8).tokens == 8
    assert recording.body_of("/v1/completions")["ignore_eos"] is True
