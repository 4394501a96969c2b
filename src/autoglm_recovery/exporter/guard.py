# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who may see the page, and whether it is encrypted: as the web configuration says when the connection comes.

The file and the certificates that it names are read again when one has changed, so that a renewed certificate needs no
restart.  What cannot be used then is told once, and what was read before goes on.
"""

from __future__ import annotations

import base64
import binascii
import ssl
import threading
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import structlog

from autoglm_recovery.exporter.passwords import NoCryptError, PasswordChecker, check_crypt
from autoglm_recovery.exporter.web_config import WebConfig, WebConfigError, load_web_config

log = structlog.get_logger()

# What a file is known by: its inode, size and time of change, of its mode too; zeros where it is not there.
_Looks = dict[Path, tuple[int, int, int]]


@dataclass(frozen=True)
class _InForce:
    config: WebConfig
    context: ssl.SSLContext | None


class WebGuard:
    """Keeps the newest web configuration that can be used."""

    def __init__(self, path: Path) -> None:
        """Read it.  Raises WebConfigError."""
        self._path = path
        self._lock = threading.Lock()
        self._passwords = PasswordChecker()
        self._looked: _Looks = {}
        self._in_force = self._read(may_be_empty=True)

    def context(self) -> ssl.SSLContext | None:
        """Return what a new connection is encrypted with, if it is."""
        return self._newest().context

    def allows(self, authorization: str) -> bool:
        """Whether a request with this header may see the page."""
        users = self._newest().config.users
        if not users:
            return True
        kind, _space, encoded = authorization.partition(" ")
        if kind.lower() != "basic":
            return False
        try:
            name, colon, password = base64.b64decode(encoded.strip(), validate=True).decode().partition(":")
        except (binascii.Error, ValueError):
            return False
        return bool(colon) and self._passwords.allows(users, name, password)

    def _newest(self) -> _InForce:
        with self._lock:
            if _look(self._looked) != self._looked:
                try:
                    self._in_force = self._read()
                except WebConfigError as error:
                    log.warning(
                        "the web configuration has changed and cannot be used; the one before goes on", error=str(error)
                    )
            return self._in_force

    def _read(self, may_be_empty: bool = False) -> _InForce:
        """Look at each file, and then read it: so what changes in between is seen later, and what is mended too."""
        self._looked = _look([self._path])
        config = load_web_config(self._path, may_be_empty)
        if config.users:
            try:
                check_crypt()
            except NoCryptError as error:
                raise WebConfigError(f"{self._path}: {error}") from None
        if config.tls is None:
            return _InForce(config, None)
        self._looked |= _look(config.tls.files)
        return _InForce(config, config.tls.context())


def _look(paths: Iterable[Path]) -> _Looks:
    return {path: _identity(path) for path in paths}


def _identity(path: Path) -> tuple[int, int, int]:
    try:
        about = path.stat()
    except OSError:
        return (0, 0, 0)
    return (about.st_ino, about.st_size, about.st_ctime_ns)
