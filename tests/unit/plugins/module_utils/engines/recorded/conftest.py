# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Engines that cannot run here, played by answers out of their documentation and source."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from ansible_collections.autoglm.recovery.plugins.module_utils.engines.protocol import Engine
from ansible_collections.autoglm.recovery.plugins.module_utils.engines.registry import open_engine


class Recording:
    """The recorded answers of one engine, some of them changed, and what was asked."""

    def __init__(self, transport: Any, engine: Engine) -> None:
        self.transport = transport
        self.engine = engine

    @property
    def paths(self) -> list[str]:
        return self.transport.paths

    def body_of(self, path: str) -> Any:
        """The last document that was sent to a path."""
        return next(json.loads(each.body) for each in reversed(self.transport.asked) if each.url.endswith(path))


@pytest.fixture
def play(fake_transport, recorded, request) -> Callable[..., Recording]:
    """Open the engine that the test's file is named for; ``changes`` are answers as the fake transport has them."""
    name = request.module.ENGINE
    answers = json.loads(recorded(f"recorded/{name}.json"))["answers"]

    def play(changes: dict[str, Any] | None = None, **options: Any) -> Recording:
        table = {asked: _answer(answer) for asked, answer in answers.items()}
        for asked, answer in (changes or {}).items():
            table[asked] = table.get(answer, answer)
        transport = fake_transport(table)
        return Recording(
            transport, open_engine(name, "http://10.0.0.1:8000", options=options, api_key="s3cret", transport=transport)
        )

    return play


def _answer(answer: dict[str, Any]) -> tuple[int, str]:
    body = answer["body"]
    return answer["status"], body if isinstance(body, str) else json.dumps(body)
