# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""TLS handshakes that fail are told: asyncio drops them in silence, and whoever sends alerts seems never to try."""

from __future__ import annotations

import ssl
import sys
import time
from collections.abc import Callable

import structlog

from autoglm_recovery.addresses import network_of
from autoglm_recovery.receiver.process.seldom import OncePerMinute

# By OpenSSL's names of reasons: what it means at this end.
_MEANS = {
    "HTTP_REQUEST": "a client speaks plain HTTP; its address must begin with https://",
    "TLSV1_ALERT_UNKNOWN_CA": "a client does not trust the authority of our certificate; give it the CA file",
    "SSLV3_ALERT_CERTIFICATE_UNKNOWN": "a client does not trust our certificate: authority, name or validity",
    "SSLV3_ALERT_BAD_CERTIFICATE": "a client refuses our certificate: authority, name or validity",
    "SSLV3_ALERT_CERTIFICATE_EXPIRED": "a client says that our certificate has expired",
    "CERTIFICATE_VERIFY_FAILED": "a client's certificate is not of an authority of --client-ca, or has expired",
    "NO_SHARED_CIPHER": "a client has no cipher in common with us",
    "UNSUPPORTED_PROTOCOL": "a client speaks only versions of TLS before 1.2",
}

log = structlog.get_logger()


class HandshakeLog:
    """Tells of failures, each kind from each address once a minute."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        """Remember nothing yet."""
        self._seldom = OncePerMinute(clock)

    def failed(self, address: str, reason: str) -> None:
        """Tell of a failure, or count it."""
        unsaid = self._seldom.unsaid((network_of(address), reason))
        if unsaid is not None:
            log.warning(
                "a TLS handshake has failed",
                address=address,
                why=_MEANS.get(reason, reason),
                reason=reason,
                more_since_last_told=unsaid,
            )


_teller = HandshakeLog()


class LoggedHandshake(ssl.SSLObject):
    """One connection; ``ssl.SSLContext.sslobject_class`` has asyncio use it."""

    def do_handshake(self) -> None:
        """Shake hands, and tell if that failed."""
        try:
            super().do_handshake()
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
            raise
        except ssl.SSLError as error:
            _teller.failed(_peer_address(sys._getframe(1).f_locals.get("self")), error.reason or str(error))
            raise


def _peer_address(protocol: object) -> str:
    """Return the other end's address.  Only asyncio's protocol, which calls us, knows its transport."""
    transport = getattr(protocol, "_transport", None)
    name = transport.get_extra_info("peername") if transport is not None else None
    return str(name[0]) if name else "unknown"
