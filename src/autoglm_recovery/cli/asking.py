# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Ask a running receiver, as whoever the options, the environment and the client's file say."""

from __future__ import annotations

import functools
import inspect
import os
import ssl
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Annotated, Any

import httpx
import typer

from autoglm_recovery import bounded_http
from autoglm_recovery.cli import config_file
from autoglm_recovery.cli.exit_codes import of_status
from autoglm_recovery.cli.refusing import cannot_ask, refuse
from autoglm_recovery.knowledge.host.plain import plain
from autoglm_recovery.knowledge.host.token_file import NoTokenError, first_token

_TIMEOUT_S, _LONGEST_ANSWER_S = 10.0, 60.0
_LARGEST_ANSWER = 64 << 20

DEFAULT_URL = "http://127.0.0.1:9470"

# Where a file is looked for that nobody names; the first that is there counts.
FILES = (Path("~/.config/autoglm/client.yaml"), Path("/etc/autoglm/client.yaml"))
# What the parser says of where a value is from; the environment has two secrets that are no options.
_STRENGTH = {"COMMANDLINE": 3, "ENVIRONMENT": 2, "DEFAULT_MAP": 1}


@dataclass(frozen=True)
class AskedReceiver:
    """Which receiver is asked, and by whom."""

    url: str
    token: str | None = None
    token_file: Path | None = None
    user: str | None = None
    password_file: Path | None = None
    ca_file: Path | None = None
    client_cert: Path | None = None
    client_key: Path | None = None

    def ask(
        self,
        method: str,
        path: str,
        query: dict[str, str] | None = None,
        body: dict[str, Any] | None = None,
        *,
        wanted: str,
    ) -> dict[str, Any]:
        """Ask for an object that has ``wanted``; end with a sentence where the receiver refuses (exit code 1).

        Where it does not answer, or somebody answers that is no receiver, the exit code is 3: a service on the same
        port, or a proxy, has neither refused nor done what was asked.
        """
        try:
            # A receiver on this machine or in the fleet is no business of a proxy's.
            with bounded_http.client(self._token(), self._tls(), auth=self._user(), timeout=_TIMEOUT_S) as client:
                place = self.url.rstrip("/") + path
                answer, said = bounded_http.exchange(
                    client, method, place, _LARGEST_ANSWER, _LONGEST_ANSWER_S, params=query or {}, json=body
                )
            told = bounded_http.document(said)
        except (httpx.HTTPError, httpx.InvalidURL, OSError, ValueError) as error:
            cannot_ask(f"the receiver at {self.url} cannot be asked: {plain(error)}")
        status = answer.status_code
        if answer.is_error and _is_problem(told, status):
            refuse(f"refused ({status}): {plain(told['detail'])}", of_status(status))
        if not answer.is_success or not isinstance(told, dict) or wanted not in told:
            said_so = f"answers ({status}), but not as a receiver does: {plain(str(told)[:200])}"
            cannot_ask(f"the receiver at {self.url} {said_so}")
        return told

    def _token(self) -> str | None:
        if self.token_file is not None:
            return first_token(self.token_file)
        # Looked at here: what refuses it further down repeats it.
        if self.token and not (self.token.isascii() and self.token.isprintable() and " " not in self.token):
            raise NoTokenError("AUTOGLM_TOKEN holds no token: printable ASCII without blanks is wanted")
        return self.token

    def _user(self) -> httpx.BasicAuth | None:
        if not self.user:
            return None
        if self.password_file is None:
            return httpx.BasicAuth(self.user, os.environ.get("AUTOGLM_PASSWORD", ""))
        return httpx.BasicAuth(self.user, self.password_file.read_text("utf-8").partition("\n")[0])

    def _tls(self) -> ssl.SSLContext:
        context = ssl.create_default_context(cafile=self.ca_file)
        if self.client_cert is not None:
            context.load_cert_chain(self.client_cert, self.client_key, password="")
        return context


def _is_problem(told: Any, status: int) -> bool:
    """Tell whether an error is in a receiver's words: a problem document, which repeats its status."""
    return isinstance(told, dict) and told.get("status") == status and isinstance(told.get("detail"), str)


