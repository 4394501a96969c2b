# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The text format of metrics: real samples, traps, and whatever else may come."""

from __future__ import annotations

import math

import pytest
from ansible_collections.autoglm.recovery.plugins.module_utils.engines.exposition import parse, parse_line
from hypothesis import given
from hypothesis import strategies as st


def test_real_llama_cpp_metrics_are_read_whole(recorded) -> None:
    found = parse(recorded("llama_cpp_metrics.txt"))
    assert found.rubbish == 0
    assert found.total("llamacpp:tokens_predicted_total") == 11
    assert found.total("llamacpp:kv_cache_usage_ratio") is None


def test_real_vllm_metrics_are_read_whole(recorded) -> None:
    found = parse(recorded("vllm_metrics.txt"))
    assert found.rubbish == 0
    assert found.total("vllm:num_requests_running") == 4


@pytest.mark.parametrize(
    ("line", "value"),
    [
        ("up 1", 1.0),
        ("up\t1", 1.0),
        ("up 1.5e-3 1395066363000", 0.0015),
        ("up{} -2.E2", -200.0),
        ('up{a="b"}3', 3.0),
        ("up +Inf", math.inf),
        ("up -inf", -math.inf),
    ],
)
def test_values_of_the_format(line: str, value: float) -> None:
    sample = parse_line(line)
    assert sample is not None
    assert sample.value == value


def test_nan_is_a_value_but_not_a_figure() -> None:
    found = parse('q{engine="0"} 3\nq{engine="1"} NaN\n')
    assert math.isnan(found.samples[1].value)
    assert found.total("q") is None  # 3 would claim that the other engine has no queue
    assert found.maximum("q") is None


def test_labels_with_escapes_commas_and_braces() -> None:
    sample = parse_line(r'm{a="q\"uo\\te\n}",b="x,y={z}" , } 7')
    assert sample is not None
    assert sample.labels == {"a": 'q"uo\\te\n}', "b": "x,y={z}"}


@pytest.mark.parametrize(
    "line",
    ["", "up", "up one", "up 1 2 3", "up 1_000", "up 0x10", "up infinity", "up{a=b} 1", 'up{a="b} 1', "up{ 1", "1up 1",
     "<html>", '{"a": 1}', "up 1 noon"],
)  # fmt: skip
def test_what_is_no_sample_is_none(line: str) -> None:
    assert parse_line(line) is None


@given(st.text())
def test_rubbish_never_raises_and_never_becomes_a_figure_of_ours(text: str) -> None:
    assert parse("<html>" + text.replace("llamacpp", "")).total("llamacpp:requests_processing") is None


@given(st.floats(allow_nan=False), st.dictionaries(st.sampled_from(["a", "b_c", "_d"]), st.text(), max_size=3))
def test_what_is_written_is_read(value: float, labels: dict[str, str]) -> None:
    def escape(text: str) -> str:
        return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")

    inside = ",".join(f'{key}="{escape(text)}"' for key, text in labels.items())
    sample = parse_line(f"m{{{inside}}} {value!r}")
    assert sample is not None
    assert sample.value == value
    assert sample.labels == labels
