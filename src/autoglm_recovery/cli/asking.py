# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Ask a running receiver, as whoever the options and the environment say.

``AUTOGLM_TOKEN`` or a token file, ``AUTOGLM_USER`` with ``AUTOGLM_PASSWORD``, ``AUTOGLM_CLIENT_CERT`` with
``AUTOGLM_CLIENT_KEY``; ``AUTOGLM_CA_FILE`` for a receiver whose certificate is of an authority of one's own.
"""

from __future__ import annotations

import os
import ssl
from pathlib import Path
from typing import Annotated, Any

import httpx
import typer

from autoglm_recovery import bounded_http
from autoglm_recovery.cli.exit_codes import of_status
from autoglm_recovery.cli.refusing import cannot_ask, refuse
from autoglm_recovery.knowledge.host.plain import plain
from autoglm_recovery.token_file import first_token

Url = Annotated[str, typer.Option("--url", envvar="AUTOGLM_URL", help="The receiver's address.")]
TokenFile = Annotated[Path | None, typer.Option("--token-file", envvar="AUTOGLM_TOKEN_FILE", help="The bearer token.")]

_TIMEOUT_S, _LONGEST_ANSWER_S = 10.0, 60.0
_LARGEST_ANSWER = 64 << 20

DEFAULT_URL = "http://127.0.0.1:9470"


def ask(
    method: str,
    url: str,
    path: str,
    token_file: Path | None,
    query: dict[str, str] | None = None,
    body: dict[str, Any] | None = None,
) -> dict[str, Any]:
    """Ask the receiver, and end with a sentence where it does not answer (exit code 3) or refuses (1)."""
    try:
        # A receiver on this machine or in the fleet is no business of a proxy's.
        with bounded_http.client(_token(token_file), _tls(), auth=_user(), timeout=_TIMEOUT_S) as client:
            place = url.rstrip("/") + path
            answer, said = bounded_http.exchange(
                client, method, place, _LARGEST_ANSWER, _LONGEST_ANSWER_S, params=query or {}, json=body
            )
        told = bounded_http.document(said)
    except (httpx.HTTPError, httpx.InvalidURL, OSError, ValueError) as error:
        cannot_ask(f"the receiver at {url} cannot be asked: {plain(error)}")
    if answer.is_error:
        detail = told.get("detail") if isinstance(told, dict) else told
        refuse(f"refused ({answer.status_code}): {plain(detail)}", of_status(answer.status_code))
    if not isinstance(told, dict):
        cannot_ask(f"the receiver at {url} answers, but not as a receiver does: {plain(str(told)[:200])}")
    return told


def _token(token_file: Path | None) -> str:
    return os.environ.get("AUTOGLM_TOKEN", "") if token_file is None else first_token(token_file)


def _user() -> httpx.BasicAuth | None:
    user = os.environ.get("AUTOGLM_USER")
    return httpx.BasicAuth(user, os.environ.get("AUTOGLM_PASSWORD", "")) if user else None


def _tls() -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=os.environ.get("AUTOGLM_CA_FILE"))
    if certificate := os.environ.get("AUTOGLM_CLIENT_CERT"):
        context.load_cert_chain(certificate, os.environ.get("AUTOGLM_CLIENT_KEY"), password="")
    return context
