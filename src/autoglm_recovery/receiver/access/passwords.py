# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Passwords: PBKDF2 with HMAC-SHA256, which every build of OpenSSL has, those with FIPS in force too.

600,000 rounds are what OWASP's password storage cheat sheet asks of this function.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
import secrets

ROUNDS = 600_000
SHORTEST = 12
# A hash that somebody wrote with a thousand times the rounds would stop the receiver at every login.
_MOST_ROUNDS = 10_000_000
_LEAST_ROUNDS = 100_000
_SALT_BYTES = 16
_PREFIX = "pbkdf2-sha256"
_HASH = re.compile(
    rf"{_PREFIX}:(?P<rounds>[1-9]\d{{0,8}}):(?P<salt>[A-Za-z0-9+/=]{{16,128}}):(?P<key>[A-Za-z0-9+/]{{43}}=)"
)


def hash_password(password: str, rounds: int = ROUNDS) -> str:
    """Return what is kept of a password.

    Raises ValueError if it is short enough to be guessed.
    """
    if len(password) < SHORTEST:
        raise ValueError(f"a password needs {SHORTEST} characters or more")
    salt = secrets.token_bytes(_SALT_BYTES)
    return f"{_PREFIX}:{rounds}:{_text(salt)}:{_text(_key(password, salt, rounds))}"


def is_hash(text: str) -> bool:
    """Tell whether a text is what ``hash_password`` returns, with a number of rounds that makes sense."""
    match = _HASH.fullmatch(text)
    return match is not None and _LEAST_ROUNDS <= int(match["rounds"]) <= _MOST_ROUNDS


def verify(password: str, kept: str) -> bool:
    """Tell whether this is the password of which ``kept`` was made.  Takes tenths of a second, by design."""
    match = _HASH.fullmatch(kept)
    if match is None:
        return False
    key = _key(password, base64.b64decode(match["salt"]), int(match["rounds"]))
    return hmac.compare_digest(key, base64.b64decode(match["key"]))


# Compared with where there is no such user, so that the time taken does not tell that.
NOBODY = f"{_PREFIX}:{ROUNDS}:{'A' * 22}==:{'A' * 43}="


def _key(password: str, salt: bytes, rounds: int) -> bytes:
    return hashlib.pbkdf2_hmac("sha256", password.encode("utf-8", "surrogatepass"), salt, rounds)


def _text(value: bytes) -> str:
    return base64.b64encode(value).decode()
