# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One sentence for a host whose Python is too old, in place of an exception's text.

This file, and whatever of a module comes before check(), has to be read by every Python on which some ansible-core runs
modules: no annotations, nothing newer than Python 3.6, and nothing imported that is.
"""

import json
import sys

NEEDED = (3, 9)


def check(version=sys.version_info):  # type: ignore[no-untyped-def]
    """End the module, failed, where Python is too old. version: as sys.version_info."""
    if tuple(version[:2]) >= NEEDED:
        return
    words = "autoglm.recovery needs Python {}.{} or newer, this host has {}.{} ({}). Another is named by {}."
    told = words.format(*NEEDED, *version[:2], sys.executable, "ansible_python_interpreter")
    sys.stdout.write(json.dumps({"failed": True, "msg": told}) + "\n")
    raise SystemExit(1)
