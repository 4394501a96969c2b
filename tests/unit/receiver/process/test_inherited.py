# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What opens the receiver is handed on to nothing that it starts."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

from autoglm_recovery import receiver
from autoglm_recovery.receiver.process import inherited

RECEIVER = Path(receiver.__file__).parent


def test_what_is_the_receiver_s_own_is_left_out_and_all_else_is_handed_on() -> None:
    others = {"PATH": "/bin", "PGHOST": "db", "PGPASSFILE": "/p", "HF_TOKEN": "x", "OTEL_EXPORTER_OTLP_ENDPOINT": "y"}
    assert inherited.environment({**dict.fromkeys(inherited.RECEIVER_S_OWN, "secret"), **others}) == others


def _starts(path: Path) -> Iterator[ast.Call]:
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Call) and ast.unparse(node.func) in ("subprocess.run", "subprocess.Popen"):
            yield node


def test_whatever_the_receiver_starts_gets_no_more() -> None:
    starts = [(path.name, start) for path in RECEIVER.rglob("*.py") for start in _starts(path)]
    assert {name for name, _start in starts} >= {"run_directory.py", "warmer.py", "ansible.py", "container.py"}
    for name, start in starts:
        given = {word.arg: ast.unparse(word.value) for word in start.keywords}
        assert "inherited.environment()" in given.get("env", ""), f"{name}:{start.lineno}"
