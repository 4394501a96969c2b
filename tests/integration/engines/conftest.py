# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Real servers: llama.cpp's is started for each test, vLLM's once."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.servers import llama, vllm


@pytest.fixture
def server(tmp_path: Path) -> Iterator[llama.Llama]:
    """A llama-server with two slots."""
    with llama.running(tmp_path) as running:
        yield running


@pytest.fixture(scope="session")
def vllm_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[vllm.Vllm]:
    """A vLLM in dev mode that runs four requests at once and counts those that it has in hand."""
    if Path(sys.prefix).name.endswith("-newest"):
        pytest.skip("vLLM takes minutes and does not depend on the version of Ansible: it is tested in .venv alone")
    try:
        with vllm.running(tmp_path_factory.mktemp("vllm"), "--enable-server-load-tracking") as running:
            yield running
    except vllm.Unavailable as reason:
        pytest.skip(str(reason))
