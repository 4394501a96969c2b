# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Send traces by OTLP over HTTP.  Needs the extra ``otel``; the address comes from OpenTelemetry's own variables.

Ids follow from the incident, so that two replicas that export the same incident export the same spans.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.id_generator import IdGenerator

from autoglm_recovery.receiver.observe.tracing import EVERY_S, SpanPlan


def exporter() -> Callable[[int, SpanPlan], None]:
    """Return what sends the trace of an incident."""
    ids = _Ids()
    # It logs what it cannot read of the headers, and they hold a token.
    logging.getLogger("opentelemetry.util.re").addFilter(_quote_nothing)
    provider = TracerProvider(resource=Resource.create({"service.name": "autoglm-receiver"}), id_generator=ids)
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    tracer = provider.get_tracer("autoglm_recovery")

    def export(incident_id: int, planned: SpanPlan) -> None:
        ids.begin(f"{incident_id} {planned.start}")
        _write(tracer, planned, None)
        provider.force_flush(int(EVERY_S * 1000))

    return export


def _write(tracer: trace.Tracer, planned: SpanPlan, parent: Context | None) -> None:
    span = tracer.start_span(
        planned.name, parent, start_time=_nanoseconds(planned.start), attributes=dict(planned.attributes)
    )
    for at, name, text in planned.events:
        span.add_event(name, {"text": text}, timestamp=_nanoseconds(at))
    if planned.failed:
        span.set_status(trace.StatusCode.ERROR)
    context = trace.set_span_in_context(span)
    for child in planned.children:
        _write(tracer, child, context)
    span.end(end_time=_nanoseconds(planned.end))


def _quote_nothing(record: logging.LogRecord) -> bool:
    record.args = ("...",)
    return True


class _Ids(IdGenerator):
    """Ids that follow from the incident, in the order in which its spans are written."""

    def __init__(self) -> None:
        self._seed, self._count = "", 0

    def begin(self, seed: str) -> None:
        """Begin a trace."""
        self._seed, self._count = seed, 0

    def generate_trace_id(self) -> int:
        """Return 128 bits, never 0."""
        return int.from_bytes(self._digest("trace")[:16], "big") or 1

    def generate_span_id(self) -> int:
        """Return 64 bits, never 0."""
        self._count += 1
        return int.from_bytes(self._digest(f"span {self._count}")[:8], "big") or 1

    def _digest(self, what: str) -> bytes:
        return hashlib.sha256(f"{self._seed} {what}".encode()).digest()


def _nanoseconds(seconds: float) -> int:
    return int(seconds * 1e9)