def _option(variable: str, says: str, **more: Any) -> Any:
    return typer.Option(envvar=variable, help=says, rich_help_panel="Receiver", **more)


def _read_client_file(ctx: typer.Context, file: Path | None) -> Path | None:
    """Read the client's file: the one that is named, or the first that is there."""
    return config_file.take_some(ctx, file or _own_file(), _NAMES)


def _own_file() -> Path | None:
    """Return the first file that is there for whoever asks, who may have no home and no way into /etc/autoglm."""
    for each in FILES:
        with suppress(OSError, RuntimeError):
            if (found := each.expanduser()).is_file():
                return found
    return None


_OPTIONS: dict[str, tuple[Any, Any]] = {
    "url": (Annotated[str, _option("AUTOGLM_URL", "The receiver's address.")], DEFAULT_URL),
    "token_file": (
        Annotated[Path | None, _option("AUTOGLM_TOKEN_FILE", "Who asks: a bearer token, or one in AUTOGLM_TOKEN.")],
        None,
    ),
    "user": (Annotated[str | None, _option("AUTOGLM_USER", "Who asks: a person's name.")], None),
    "password_file": (
        Annotated[Path | None, _option("AUTOGLM_PASSWORD_FILE", "That person's password, or in AUTOGLM_PASSWORD.")],
        None,
    ),
    "ca_file": (Annotated[Path | None, _option("AUTOGLM_CA_FILE", "Authorities of its certificate (PEM).")], None),
    "client_cert": (Annotated[Path | None, _option("AUTOGLM_CLIENT_CERT", "Who asks: a certificate (PEM).")], None),
    "client_key": (Annotated[Path | None, _option("AUTOGLM_CLIENT_KEY", "The key of --client-cert.")], None),
    "config": (
        Annotated[
            Path | None,
            _option(
                "AUTOGLM_CONFIG",
                f"A YAML file with these options; else {' or '.join(map(str, FILES))}.",
                is_eager=True,
                callback=_read_client_file,
            ),
        ],
        None,
    ),
}
_NAMES = frozenset(_OPTIONS) - {"config"}


def asks_receiver(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command the options of the client, of which it gets a ``receiver``."""
    signature = inspect.signature(command, eval_str=True)

    @functools.wraps(command)
    def with_client(*, ctx: typer.Context, config: Path | None, **given: Any) -> None:  # noqa: ARG001 - it was read
        said = {name: given.pop(name) for name in _NAMES}
        sources = {name: getattr(ctx.get_parameter_source(name), "name", "") for name in _NAMES}
        command(receiver=client_of(said, sources, os.environ.get("AUTOGLM_TOKEN")), **given)

    own = [each for name, each in signature.parameters.items() if name != "receiver"]
    ours = [
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, annotation=annotation, default=default)
        for name, (annotation, default) in _OPTIONS.items()
    ]
    context = inspect.Parameter("ctx", inspect.Parameter.KEYWORD_ONLY, annotation=typer.Context)
    parameters = [each.replace(kind=inspect.Parameter.KEYWORD_ONLY) for each in own] + [*ours, context]
    with_client.__signature__ = signature.replace(parameters=parameters)  # type: ignore[attr-defined]
    with_client.__annotations__ = {each.name: each.annotation for each in parameters}
    return with_client


def client_of(said: Mapping[str, Any], sources: Mapping[str, str], token: str | None) -> AskedReceiver:
    """Return who asks.  Of a token and a person's name that one counts which was given nearer to the command."""
    strength = {name: _STRENGTH.get(source, 0) for name, source in sources.items()}
    file = said["token_file"]
    if token and strength["token_file"] < _STRENGTH["ENVIRONMENT"]:
        file = None
    by_token = max(strength["token_file"] if file else 0, _STRENGTH["ENVIRONMENT"] if token else 0)
    given = {each.name: said[each.name] for each in fields(AskedReceiver) if each.name != "token"}
    if said["user"] and strength["user"] >= by_token:
        return AskedReceiver(**{**given, "token_file": None})
    return AskedReceiver(**{**given, "token_file": file, "user": None}, token=token)
