# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The Python of a compromised host: ``PLAN PYTHON MODULE_FILE``, where PLAN says what it answers to which module.

It runs modules as an honest host does, so that a playbook gets as far as it would, until it is asked for the one that
the plan names. Then it answers with what the plan adds, or with something that is no answer.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any, NoReturn


def main(plan: dict[str, Any], python: str, arguments: list[str]) -> NoReturn:
    """Answer one module."""
    asked = next((word for word in arguments if "AnsiballZ_" in word), "")
    if f"AnsiballZ_{plan['module']}.py" not in asked:
        os.execv(python, [python, *arguments])  # noqa: S606 - as an interpreter is started
    if plan.get("endless"):
        while True:
            os.write(1, b'{"verdict": "' + b"x" * 2**20)
    if plan.get("text"):
        print(plan["text"])
        sys.exit(plan.get("rc", 0))
    honest = subprocess.run([python, *arguments], capture_output=True, text=True, check=False).stdout
    start = honest.find("{")
    answer = json.loads(honest[start:]) if start >= 0 else {}
    print(json.dumps({**answer, **plan.get("adds", {})}))
    sys.exit(0)


if __name__ == "__main__":
    main(json.loads(Path(sys.argv[1]).read_text()), sys.argv[2], sys.argv[3:])
