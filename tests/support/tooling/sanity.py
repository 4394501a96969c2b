# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""ansible-test sanity on what ships, in the way that Automation Hub's importer does it."""

from __future__ import annotations

import re
import tempfile
from pathlib import Path

from tests.support.tooling import ansible_test, interpreters
from tests.support.tooling.workplace import CHECKOUT, Workplace

# The rest is what pip says for each of the environments.
WORTH_SHOWING = re.compile(
    r"^(Running sanity test|ERROR|FATAL: (?!Command)|WARNING: (?!Location|Using locale)|[a-z]\w+$|See )"
)


def run(workplace: Workplace) -> str:
    """Run all sanity tests; the modules are compiled and imported under every Python that is found."""
    pythons = interpreters.find()
    with tempfile.TemporaryDirectory(prefix="autoglm-sanity-") as temporary:
        copy = Path(temporary) / "ansible_collections/autoglm/recovery"
        count = ansible_test.copy(copy)
        print(f"{count} files, Python {', '.join(map(str, pythons))}", flush=True)
        command = [workplace.program("ansible-test"), "sanity", "--color", "no", "--venv"]
        log = CHECKOUT / ".cache/logs" / f"sanity-{workplace.name.lstrip('.')}.log"
        environment = ansible_test.environment(workplace, pythons)
        workplace.run_logged(*command, log=log, show=WORTH_SHOWING, cwd=copy, env=environment)
    return f"{count} files"
