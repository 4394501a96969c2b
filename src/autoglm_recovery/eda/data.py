# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Strangers' texts as data that neither a rulebook nor Ansible takes for a template or a vault.  Pure.

What a rulebook gives a playbook is written to a file of variables as plain text, in which Ansible reads templates.  No
mark outlives that way (an event becomes JSON, and YAML after it), so that what begins a template is parted in the text
itself by a word joiner, which is no character that anybody sees.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from autoglm_recovery.knowledge.host.plain import one_line

JOINER = "\u2060"
LONGEST = 1000

# Jinja's delimiters with Ansible's settings, and the header by which a text may choose others (ansible-core 2.18).
_TEMPLATE = re.compile(r"\{(?=[{%#])|#(?=jinja2)|\$(?=ANSIBLE_VAULT)", re.IGNORECASE)


def as_data(text: str) -> str:
    """Return a stranger's text as one line of bounded length in which nothing is evaluated."""
    # After it is spelled out: what cannot be seen is a character of its own before.
    return _TEMPLATE.sub(lambda found: found.group() + JOINER, one_line(text, LONGEST))


def all_as_data(value: Any) -> Any:
    """Return a nested value, each text in it as data, keys too."""
    if isinstance(value, str):
        return as_data(value)
    if isinstance(value, Mapping):
        return {as_data(str(key)): all_as_data(held) for key, held in value.items()}
    if isinstance(value, (list, tuple)):
        return [all_as_data(held) for held in value]
    return value
