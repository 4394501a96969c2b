# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The llama.cpp adapter against answers recorded from llama-server 0.7 (build 11669)."""

from __future__ import annotations

import pytest
from ansible_collections.autoglm.recovery.plugins.module_utils.engines.protocol import EngineError, NotSupported
from ansible_collections.autoglm.recovery.plugins.module_utils.engines.registry import open_engine

NO_SLOTS = (
    501,
    '{"error":{"code":501,"message":"This server does not support slots endpoint. Start it with `--slots`"}}',
)
NO_SAVE = (
    501,
    '{"error":{"code":501,"message":"This server does not support slots action. Start it with `--slot-save-path`"}}',
)
LOADING = (503, '{"error":{"message":"Loading model","type":"unavailable_error","code":503}}')
TWO_SLOTS = (200, '[{"id":0,"n_ctx":2048,"is_processing":false},{"id":1,"n_ctx":2048,"is_processing":false}]')


def engine(transport):
    return open_engine("llama_cpp", "http://127.0.0.1:8080", transport=transport)


@pytest.mark.parametrize(
    ("answer", "live", "ready"),
    [
        ((200, '{"status":"ok"}'), True, True),
        (LOADING, True, False),
        ((404, ""), None, None),
        ((301, ""), None, None),
        ((500, "boom"), None, None),
        ("timeout", None, None),
        ("refused", None, None),
    ],
)
def test_health(fake_transport, answer, live, ready) -> None:
    subject = engine(fake_transport({"GET /health": answer}))
    assert subject.live().value is live
    assert subject.ready().value is ready
    assert subject.live().reason


def test_figures(fake_transport, recorded) -> None:
    answers = {
        "GET /metrics": (200, recorded("llama_cpp_metrics.txt")),
        "GET /v1/models": (200, '{"object":"list","data":[{"id":"tiny"}]}'),
        "GET /props": (200, '{"build_info":"b11669-Debian"}'),
    }
    stats = engine(fake_transport(answers)).stats()
    assert (stats.running, stats.waiting, stats.generation_tokens_total) == (0, 0, 11)
    assert (stats.models, stats.version) == (("tiny",), "b11669-Debian")
    assert stats.kv_cache_usage is None
    assert set(stats.unread) == {"kv_cache_usage"}


def test_figures_that_cannot_be_read_are_none_with_a_reason(fake_transport) -> None:
    stats = engine(
        fake_transport({"GET /metrics": (501, "Start it with `--metrics`"), "GET /props": "timeout"})
    ).stats()
    assert stats.running is None
    assert "--metrics" in stats.unread["running"]
    assert stats.version is None


def test_figures_that_cannot_be_are_not_believed(fake_transport) -> None:
    rubbish = "llamacpp:requests_processing -3\nllamacpp:requests_deferred 1.5\nllamacpp:tokens_predicted_total NaN\n"
    stats = engine(fake_transport({"GET /metrics": (200, rubbish)})).stats()
    assert (stats.running, stats.waiting, stats.generation_tokens_total) == (None, None, None)


def test_a_dead_server_is_asked_once_for_its_figures(fake_transport) -> None:
    transport = fake_transport({"GET /metrics": "timeout"})
    stats = engine(transport).stats()
    assert transport.paths == ["GET /metrics"]
    assert set(stats.unread) >= {"running", "models", "version"}


def test_what_it_cannot_do_it_says(fake_transport) -> None:
    subject = engine(fake_transport({}))
    for act in (subject.stop_accepting, subject.resume_accepting, subject.abort_all):
        with pytest.raises(NotSupported):
            act()


@pytest.mark.parametrize(
    "answers", [{"GET /slots": NO_SLOTS}, {"GET /slots": TWO_SLOTS, "POST /slots/0?action=save": NO_SAVE}]
)
def test_saving_that_was_not_switched_on_names_the_flag(fake_transport, answers) -> None:
    with pytest.raises(NotSupported, match="--slot"):
        engine(fake_transport(answers)).save_state("x")


def test_saving_and_loading_every_slot(fake_transport) -> None:
    answers = {
        "GET /slots": TWO_SLOTS,
        "POST /slots/0?action=save": (200, '{"id_slot":0,"filename":"x-slot0.bin","n_saved":9}'),
        "POST /slots/1?action=save": (200, '{"id_slot":1,"filename":"x-slot1.bin","n_saved":0}'),
        "POST /slots/0?action=restore": (200, '{"id_slot":0,"n_restored":9}'),
        "POST /slots/1?action=restore": (400, '{"error":{"message":"Unable to restore slot"}}'),
    }
    subject = engine(fake_transport(answers))
    assert subject.save_state("x").parts == {"x-slot0.bin": 9, "x-slot1.bin": 0}
    with pytest.raises(EngineError, match="slot 1"):
        subject.load_state("x")


def test_a_busy_slot_is_not_saved(fake_transport) -> None:
    transport = fake_transport({"GET /slots": (200, '[{"id":0,"is_processing":true}]')})
    with pytest.raises(EngineError, match="busy"):
        engine(transport).save_state("x")
    assert transport.paths == ["GET /slots"]


def test_a_completion_asks_for_real_work(fake_transport) -> None:
    body = '{"choices":[{"text":" the","finish_reason":"length"}],"usage":{"completion_tokens":1},"model":"tiny"}'
    transport = fake_transport({"POST /v1/completions": (200, body)})
    assert engine(transport).generate("hi", 1).tokens == 1
    assert b'"ignore_eos": true' in transport.asked[0].body
    assert b'"cache_prompt": false' in transport.asked[0].body


def test_an_unknown_engine_is_refused() -> None:
    with pytest.raises(ValueError, match=r"unknown engine 'tig'; known are generic, llama_cpp.* vllm"):
        open_engine("tig", "http://a")
