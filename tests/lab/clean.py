# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""``make demo-clean``: remove a lab that KEEP=1 left up, or that was killed."""

from __future__ import annotations

import os
import sys

from . import image, laboratory
from .errors import LabError
from .places import CACHE
from .progress import say


def main() -> int:
    """Remove it and say what stays."""
    if os.geteuid() != 0:
        say("error: the lab belongs to root: run this as root, or with sudo")
        return 1
    try:
        existed = laboratory.down()
    except LabError as error:
        say(f"error: {error}")
        return 1
    say("The lab is gone." if existed else "There was no lab.")
    say(f"Kept for a quick next start: the images {image.REPOSITORY}*, and {CACHE}")
    images = f"$(podman images --quiet --filter reference='{image.REPOSITORY}*')"
    say(f"To remove these too: podman rmi --force {images}; rm -r {CACHE}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
