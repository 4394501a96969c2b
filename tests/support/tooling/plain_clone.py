# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What somebody meets who has cloned the repository and has ansible-lint, and nothing of ours: it passes there too."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from tests.support.tooling import environments
from tests.support.tooling.workplace import CHECKOUT, StepFailedError, Workplace

REQUIREMENTS = ("ansible-lint==26.10.1", "ansible-core==2.21.5")
PASSED = "Profile 'production' was required, and it passed."


def lint(workplace: Workplace) -> str:
    """Lint what is committed, with the production profile, in a clone of its own and with an empty home folder."""
    # Nobody else lints in a run of all steps, so that ours has to do where there is no newer Python.
    linter = environments.on_newer_python("ansible-lint", REQUIREMENTS) or workplace
    with tempfile.TemporaryDirectory(prefix="autoglm-clone-") as temporary:
        clone = Path(temporary) / "recovery"
        workplace.read("git", "clone", "--quiet", str(CHECKOUT), str(clone), cwd=Path(temporary))
        # No variable of ours, of Ansible's or of an environment that somebody has activated.
        path = os.pathsep.join([str(linter.venv / "bin"), "/usr/local/bin", "/usr/bin", "/bin"])
        environment = {"HOME": temporary, "PATH": path, "LANG": "C.UTF-8"}
        done = workplace.ask(linter.program("ansible-lint"), "--profile", "production", cwd=clone, env=environment)
    if done.returncode != 0 or PASSED not in done.stdout:
        print(done.stdout, flush=True)
        raise StepFailedError(f"ansible-lint exited with {done.returncode} in a plain clone")
    return "ansible-lint of ours" if linter is workplace else f"ansible-lint {REQUIREMENTS[0].rpartition('=')[2]}"
