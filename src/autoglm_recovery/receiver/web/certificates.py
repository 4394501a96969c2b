# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Our certificate, renewed while we run, and the names in those of clients."""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import structlog

from autoglm_recovery.receiver.access.entries import AuthError
from autoglm_recovery.receiver.access.watched import WatchedFiles
from autoglm_recovery.receiver.web.handshakes import LoggedHandshake

log = structlog.get_logger()

_KINDS = frozenset(("DNS", "URI", "email"))


@dataclass(frozen=True)
class TlsFiles:
    """PEM files: our chain, its key, and the authorities whose client certificates count."""

    certificate: Path
    key: Path
    client_ca: Path | None = None

    @property
    def all(self) -> tuple[Path, ...]:
        """Return the files that there are."""
        return (self.certificate, self.key, *((self.client_ca,) if self.client_ca else ()))


def names_of(certificate: Mapping[str, Any] | None) -> tuple[str, ...]:
    """Return the names of a verified certificate as ``ssl.SSLSocket.getpeercert`` gives it; none is an empty tuple."""
    if not certificate:
        return ()
    common = [f"CN={value}" for part in certificate.get("subject", ()) for key, value in part if key == "commonName"]
    if len(common) > 1:
        # Whom a certificate with several is for, readers disagree about: none of them counts.
        log.warning("a client certificate with several common names: none of them counts", names=common[:5])
        common = []
    other = [f"{kind}:{value}" for kind, value in certificate.get("subjectAltName", ()) if kind in _KINDS]
    return (*common, *other)


def serving_context(files: TlsFiles) -> ssl.SSLContext:
    """Return a context that gives each new connection what is in the files by then.

    The context that a server listens with stays the same; each handshake goes on in the newest one.

    Raises AuthError if the files cannot be used now.
    """
    newest = WatchedFiles("certificates", files.all, lambda: _read_context(files))
    listening = _read_context(files)

    def choose(connection: ssl.SSLObject, _name: str | None, _read_context: ssl.SSLContext) -> None:
        connection.context = newest.now

    listening.sni_callback = choose
    listening.sslobject_class = LoggedHandshake
    return listening


def _read_context(files: TlsFiles) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    # A session that is taken up again would not be verified against the authorities of now.
    context.options |= ssl.OP_NO_TICKET
    context.num_tickets = 0
    # Each costs us many times what it costs a client of TLS 1.2.  OpenSSL allows it up to 1.1.1, and 3 where told to.
    context.options |= ssl.OP_NO_RENEGOTIATION
    try:
        context.load_cert_chain(files.certificate, files.key, password="")
        if files.client_ca is not None:
            context.load_verify_locations(files.client_ca)
            # Optional: whoever has none may still show a token; a wrong one ends the handshake.
            context.verify_mode = ssl.CERT_OPTIONAL
    except (OSError, ssl.SSLError) as error:
        named = ", ".join(map(str, files.all))
        raise AuthError(f"TLS cannot be served with {named}: {error.strerror or error}") from error
    return context
