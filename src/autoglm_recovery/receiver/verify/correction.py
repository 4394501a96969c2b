# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The class that the evidence names, in place of the one that an alert guessed from afar."""

from __future__ import annotations

# What the reading of a service can tell apart; of hardware and of hosts it knows nothing.
OF_A_PROCESS = frozenset({"oom", "crash", "deadlock", "unresponsive", "not_ready"})


def corrected(failure_class: str, read: str | None) -> str | None:
    """Return the class that a reading of the broken service puts in place of an incident's, or None.  Pure.

    ``read`` is the class that the playbook's own reading gave, before anything was changed: signal 9 and no trace of
    the OOM killer is a crash, whoever else on the host was killed for lack of memory in those minutes.
    """
    both = failure_class in OF_A_PROCESS and read in OF_A_PROCESS
    return read if both and read != failure_class else None
