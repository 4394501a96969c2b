# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The parts of a policy file that a message may quote.  Pure.

A message goes to a terminal, a log, the console and a ticket.  The file may hold a token in the wrong place, a password
in an address, or a whole section with both.  So a message names the place and the type of a value, and quotes only
words and numbers that do not look like a secret.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from autoglm_recovery.knowledge.host.redaction import MARK, redact_text

_LONGEST = 100
# PyYAML quotes aliases and tags literally; ``'<block end>'`` and single characters are its own words.
_QUOTED = re.compile(r"'(?!<[a-z ]+>')[^']{2,}'")
_ADDRESS = re.compile(r"(?P<scheme>\w[\w+.\-]{0,30})://\S+")
_WORD = re.compile(r"[A-Za-z][A-Za-z_]{0,30}")


def without_secrets(text: str) -> str:
    """Return a text for people, with only the scheme of each address, since a token may be anywhere in one."""
    return redact_text(_ADDRESS.sub(rf"\g<scheme>://{MARK}", text))


def shown(value: object, *, only_words: bool = False) -> str:
    """Return an invalid value as a message may show it.  ``only_words``: for places where secrets are expected."""
    if isinstance(value, Mapping):
        return "a mapping"
    if isinstance(value, str):
        if only_words and not _WORD.fullmatch(value):
            return "what is there"
        return without_secrets(repr(value[:_LONGEST]))
    if isinstance(value, Sequence | set | frozenset | bytes):
        return "a list"
    return repr(value)


def kind_of(value: object) -> str:
    """Return a value of a wrong type as a message may show it."""
    return "a text" if isinstance(value, str) else shown(value)


def of_yaml(said: object) -> str:
    """Return PyYAML's message without its quotations: a password may begin with ``*`` or ``!``."""
    return without_secrets(_QUOTED.sub("what is there", str(said)))
