# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Structured logs: JSON lines for machines, or plain lines for a person at a terminal."""

from __future__ import annotations

import logging
import sys
from collections.abc import Mapping
from typing import Any, TextIO, cast

import structlog

from autoglm_recovery.knowledge.host.redaction import redact_text


def _without_secrets(_logger: object, _method: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
    """Take out what looks like a secret, whoever wrote it; a line about a secret's place says ``..._file`` or a
    path."""
    return {key: _cleaned(value) for key, value in event.items()}


def _cleaned(value: Any) -> Any:
    """Return a value of a line, and what is in it: an error, say, is written as what it says of itself."""
    if isinstance(value, str):
        return redact_text(value)
    if isinstance(value, Mapping):
        return {_cleaned(key): _cleaned(held) for key, held in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [_cleaned(held) for held in value]
    if value is None or isinstance(value, (bool, int, float)):
        return value
    said = repr(value)
    clean = redact_text(said)
    return value if clean == said else clean


class _StandardError:
    """Standard error as it is when a line is written, for a logger that is made once and kept."""

    def write(self, text: str) -> int:
        """Write to it."""
        return sys.stderr.write(text)

    def flush(self) -> None:
        """Flush it."""
        sys.stderr.flush()


def configure(form: str) -> None:
    """Send our logs and those of the libraries to standard error in one form, ``json`` or ``text``."""
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
        _without_secrets,
    ]
    renderer: structlog.typing.Processor = (
        structlog.processors.JSONRenderer()
        if form == "json"
        else structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())
    )
    structlog.configure(
        processors=[*shared, renderer],
        logger_factory=structlog.PrintLoggerFactory(cast(TextIO, _StandardError())),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(structlog.stdlib.ProcessorFormatter(processor=renderer, foreign_pre_chain=shared))
    logging.basicConfig(handlers=[handler], level=logging.WARNING, force=True)
