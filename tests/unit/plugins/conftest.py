# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the tests of the plugins share: recorded answers, and a server that misbehaves on purpose."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from ansible_collections.autoglm.recovery.plugins.module_utils.engines.transport import (
    EngineRequest,
    Response,
    TransportError,
)

from tests.support.servers.listening import Handle, answering

FIXTURES = Path(__file__).parent / "fixtures"


@pytest.fixture
def recorded() -> Callable[[str], str]:
    """The text of a recorded answer of a real server."""
    return lambda name: (FIXTURES / name).read_text(encoding="utf-8")


class FakeTransport:
    """Answers from a table of ``"METHOD /path"`` -> (status, body) or an error's kind, and keeps what was asked."""

    def __init__(self, answers: dict[str, tuple[int, str] | str]) -> None:
        self.answers = answers
        self.asked: list[EngineRequest] = []

    def __call__(self, request: EngineRequest) -> Response:
        self.asked.append(request)
        path = "/" + request.url.split("/", 3)[3]
        answer = self.answers.get(f"{request.method} {path}", (404, '{"detail":"Not Found"}'))
        if isinstance(answer, str):
            raise TransportError(answer, f"it was {answer}")
        return Response(answer[0], answer[1].encode(), 0.01)

    @property
    def paths(self) -> list[str]:
        return [f"{request.method} /{request.url.split('/', 3)[3]}" for request in self.asked]


@pytest.fixture
def fake_transport() -> type[FakeTransport]:
    return FakeTransport


@pytest.fixture
def fake_server() -> Iterator[Callable[[Handle], str]]:
    """Start a server whose connections a function of the test handles; gives its URL. Ends with the test."""
    with answering() as start:
        yield start
