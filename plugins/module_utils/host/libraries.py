# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is said where a library of others is not there."""

from __future__ import annotations


class MissingLibrary(Exception):
    """This Python lacks a library of others. A module tells it by Ansible's missing_required_lib."""

    def __init__(self, package: str, needed: str) -> None:
        """package: its name on PyPI. needed: what for, as words that follow "this is required"."""
        super().__init__(f"the Python package {package} is not there, which is required {needed}")
        self.package, self.needed = package, needed
