# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether an installation is whole, and what to do where it is not.

Small pure checks turn what was read into findings: ``inventory``, ``targets``, ``hosts``, ``looked_at``, ``settings``.
Thin shells ask: ``trying`` launches runs as incidents do, ``examine`` asks everything in turn.
"""
