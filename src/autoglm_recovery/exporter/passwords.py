# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Passwords against bcrypt hashes, by the C library's own ``crypt``, which Python has no module for from 3.13 on."""

from __future__ import annotations

import ctypes
import functools
import hmac
import json
import re
import secrets
import threading
from collections.abc import Callable, Mapping

_HASH = re.compile(r"\$2[aby]\$(?P<cost>\d\d)\$[./A-Za-z0-9]{53}")
# A second of work on a slow core; whoever guesses passwords makes us do it.
_COSTLIEST = 14
_REMEMBERED = 100
_LIBRARIES = ("libcrypt.so.1", "libcrypt.so.2")
# The C library has one place for what it computes, and lets other threads of Python run meanwhile.
_COMPUTING = threading.Lock()


class NoCryptError(Exception):
    """This host's C library cannot compute bcrypt."""


def why_no_hash(value: object) -> str:
    """Return why a value is no bcrypt hash that is taken here; nothing if it is one."""
    match = _HASH.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        return "must be a bcrypt hash, $2y$10$..., as htpasswd -nBC 10 NAME writes one"
    if not 4 <= int(match["cost"]) <= _COSTLIEST:
        return f"is a hash of cost {match['cost']}; 4 to {_COSTLIEST} are taken"
    return ""


@functools.cache
def check_crypt() -> None:
    """Raises NoCryptError where no password can be checked."""
    known = "$2b$04$......................w74bL5gU7LSJClZClCa.Pkz14aTv/XO"
    if not matches("", known):
        raise NoCryptError(f"basic_auth_users: {' and '.join(_LIBRARIES)} of this host compute no bcrypt")


def matches(password: str, hashed: str) -> bool:
    """Whether a password has this hash.

    Raises NoCryptError where there is no library.
    """
    given = password.encode()
    if b"\0" in given:
        return False  # C would compare what is before it
    with _COMPUTING:
        computed = _crypt()(given, hashed.encode("ascii"))
    return computed is not None and hmac.compare_digest(computed, hashed.encode("ascii"))


@functools.cache
def _crypt() -> Callable[[bytes, bytes], bytes | None]:
    for name in _LIBRARIES:
        try:
            function = ctypes.CDLL(name).crypt
        except (OSError, AttributeError):
            continue
        function.argtypes, function.restype = [ctypes.c_char_p, ctypes.c_char_p], ctypes.c_char_p
        return function
    raise NoCryptError(f"basic_auth_users needs {' or '.join(_LIBRARIES)}, which this host has not")


class PasswordChecker:
    """Checks the passwords of each request.  A scrape each second does not compute a slow hash each second."""

    def __init__(self) -> None:
        self._salt = secrets.token_bytes(32)
        self._right: dict[bytes, None] = {}

    def allows(self, users: Mapping[str, str], name: str, password: str) -> bool:
        """Whether it is the password of one of these users, of whom there must be one."""
        hashed = users.get(name)
        seen = hmac.digest(self._salt, json.dumps([name, hashed, password]).encode(), "sha256")
        if seen in self._right:
            return True
        # An unknown user takes as long to be refused as a known one.
        right = matches(password, hashed or next(iter(users.values()))) and hashed is not None
        if right:
            if len(self._right) >= _REMEMBERED:
                self._right.clear()
            self._right[seen] = None
        return right
