# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""From what a request carries to who sent it."""

from __future__ import annotations

import base64
import binascii
import hmac
import ipaddress
import math
import secrets
import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from autoglm_recovery.addresses import network_of
from autoglm_recovery.receiver.access import passwords
from autoglm_recovery.receiver.access.buckets import RateBuckets
from autoglm_recovery.receiver.access.entries import AccessEntry, AuthError, digest, read_entries
from autoglm_recovery.receiver.access.sessions import ConsoleSession, Sessions
from autoglm_recovery.receiver.access.watched import WatchedFiles
from autoglm_recovery.receiver.values.principal import Principal, Role

# So many failures at once, then one each so many seconds, for one address.
FAILURES_AT_ONCE = 10
FAILURE_EVERY_S = 10.0

_MOST_REMEMBERED = 1024


@dataclass(frozen=True)
class Credentials:
    """What a request carries that may say who sent it.

    ``certificate`` holds the names of a client certificate that the TLS layer has verified: ``CN=...``, ``DNS:...`` ...
    """

    address: str
    authorization: str | None = None
    cookie: str | None = None
    certificate: tuple[str, ...] = ()


class Unrecognised(Exception):
    """Nobody known sent this.  ``tried`` tells that something was given, and was wrong."""

    def __init__(self, detail: str, tried: str | None = None) -> None:
        super().__init__(detail)
        self.tried = tried


class TooManyFailures(Unrecognised):
    """An address has failed too often to be asked again at once."""

    def __init__(self, wait_s: float) -> None:
        super().__init__("too many failed attempts from this address")
        self.retry_after_s = math.ceil(wait_s)


class Authenticator:
    """Knows the credentials in force: those of the access files as they are now."""

    def __init__(self, entries: Callable[[], Sequence[AccessEntry]], sessions: Sessions) -> None:
        self._entries = entries
        self._sessions = sessions
        self._failures = RateBuckets(1 / FAILURE_EVERY_S, FAILURES_AT_ONCE)
        self._remembered = _Remembered()

    @property
    def open(self) -> bool:
        """Tell whether there is nothing to prove: only so on loopback."""
        return not self._entries()

    @property
    def has_users(self) -> bool:
        """Tell whether anybody comes in with a password."""
        return any(entry.kind == "basic" for entry in self._entries())

    def is_slow(self, credentials: Credentials) -> bool:
        """Tell whether to recognise these takes long, so that nobody else should wait for it."""
        user = _basic(credentials.authorization)
        return user is not None and not self._remembered.holds(user, self._entries())

    def recognise(self, credentials: Credentials) -> Principal:
        """Return who sent a request.  What was given on purpose counts before what a browser adds by itself.

        Raises Unrecognised if it carries nothing that is known.
        """
        if self.open:
            return Principal("anybody on this machine", Role.operator, "open", credentials.address)
        if credentials.authorization is not None:
            return self._by_header(credentials)
        if credentials.cookie is not None and (entry := self._of_cookie(credentials.cookie)):
            return Principal(entry.name, entry.role, "session", credentials.address)
        if entry := self._of_certificate(credentials.certificate):
            return Principal(entry.name, entry.role, "certificate", credentials.address)
        if credentials.certificate:
            names = ", ".join(credentials.certificate[:5])
            raise self._failure(credentials, f"no entry is for a certificate with the names {names}", "certificate")
        raise Unrecognised("a bearer token, a user with a password, or a client certificate is required")

    def session_for(self, credentials: Credentials) -> tuple[Principal, str]:
        """Recognise somebody who logs in, and return with them the cookie of their session.

        Raises Unrecognised as ``recognise``.
        """
        entry = self._entry_of_header(credentials)
        principal = Principal(entry.name, entry.role, entry.kind, credentials.address)
        return principal, self._sessions.cookie(ConsoleSession(entry.name, entry.mark))

    def _by_header(self, credentials: Credentials) -> Principal:
        entry = self._entry_of_header(credentials)
        return Principal(entry.name, entry.role, entry.kind, credentials.address)

    def _entry_of_header(self, credentials: Credentials) -> AccessEntry:
        scheme, _, given = (credentials.authorization or "").partition(" ")
        if scheme.lower() == "bearer":
            if entry := self._of_token(given.strip()):
                return entry
            raise self._failure(credentials, "the bearer token is not known", "bearer")
        user = _basic(credentials.authorization)
        if user is None:
            raise self._failure(credentials, "Authorization must be Bearer TOKEN or Basic", "unreadable")
        return self._of_user(user, credentials)

    def _of_token(self, token: str) -> AccessEntry | None:
        offered = digest(token)
        # Every token is compared, whichever matches.
        matches = [
            entry for entry in self._entries() if entry.kind == "bearer" and hmac.compare_digest(offered, entry.secret)
        ]
        return matches[0] if matches else None

    def _of_user(self, user: tuple[str, str], credentials: Credentials) -> AccessEntry:
        entries = self._entries()
        # Before anything is compared: what is remembered must not be guessed faster than what is computed.
        if wait := self._failures.wait(network_of(credentials.address)):
            raise TooManyFailures(wait)
        if entry := self._remembered.get(user, entries):
            return entry
        name, password = user
        kept = [entry for entry in entries if entry.kind == "basic" and entry.name == name]
        right = [entry for entry in kept if passwords.verify(password, entry.secret)]
        if not kept:
            passwords.verify(password, passwords.NOBODY)
        if not right:
            raise self._failure(credentials, "the user or the password is wrong", "basic")
        self._remembered.put(user, right[0])
        return right[0]

    def _of_cookie(self, cookie: str) -> AccessEntry | None:
        session = self._sessions.read(cookie)
        if session is None:
            return None
        return next((e for e in self._entries() if (e.name, e.mark) == (session.name, session.mark)), None)

    def _of_certificate(self, names: Sequence[str]) -> AccessEntry | None:
        return next((e for e in self._entries() if e.kind == "certificate" and e.secret in names), None)

    def _failure(self, credentials: Credentials, detail: str, tried: str) -> Unrecognised:
        wait = self._failures.take(network_of(credentials.address))
        return TooManyFailures(wait) if wait else Unrecognised(detail, tried)


