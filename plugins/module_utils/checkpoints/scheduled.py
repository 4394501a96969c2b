# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The program that the timer runs: one save with parameters from a file, without Ansible."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Sequence

from ..host.libraries import MissingLibrary
from . import operation
from .problems import CheckpointError, Damaged


def main(arguments: Sequence[str]) -> int:
    """Save, and print the result as one line of JSON. Returns the exit status: 0 saved, 1 not saved, 2 usage."""
    if len(arguments) != 1:
        sys.stderr.write("usage: checkpoint.pyz PARAMETERS.json\n")
        return 2
    os.umask(0o077)
    try:
        with open(arguments[0], encoding="utf-8") as file:
            params = json.load(file)
        result = operation.save(params)
    except (CheckpointError, Damaged, MissingLibrary, ValueError, KeyError, OSError) as error:
        sys.stderr.write(f"no checkpoint was saved: {error}\n")
        return 1
    sys.stdout.write(json.dumps(result, sort_keys=True) + "\n")
    return 0
