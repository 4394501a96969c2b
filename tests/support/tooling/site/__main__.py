# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""`make docs`: python -m tests.support.tooling.site"""

from __future__ import annotations

import sys
from pathlib import Path

from tests.support.tooling.site.build import build
from tests.support.tooling.workplace import StepFailedError, Workplace

if __name__ == "__main__":
    try:
        print(build(Workplace(Path(sys.prefix).name, Path(sys.prefix))))
    except StepFailedError as problem:
        sys.exit(f"the site was not built: {problem}")