class _Remembered:
    """Passwords that were right, known again by a digest with a key of this process, while their entry is in force."""

    def __init__(self) -> None:
        self._key = secrets.token_bytes(32)
        self._lock = threading.Lock()
        self._entries: OrderedDict[bytes, AccessEntry] = OrderedDict()

    def holds(self, user: tuple[str, str], entries: Sequence[AccessEntry]) -> bool:
        return self.get(user, entries) is not None

    def get(self, user: tuple[str, str], entries: Sequence[AccessEntry]) -> AccessEntry | None:
        with self._lock:
            entry = self._entries.get(self._digest(user))
        return entry if entry in entries else None

    def put(self, user: tuple[str, str], entry: AccessEntry) -> None:
        with self._lock:
            self._entries[self._digest(user)] = entry
            if len(self._entries) > _MOST_REMEMBERED:
                self._entries.popitem(last=False)

    def _digest(self, user: tuple[str, str]) -> bytes:
        return hmac.digest(self._key, "\0".join(user).encode("utf-8", "surrogatepass"), sha256)


def _basic(authorization: str | None) -> tuple[str, str] | None:
    scheme, _, given = (authorization or "").partition(" ")
    if scheme.lower() != "basic":
        return None
    try:
        name, colon, password = base64.b64decode(given.strip(), validate=True).decode().partition(":")
    except (binascii.Error, ValueError):
        return None
    return (name, password) if colon else None


def watch_entries(files: Sequence[Path]) -> Callable[[], Sequence[AccessEntry]]:
    """Return a way to the entries of the access files as they are now.

    Raises AuthError if they cannot be used now; later, the old ones stay in force.
    """
    if not files:
        return tuple
    watched = WatchedFiles(
        f"access file {', '.join(map(str, files))}",
        files,
        lambda: tuple(e for path in files for e in read_entries(path)),
    )
    return lambda: watched.now


def check_open(host: str, files: Sequence[Path]) -> None:
    """Refuse to listen beyond this machine where anybody is let in.

    Raises AuthError, which says what to do.
    """
    if files or is_loopback(host):
        return
    raise AuthError(f"listening on {host} without a token would let anybody order a restart; give --access-file")


def is_loopback(host: str) -> bool:
    """Tell whether an address or a name is this machine's own."""
    if host.lower().rstrip(".") == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
