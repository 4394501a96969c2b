# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""``ansible-test integration`` as people run it: every target on this machine, in an environment of ansible-test's own.

The lab runs them again over SSH, on hosts where there is a systemd, an engine and a balancer; here each does what it
can without.
"""

from __future__ import annotations

import re
import sys
import tempfile
from pathlib import Path

from tests.support.tooling import ansible_test, interpreters
from tests.support.tooling.workplace import CHECKOUT, StepFailedError, Workplace

TARGETS = CHECKOUT / "tests/integration/targets"
RAN = re.compile(r"^Running (\w+) integration test role", re.MULTILINE)
WORTH_SHOWING = re.compile(r"^(Running \w+ integration|fatal: .*|FATAL: .*|PLAY RECAP|testhost .*)")


def run(workplace: Workplace) -> str:
    """Run all, also those that start and stop processes of their own. Raises StepFailedError if one did not run."""
    python = f"{sys.version_info[0]}.{sys.version_info[1]}"
    log = CHECKOUT / ".cache/logs/targets.log"
    with tempfile.TemporaryDirectory(prefix="autoglm-targets-") as temporary:
        copy = Path(temporary) / "ansible_collections/autoglm/recovery"
        ansible_test.copy(copy)
        command = [workplace.program("ansible-test"), "integration", "--color", "no", "--venv", "--python", python]
        environment = ansible_test.environment(workplace, interpreters.find())
        workplace.run_logged(*command, "--allow-destructive", log=log, show=WORTH_SHOWING, cwd=copy, env=environment)
    ran, wanted = set(RAN.findall(log.read_text("utf-8"))), {path.name for path in TARGETS.iterdir() if path.is_dir()}
    if ran != wanted:
        raise StepFailedError(f"these targets did not run: {', '.join(sorted(wanted - ran))}; all it said: {log}")
    return f"{len(ran)} targets, Python {python}"
