# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The command ``autoglm``.  What its exit codes say is in ``exit_codes``."""

from __future__ import annotations

from autoglm_recovery.cli.main import main

__all__ = ["main"]
