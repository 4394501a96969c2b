# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What goes wrong with checkpoints."""

from __future__ import annotations


class CheckpointError(Exception):
    """What was asked for was not done, and nothing was left half done. The text is for the operator."""


class Damaged(Exception):
    """These bytes are no whole checkpoint. The text says what is wrong, and where."""


class Unsupported(Damaged):
    """A form of checkpoint that cannot be proven from outside. The text says which, and what can be done."""
