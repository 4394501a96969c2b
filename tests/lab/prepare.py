# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the lab needs before it has an environment, for which Python and what Debian has suffice.

``python3 -m tests.lab.prepare packages`` installs what is missing, ``image`` builds the hosts' image.
"""

from __future__ import annotations

import sys

from . import image, prerequisites
from .errors import LabError
from .progress import say

STEPS = {"packages": prerequisites.ensure, "image": image.ensure}


def main() -> int:
    """Do one of them."""
    try:
        STEPS[sys.argv[1]]()
    except LabError as error:
        say(f"error: {error}")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
