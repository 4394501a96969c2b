# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The access file: who may come in, as what, and how they prove who they are.  One entry a line:

    TOKEN                       an operator's bearer token, in the open
    NAME ROLE TOKEN             a bearer token, in the open
    NAME ROLE sha256:HEX        a bearer token, of which only the digest is kept
    NAME ROLE pbkdf2-sha256:... the password of the user NAME, as ``autoglm hash-password`` prints it
    NAME ROLE cert:CN=...       a client certificate with this common name, or ``cert:DNS:``, ``cert:URI:``,
                                ``cert:email:`` for one of its alternative names

One name may have several lines, so that a new credential is good before the old one goes.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from autoglm_recovery.receiver.access import passwords
from autoglm_recovery.receiver.values.principal import Role

SHORTEST_TOKEN = 16
UNNAMED = "token"

Kind = Literal["bearer", "basic", "certificate"]

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@-]{0,63}")
_SHA256 = re.compile(r"sha256:[0-9a-f]{64}")
_CERTIFICATE = re.compile(r"cert:(?P<mark>CN=[^\x00-\x1f]{1,64}|(?:DNS|URI|email):\S{1,255})")
# What looks like another kind of credential and is none must not become a token that somebody might guess.
_SPECIAL = re.compile(r"(?i)(sha\d|pbkdf2|scrypt|bcrypt|argon2|cert|\$)[^ ]*")


class AuthError(ValueError):
    """A configuration under which anybody could order a restart, or an access file that cannot be used."""


@dataclass(frozen=True)
class AccessEntry:
    """One line.  ``secret`` is the digest of a token, the hash of a password, or the mark of a certificate."""

    name: str
    role: Role
    kind: Kind
    secret: str

    @property
    def mark(self) -> str:
        """Return what changes when the credential does, and tells nothing about it."""
        return hashlib.sha256(f"{self.kind}:{self.secret}".encode()).hexdigest()[:32]


def digest(token: str) -> str:
    """Return what is kept of a token.  Tokens are long and random, so that one round of a plain hash is enough."""
    return hashlib.sha256(token.encode("utf-8", "surrogateescape")).hexdigest()


def read_entries(path: Path) -> tuple[AccessEntry, ...]:
    """Read an access file.

    Raises AuthError if it cannot be read, or a line of it is wrong; no message repeats a secret.
    """
    try:
        lines = path.read_text("ascii").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it holds more than ASCII"
        raise AuthError(f"access file {path} cannot be read: {reason}") from error
    entries = []
    for number, line in enumerate(lines, 1):
        if line.strip() and not line.lstrip().startswith("#"):
            try:
                entries.append(parse_entry(line.strip()))
            except ValueError as error:
                raise AuthError(f"access file {path}, line {number}: {error}") from error
    if not entries:
        raise AuthError(f"access file {path} holds no entry")
    _check_names(path, entries)
    return tuple(entries)


def holds_open_token(text: str) -> bool:
    """Tell whether a token stands in the text of an access file as it is, and not as its digest."""
    lines = [line.strip() for line in text.splitlines()]
    credentials = [line.split(None, 2)[-1] for line in lines if line and not line.startswith("#")]
    return any(not _SPECIAL.fullmatch(each) and not _CERTIFICATE.fullmatch(each) for each in credentials)


def parse_entry(line: str) -> AccessEntry:
    """Read one line.

    Raises ValueError, which says what is wrong with it.
    """
    words = line.split(None, 2)
    if len(words) == 1:
        return _credential(UNNAMED, Role.operator, words[0])
    if len(words) != 3:
        raise ValueError("write TOKEN, or NAME ROLE CREDENTIAL")
    name, role, credential = words
    if not _NAME.fullmatch(name):
        raise ValueError("a name has 1 to 64 letters, digits and ._@-, and begins with a letter or a digit")
    if role not in set(Role):
        raise ValueError(f"a role is one of {', '.join(Role)}")
    return _credential(name, Role(role), credential)


def _credential(name: str, role: Role, text: str) -> AccessEntry:
    if _SHA256.fullmatch(text):
        return AccessEntry(name, role, "bearer", text.removeprefix("sha256:"))
    if passwords.is_hash(text):
        return AccessEntry(name, role, "basic", text)
    if certificate := _CERTIFICATE.fullmatch(text):
        return AccessEntry(name, role, "certificate", certificate["mark"])
    if _SPECIAL.fullmatch(text):
        raise ValueError(
            "a credential is a token, sha256:HEX, what autoglm hash-password prints, or cert: with CN=, DNS:, URI: or"
            " email:"
        )
    if len(text) < SHORTEST_TOKEN or len(text.split()) != 1:
        raise ValueError(f"a token has {SHORTEST_TOKEN} characters or more and no blank; try: autoglm new-token")
    return AccessEntry(name, role, "bearer", digest(text))


def _check_names(path: Path, entries: Sequence[AccessEntry]) -> None:
    roles: dict[str, Role] = {}
    for entry in entries:
        if roles.setdefault(entry.name, entry.role) is not entry.role:
            raise AuthError(f"access file {path}: {entry.name} has two roles; give each role a name of its own")
