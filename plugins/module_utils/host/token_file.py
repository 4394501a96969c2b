# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The bearer token in a file, which is read anew for each use so that it may change."""

from __future__ import annotations

import re
from pathlib import Path

# What a header can carry as one word.  RFC 6750, 2.1, allows less, and the receiver's own tokens may have all of it.
_TOKEN = re.compile(rb"[\x21-\x7e]+")
# What comes after it is not read, so that a device without end can be named.
_READ_AT_MOST = 65536


class NoTokenError(ValueError):
    """The file holds no token; no message repeats what it holds."""


def first_token(file: Path) -> str:
    """The first line that is neither empty nor a comment; the lines after it do not matter.

    Raises OSError if the file cannot be read. Raises NoTokenError if it has no such line, or that is no token.
    """
    with file.open("rb") as opened:
        lines = [line.strip() for line in opened.read(_READ_AT_MOST).splitlines()]
    first = next((line for line in lines if line and not line.startswith(b"#")), b"")
    if not _TOKEN.fullmatch(first):
        raise NoTokenError(f"{file} holds no token: a line of printable ASCII without blanks is wanted")
    return first.decode("ascii")
