# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""An ended incident is one trace: its spans, their times, and the same bytes from whoever exports it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)

from autoglm_recovery.receiver.observe.tracing import plan
from autoglm_recovery.receiver.observe.tracing_otlp import exporter
from tests.support.servers.http_answers import Asked, Reply, answering_http

PROTOBUF = "application/x-protobuf"
T = "2026-11-22T20:00:{:09.6f}+00:00"


def incident(**changes: Any) -> dict[str, Any]:
    run = {"id": 3, "action": "restart_process", "attempt": 1, "state": "succeeded"}
    return {
        "id": 7, "failure_class": "oom", "fault_mode": "transient", "root_cause": "InferenceOOMKilled",
        "host": "node-a", "service": "llama", "pool": None, "gpu": None, "state": "resolved", "reason": "proved",
        "first_starts_at": T.format(0), "ended_at": T.format(8.5),
        "timeline": [{"at": T.format(1.5), "kind": "committed", "text": "webhook committed"}],
        "runs": [{**run, "started_at": T.format(2), "ended_at": T.format(8)}],
        **changes,
    }  # fmt: skip


def test_detection_and_runs_are_spans_below_the_incident() -> None:
    root = plan(incident())
    assert root.end - root.start == pytest.approx(8.5)
    assert [(span.name, round(span.end - span.start, 3)) for span in root.children] == [
        ("detection", 1.5),
        ("run restart_process", 6.0),
    ]
    assert root.attributes["autoglm.target.host"] == "node-a"
    assert not root.failed


@pytest.mark.parametrize("state", ["closed", "escalated"])
def test_what_was_not_resolved_is_a_failed_span(state: str) -> None:
    assert plan(incident(state=state)).failed


def test_a_run_that_has_not_ended_is_no_span() -> None:
    unfinished = [{**incident()["runs"][0], "ended_at": None}]
    assert [span.name for span in plan(incident(runs=unfinished)).children] == ["detection"]


@pytest.fixture
def fake_collector(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[ExportTraceServiceRequest]]:
    """Takes what a collector would take, and keeps it.  See tests/FAKES.md."""
    received: list[ExportTraceServiceRequest] = []

    def take(asked: Asked) -> Reply:
        if asked.path != "/v1/traces":
            return Reply(404)
        if asked.method != "POST":
            return Reply(405)
        if asked.headers["Content-Type"] != PROTOBUF:
            return Reply(415)
        received.append(ExportTraceServiceRequest.FromString(asked.body))
        return Reply(200, ExportTraceServiceResponse().SerializeToString(), {"Content-Type": PROTOBUF})

    with answering_http(take) as server:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", server.url)
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_COMPRESSION", "none")
        yield received


def test_headers_that_cannot_be_read_are_not_logged(
    fake_collector: list[ExportTraceServiceRequest], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_HEADERS", "x-key=hunter2,hunter3")
    exporter()(7, plan(incident()))
    assert len(fake_collector) == 1
    assert "Header format invalid" in caplog.text
    assert "hunter" not in caplog.text


def test_two_replicas_export_the_same_trace(fake_collector: list[ExportTraceServiceRequest]) -> None:
    for export in (exporter(), exporter()):
        export(7, plan(incident()))
    first, second = (
        [span for resource in sent.resource_spans for scope in resource.scope_spans for span in scope.spans]
        for sent in fake_collector
    )
    assert {span.name for span in first} == {"incident oom", "detection", "run restart_process"}
    (root,) = (span for span in first if not span.parent_span_id)
    assert all(span.parent_span_id == root.span_id for span in first if span is not root)
    assert [(s.trace_id, s.span_id) for s in first] == [(s.trace_id, s.span_id) for s in second]
    assert [event.name for event in root.events] == ["committed"]
