# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The errors of checkpoints."""

from __future__ import annotations


class CheckpointError(Exception):
    """The operation failed and left nothing half done. The text is for the operator."""


class Damaged(Exception):
    """The data is not a complete checkpoint. The text says what is wrong, and where."""


class Unsupported(Damaged):
    """A format that cannot be proven. The text says which, and what the operator can do."""
