# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The generic engine, and options in general: what was not said is not supported, what was said wrongly is an error."""

from __future__ import annotations

import pytest
from ansible_collections.autoglm.recovery.plugins.module_utils.engines.protocol import EngineError, NotSupported
from ansible_collections.autoglm.recovery.plugins.module_utils.engines.registry import ENGINES, open_engine
from hypothesis import given, settings
from hypothesis import strategies as st

METRICS = 'my_running{pool="a"} 2\nmy_running{pool="b"} 1\nmy_waiting 4\nmy_cache{gpu="0"} 0.2\nmy_cache{gpu="1"} 0.9\n'


def engine(transport, **options):
    return open_engine("generic", "http://127.0.0.1:1", options=options, transport=transport)


def test_without_options_it_knows_only_whether_it_is_alive(fake_transport) -> None:
    subject = engine(fake_transport({"GET /health": (200, "")}))
    assert (subject.live().value, subject.ready().value) == (True, True)
    stats = subject.stats()
    assert stats.in_flight is None
    assert "metrics_path was not given" in stats.in_flight_unread
    with pytest.raises(NotSupported, match="option completion"):
        subject.generate("hi", 8)
    with pytest.raises(NotSupported, match="option abort_path"):
        subject.abort_all()


def test_figures_by_the_names_that_were_given(fake_transport) -> None:
    names = {"running_metric": "my_running", "waiting_metric": "my_waiting", "kv_cache_usage_metric": "my_cache"}
    answers = {"GET /m": (200, METRICS), "GET /v": (200, '{"version":"7"}')}
    stats = engine(fake_transport(answers), metrics_path="/m", version_path="/v", **names).stats()
    assert (stats.in_flight, stats.kv_cache_usage, stats.version) == (7, 0.9, "7")
    misspelt = engine(fake_transport(answers), metrics_path="/m", **{**names, "waiting_metric": "my_wating"}).stats()
    assert misspelt.in_flight is None
    assert "my_wating is not among the metrics" in misspelt.in_flight_unread


@pytest.mark.parametrize(
    ("answer", "ready"),
    [((200, ""), True), ((204, ""), True), ((503, ""), False), ((404, ""), None), ((302, ""), None)],
)
def test_readiness(fake_transport, answer, ready) -> None:
    subject = engine(fake_transport({"GET /live": (200, ""), "GET /r": answer}), live_path="/live", ready_path="/r")
    assert (subject.live().value, subject.ready().value) == (True, ready)


def test_an_order_is_done_only_when_the_server_says_so(fake_transport) -> None:
    transport = fake_transport({"POST /pause?mode=x": (200, ""), "POST /resume": (202, "")})
    subject = engine(transport, pause_path="/pause?mode=x", resume_accepting_path="/resume", wake_path="/nowhere")
    subject.pause()
    with pytest.raises(EngineError, match="202"):
        subject.resume_accepting()
    with pytest.raises(NotSupported, match="wake_path"):
        subject.wake()


def test_completions_of_every_form(fake_transport) -> None:
    chat = '{"choices":[{"message":{"content":"hi"},"finish_reason":"stop"}],"usage":{"completion_tokens":1}}'
    subject = engine(fake_transport({"POST /c": (200, chat)}), completion="openai_chat", completion_path="/c")
    assert subject.generate("hi", 8).text == "hi"
    silent = chat.replace('"hi"', '""')
    with pytest.raises(EngineError, match="no text"):
        engine(fake_transport({"POST /c": (200, silent)}), completion="openai_chat", completion_path="/c").generate(
            "", 1
        )


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("generic", {"metric_path": "/m"}, "has no option 'metric_path'; known are .*metrics_path"),
        ("generic", {"metrics_path": "metrics"}, "begins with a slash"),
        ("generic", {"metrics_path": "/a b"}, "begins with a slash"),
        ("generic", {"metrics_path": "/a\r\nX: y"}, "must be a text"),
        ("generic", {"metrics_path": 8}, "must be a text"),
        ("generic", {"completion": "grpc"}, "must be one of none, openai"),
        ("generic", {"running_metric": "a{b}"}, "name of a metric"),
        ("llama_cpp", {"model": "x"}, "it has none"),
        ("triton", {"metrics_url": "127.0.0.1:8002"}, "http://"),
        ("triton", {"backend": "python"}, "vllm, tensorrt_llm"),
        ("vllm", {"load_tracking": "maybe"}, "true, false"),
    ],
)
def test_options_that_cannot_be(name: str, options: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        open_engine(name, "http://a", options=options)


@pytest.mark.parametrize("value", [True, "true", "True"])
def test_a_flag_is_taken_as_yaml_has_it(value) -> None:
    open_engine("vllm", "http://a", options={"load_tracking": value})


@settings(deadline=None)
@given(
    st.sampled_from(sorted(ENGINES)), st.dictionaries(st.text(), st.none() | st.booleans() | st.integers() | st.text())
)
def test_options_are_read_or_refused_with_a_reason(name: str, options: dict) -> None:
    try:
        open_engine(name, "http://a", options=options)
    except ValueError as error:
        assert f"engine {name}" in str(error) or "URL" in str(error)


@pytest.mark.parametrize(
    ("options", "asked"),
    [({"abort_path": "/a"}, ["POST /a"]), ({"abort_path": "/a", "reset_path": "/r"}, ["POST /a", "POST /r"])],
)
def test_it_is_cleared_by_what_it_has(fake_transport, options: dict, asked: list[str]) -> None:
    transport = fake_transport({"POST /a": (200, ""), "POST /r": (200, "")})
    engine(transport, **options).clear()
    assert transport.paths == asked


def test_it_is_not_cleared_where_it_cannot_end_requests(fake_transport) -> None:
    with pytest.raises(NotSupported, match="abort_path"):
        engine(fake_transport({}), reset_path="/r").clear()
