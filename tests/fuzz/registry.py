# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every parser that is fuzzed, by its name."""

from __future__ import annotations

from tests.fuzz.target import Target
from tests.fuzz.targets import (
    alertmanager,
    answers,
    balancers,
    checkpoints,
    engines,
    host,
    kernel,
    notes,
    receiver,
    root,
    web,
)

_GROUPS = (kernel, engines, alertmanager, balancers, checkpoints, host, notes, root, receiver, answers, web)
TARGETS: dict[str, Target] = {target.name: target for group in _GROUPS for target in group.TARGETS}
