# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Sessions of browsers: a signed cookie that names a credential, and lives no longer than it."""

from __future__ import annotations

import hashlib
import secrets
from dataclasses import dataclass, field
from pathlib import Path

from itsdangerous import BadSignature, URLSafeTimedSerializer

from autoglm_recovery.knowledge.host import whole_file
from autoglm_recovery.receiver.access.entries import AuthError

LASTS_S = 12 * 3600
_KEY_BYTES = 32


@dataclass(frozen=True)
class ConsoleSession:
    """What a cookie says: a name, the mark of the credential that it was given for, and which session it is."""

    name: str
    mark: str
    number: str = field(default="", compare=False)


class Sessions:
    """Makes and reads cookies and form tokens with one key."""

    def __init__(self, key: bytes) -> None:
        options = {"digest_method": hashlib.sha256, "key_derivation": "hmac"}
        self._cookies = URLSafeTimedSerializer(key, salt="autoglm session", signer_kwargs=options)
        self._forms = URLSafeTimedSerializer(key, salt="autoglm form", signer_kwargs=options)

    def cookie(self, session: ConsoleSession) -> str:
        """Return the cookie of a session."""
        return str(self._cookies.dumps([session.name, session.mark, secrets.token_hex(16)]))

    def read(self, cookie: str) -> ConsoleSession | None:
        """Return the session of a cookie, or None if it is not ours or has run out."""
        match self._loaded(self._cookies, cookie):
            case [str(name), str(mark), str(number)]:
                return ConsoleSession(
                    name, mark, hashlib.sha256(number.encode("utf-8", "backslashreplace")).hexdigest()
                )
        return None

    def form_token(self, name: str, how: str) -> str:
        """Return what a form carries to show that it is from a page of ours, made for this person."""
        return str(self._forms.dumps([name, how]))

    def is_form_token(self, token: str, name: str, how: str) -> bool:
        """Tell whether a form is from a page of ours, made for this person."""
        return self._loaded(self._forms, token) == [name, how]

    @staticmethod
    def _loaded(serializer: URLSafeTimedSerializer, text: str) -> object:
        try:
            return serializer.loads(text, max_age=LASTS_S)
        except (BadSignature, ValueError):
            return None


def read_key(path: Path, *, make: bool) -> bytes:
    """Read the key that signs sessions; make it where asked to and there is none.

    Raises AuthError if it cannot be used.
    """
    try:
        if make and not path.exists():
            whole_file.write(path, secrets.token_hex(_KEY_BYTES), 0o600)
        key = path.read_bytes().strip()
    except OSError as error:
        raise AuthError(f"session key {path} cannot be used: {error.strerror}") from error
    if len(key) < _KEY_BYTES:
        raise AuthError(f"session key {path} needs {_KEY_BYTES} characters or more; try: openssl rand -hex 32")
    return key
