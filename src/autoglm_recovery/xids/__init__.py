# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The catalogue of GPU faults for people: facts with their sources, our decisions and the reasons for them.

``catalogue.json`` holds what NVIDIA and others publish; ``decisions.py`` our decisions about it.  Both together give
``plugins/module_utils/faults/catalogue/data.py``, the small part that targets need, by
``python -m tests.support.tooling.xids``.
"""
