# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How a module's options name one receiver; the documentation fragment C(receiver) in code."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..engines.transport import HttpTransport, check_url
from ..host.plain import one_line
from ..host.token_file import NoTokenError, first_token
from .client import ReceiverClient

DEFAULT_URL = "http://127.0.0.1:9470"
# The receiver's own limit for what a person says about an order.
LONGEST_COMMENT = 1000


def receiver_arguments() -> dict[str, Any]:
    """The part of an argument spec that names a receiver and who asks it."""
    return {
        "url": {"type": "str", "default": DEFAULT_URL},
        "token": {"type": "str", "no_log": True},
        "token_file": {"type": "path", "no_log": False},
        "ca_path": {"type": "path"},
        "client_cert": {"type": "path"},
        "client_key": {"type": "path", "no_log": False},
        "timeout": {"type": "float", "default": 10.0},
    }


TOKEN_ONCE = (("token", "token_file"),)
KEY_NEEDS_CERTIFICATE = {"client_key": ("client_cert",)}


def receiver_of(params: Mapping[str, Any]) -> ReceiverClient:
    """The receiver that a module's options name. Asks nothing yet. Raises ValueError for options that cannot be."""
    try:
        url = check_url(params["url"])
    except ValueError as error:
        raise ValueError(f"url: {error}") from error
    if not 0 < params["timeout"] <= 3600:
        raise ValueError(f"timeout: seconds above 0 and up to 3600 are wanted, not {params['timeout']:g}")
    if params["client_cert"] is not None and not url.startswith("https:"):
        raise ValueError("client_cert: a certificate is shown to an https receiver alone, and url is none")
    transport = HttpTransport(
        ca_path=params["ca_path"], client_cert=params["client_cert"], client_key=params["client_key"]
    )
    return ReceiverClient(url, _token(params), params["timeout"], transport)


def comment_of(params: Mapping[str, Any]) -> str:
    """What a person says about an order. Raises ValueError for what the receiver would not take."""
    comment: str = params["comment"]
    if len(comment) > LONGEST_COMMENT or "\x00" in comment:
        raise ValueError(f"comment: at most {LONGEST_COMMENT} characters are wanted, and no NUL among them")
    return comment


def _token(params: Mapping[str, Any]) -> str | None:
    """No message repeats any of it."""
    if params["token"] is not None:
        if not _is_token(params["token"]):
            raise ValueError("token: one word of printable ASCII is wanted, without blanks")
        return str(params["token"])
    if params["token_file"] is None:
        return None
    shown = one_line(params["token_file"], 200)
    try:
        return first_token(Path(params["token_file"]))
    except NoTokenError as error:
        raise ValueError(f"token_file: {one_line(error, 300)}") from error
    except OSError as error:
        raise ValueError(f"token_file: {shown} cannot be read: {error.strerror}") from error


def _is_token(text: str) -> bool:
    return bool(text) and all("!" <= character <= "~" for character in text)
