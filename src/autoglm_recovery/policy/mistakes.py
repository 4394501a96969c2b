# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What of a policy file a message may repeat.  Pure.

A message goes to a terminal, a log, the console and a ticket.  What stands in the file may be a token in the wrong
place, a password in an address, or a whole section with both; so a message says where it is and of what kind, and
repeats only what is a word or a number and is no secret by its look.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from autoglm_recovery.knowledge.host.redaction import MARK, redact_text

_LONGEST = 100
# PyYAML quotes an alias and a tag as they stand; ``'<block end>'`` and a single character are its own words.
_QUOTED = re.compile(r"'(?!<[a-z ]+>')[^']{2,}'")
_ADDRESS = re.compile(r"(?P<scheme>\w[\w+.\-]{0,30})://\S+")
_WORD = re.compile(r"[A-Za-z][A-Za-z_]{0,30}")


def without_secrets(text: str) -> str:
    """Return a text for people: of addresses the scheme alone, since services have tokens anywhere in them."""
    return redact_text(_ADDRESS.sub(rf"\g<scheme>://{MARK}", text))


def shown(value: object, *, only_words: bool = False) -> str:
    """Return what to say of a value that is not what it should be.  ``only_words``: where secrets are expected."""
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
    """Return what to say of a value of a wrong type."""
    return "a text" if isinstance(value, str) else shown(value)


def of_yaml(said: object) -> str:
    """Return what PyYAML says, without what it quotes: a password may begin with ``*`` or ``!``."""
    return without_secrets(_QUOTED.sub("what is there", str(said)))
