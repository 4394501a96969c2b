# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Values from outside on their way into an inventory: no text in them is ever a template."""

from __future__ import annotations

from typing import Any


def as_data(value: Any) -> Any:
    """The same value, with all texts marked so that Ansible takes none for a template."""
    if isinstance(value, str):
        return _mark_unsafe(value)
    if isinstance(value, dict):
        return {_mark_unsafe(str(key)): as_data(held) for key, held in value.items()}
    if isinstance(value, list):
        return [as_data(held) for held in value]
    return value


def _mark_unsafe(text: str) -> Any:
    return _AnsibleUnsafeText(text) if _AnsibleUnsafeText is not None else text


def _unsafe_text_type() -> Any:
    """The type of a text that is no template; None from ansible-core 2.19 on, where only marked texts are templates."""
    try:
        from ansible.template import trust_as_template  # noqa: F401, PLC0415 - whether there is one is the question
    except ImportError:
        from ansible.utils.unsafe_proxy import AnsibleUnsafeText  # noqa: PLC0415 - goes away with 2.23

        return AnsibleUnsafeText
    return None


_AnsibleUnsafeText = _unsafe_text_type()
