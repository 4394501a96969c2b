# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""autoglm.recovery: the receiver, the command line and the knowledge they share with the collection."""

from __future__ import annotations

__version__ = "0.1.0"
