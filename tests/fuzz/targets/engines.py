# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What engines answer: pages of metrics, and documents."""

from __future__ import annotations

import math
from dataclasses import replace

from autoglm_recovery.knowledge.engines import exposition
from autoglm_recovery.knowledge.engines.protocol import EngineError, Generation, NotSupported, Reading, Stats
from autoglm_recovery.knowledge.engines.registry import ENGINES, open_engine
from autoglm_recovery.knowledge.engines.server import decode
from autoglm_recovery.knowledge.engines.transport import Response
from tests.fuzz.target import RECORDED, Target, files, text

_OPTIONS = {
    "ollama": {"model": "m"},
    "triton": {"model": "m", "backend": "vllm"},
    "vllm": {"load_tracking": True},
    "generic": {
        "metrics_path": "/metrics",
        "running_metric": "tgi_queue_size",
        "waiting_metric": "tgi_batch_current_size",
        "models_path": "/v1/models",
        "version_path": "/v",
        "completion": "openai_chat",
        "abort_path": "/abort",
    },
}
# One document a line; each has keys that several engines answer with.
_DOCUMENTS = (
    b'{"data":[{"id":"m","object":"model"}],"object":"list"}',
    b'{"models":[{"name":"m","model":"m","details":{"format":"gguf"}}],"version":"0.12"}',
    b'{"choices":[{"index":0,"text":" a","message":{"role":"assistant","content":"hi"},"finish_reason":"length"}],'
    b'"usage":{"completion_tokens":8,"prompt_tokens":2},"model":"m"}',
    b'{"model":"m","response":"a","done":true,"done_reason":"stop","eval_count":8}',
    b'{"generated_text":"a","details":{"generated_tokens":8,"finish_reason":"length"}}',
    b'{"loads":[{"num_running_reqs":1,"num_waiting_reqs":0,"token_usage":0.2,"gen_throughput":3.5}],"is_paused":false}',
    b'[{"id":0,"is_processing":false,"n_past":3,"next_token":[{"n_decoded":7}]},{"id":1,"is_processing":true}]',
    b'{"server_load":1,"is_sleeping":false,"state":"READY","status":"ok","error":{"message":"x"}}',
    b'{"text_output":"a","num_output_tokens":3,"output_log_probs":[0.1],"model_id":"m","build_info":"b1"}',
    b'[{"name":"m","version":"1","state":"READY"}]',
)
_KEYS = b"""data id models choices text message content usage completion_tokens response eval_count generated_text
details generated_tokens loads num_running_reqs num_waiting_reqs token_usage gen_throughput is_paused is_sleeping
is_processing state server_load text_output num_output_tokens n_saved n_restored"""


def _page_holds(data: bytes, found: object) -> None:
    assert isinstance(found, exposition.Exposition)
    lines = [line.strip() for line in text(data).split("\n")]
    assert len(found.samples) + found.rubbish == sum(1 for line in lines if line and not line.startswith("#"))
    for name in {sample.name for sample in found.samples}:
        total = found.total(name)
        assert total is None or not math.isnan(total)
        assert all(math.isfinite(value) for value in found.values(name))


def _everything(name: str, data: bytes) -> list[object]:
    """Each question of an engine, when each of them gets this answer."""
    engine = open_engine(
        name, "http://a", options=_OPTIONS.get(name), transport=lambda _request: Response(200, data, 0.01)
    )
    found: list[object] = [
        engine.live(),
        engine.ready(),
        engine.accepting(),
        engine.awake(),
        engine.stats(),
        replace(engine.work(), at=0.0, waited=0.0),
    ]
    for act in (lambda: engine.generate("hi", 8), lambda: engine.save_state("x"), lambda: engine.load_state("x")):
        try:
            made = act()
            found.append(replace(made, seconds=0.0) if isinstance(made, Generation) else made)
        except (EngineError, NotSupported) as error:
            assert str(error)
    return found


def _answer_holds(_data: bytes, found: object) -> None:
    assert isinstance(found, list)
    for each in found:
        if isinstance(each, Reading):
            assert each.value in (True, False, None)
            assert each.reason
        elif isinstance(each, Stats):
            for count in (each.running, each.waiting, each.prompt_tokens_total, each.generation_tokens_total):
                assert count is None or (type(count) is int and count >= 0)
            assert each.kv_cache_usage is None or 0 <= each.kv_cache_usage <= 1
        elif isinstance(each, Generation):
            assert each.text
            assert each.tokens >= 1


def _pages() -> list[bytes]:
    whole = files(RECORDED, "*_metrics.txt")
    return [*whole, *(page[:3000] for page in whole)]


def _answers() -> list[bytes]:
    return [*_DOCUMENTS, *(page[:3000] for page in _pages())]


TARGETS = (
    Target("metrics-page", lambda data: exposition.parse(text(data)), _pages, holds=_page_holds, growth=64),
    Target("engine-document", lambda data: decode(Response(200, data, 0.01)), lambda: _DOCUMENTS, (EngineError,)),
    *(
        Target(
            f"engine-{name}",
            lambda data, name=name: _everything(name, data),  # type: ignore[misc]
            _answers,
            holds=_answer_holds,
            words=tuple(b'"%s"' % key for key in _KEYS.split()),
        )
        for name in sorted(ENGINES)
    ),
)
