# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The receiver: alert in, decision, launch, verification.

Its rooms are the way of an alert.  Each stands on those below it alone: ``tool.importlinter`` in pyproject.toml has
their order, docs/architecture.md says what each is for.
"""
