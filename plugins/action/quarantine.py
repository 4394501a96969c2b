# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a host answers to quarantine is looked at before Ansible is; the note says who ordered it."""

from __future__ import annotations

from ansible_collections.autoglm.recovery.plugins.plugin_utils.ordered import ActionModule

__all__ = ["ActionModule"]
