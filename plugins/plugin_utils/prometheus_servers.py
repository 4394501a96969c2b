# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The Prometheus servers that the options of a plugin describe."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from ansible.module_utils.common.arg_spec import ArgumentSpecValidator
from ansible_collections.autoglm.recovery.plugins.module_utils.engines.transport import HttpTransport, check_url
from ansible_collections.autoglm.recovery.plugins.module_utils.host.plain import quoted
from ansible_collections.autoglm.recovery.plugins.module_utils.host.token_file import first_token
from ansible_collections.autoglm.recovery.plugins.module_utils.prometheus.asking import Jobs, PrometheusServer

_SERVER = ArgumentSpecValidator(
    {
        "urls": {"type": "list", "elements": "str", "required": True},
        "username": {"type": "str"},
        "password": {"type": "str", "no_log": True},
        "password_file": {"type": "path", "no_log": False},
        "token": {"type": "str", "no_log": True},
        "token_file": {"type": "path", "no_log": False},
        "validate_certs": {"type": "bool", "default": True},
        "ca_path": {"type": "path"},
        "client_cert": {"type": "path"},
        "client_key": {"type": "path", "no_log": False},
        "timeout": {"type": "float", "default": 10.0},
    },
    mutually_exclusive=[["password", "password_file"], ["token", "token_file", "username"]],
    required_by={"password": ["username"], "password_file": ["username"], "client_key": ["client_cert"]},
    required_if=[],
)
_NAMES = {"type": "list", "elements": "str"}
_JOBS = ArgumentSpecValidator(
    {
        "node": {**_NAMES, "default": list(Jobs.node)},
        "inference": {**_NAMES, "default": list(Jobs.inference)},
        "exporter": {**_NAMES, "default": list(Jobs.exporter)},
    }
)


def read_servers(given: Any) -> list[PrometheusServer]:
    """The servers of the option C(servers). Raises ValueError with a sentence that repeats no secret."""
    if not isinstance(given, list) or not given:
        raise ValueError("servers: must be a list with at least one server, each with its urls")
    return [_read_server(f"servers[{number}]", each) for number, each in enumerate(given)]


def read_jobs(given: Any) -> Jobs:
    """The option C(jobs). Raises ValueError."""
    found = _validated(_JOBS, "jobs", given)
    jobs = Jobs(*(tuple(found[kind]) for kind in ("node", "inference", "exporter")))
    if not jobs.node and not jobs.inference and not jobs.exporter:
        raise ValueError("jobs: names no job, so that there would be no host")
    return jobs


def unknown_option(key: object, known: Iterable[str]) -> str:
    """What to say of a key that nobody reads."""
    near = get_close_matches(str(key)[:64], sorted(known), n=1)
    return f"unknown option {quoted(key)}; " + (
        f"did you mean {near[0]}?" if near else f"known: {', '.join(sorted(known))}"
    )


def _read_server(place: str, given: Any) -> PrometheusServer:
    options = _validated(_SERVER, place, given)
    if not options["urls"]:
        raise ValueError(f"{place}.urls: must have at least one")
    if options["username"] is not None and options["password"] is None and options["password_file"] is None:
        raise ValueError(f"{place}: username needs password or password_file")
    if not 0 < options["timeout"] <= 600:
        raise ValueError(f"{place}.timeout: must be a number of seconds above 0, 600 at most")
    transport = HttpTransport(
        options["validate_certs"], options["ca_path"], options["client_cert"], options["client_key"]
    )
    urls = tuple(_check_url(f"{place}.urls", url) for url in options["urls"])
    return PrometheusServer(urls, transport, _authorization_header(place, options), options["timeout"])


def _validated(validator: ArgumentSpecValidator, place: str, given: Any) -> dict[str, Any]:
    if not isinstance(given, Mapping):
        raise ValueError(f"{place}: must be a mapping")  # noqa: TRY004 - of a file, as all that is raised here
    # A text that is encrypted in place is decrypted by being made a plain one.
    plain = {
        str(key): value if isinstance(value, (str, int, float, list, Mapping, type(None))) else str(value)
        for key, value in given.items()
    }
    for key in plain:
        if key not in validator.argument_spec:
            raise ValueError(f"{place}: {unknown_option(key, validator.argument_spec)}")
    result = validator.validate(plain)
    if result.error_messages:
        raise ValueError(f"{place}: {'; '.join(result.error_messages)}")
    return dict(result.validated_parameters)


def _check_url(place: str, url: str) -> str:
    parts = urlsplit(url)
    if parts.username is not None or parts.password is not None:
        raise ValueError(f"{place}: holds a user or a password; write them as username and password")
    try:
        return check_url(url)
    except ValueError as error:
        raise ValueError(f"{place}: {error}") from error


def _authorization_header(place: str, options: Mapping[str, Any]) -> dict[str, str]:
    """The header that recognises us, if there is one."""
    if options["username"] is not None:
        password = options["password"]
        if options["password_file"] is not None:
            password = _first_line(f"{place}.password_file", options["password_file"])
        pair = f"{options['username']}:{password}".encode()
        return {"Authorization": f"Basic {base64.b64encode(pair).decode()}"}
    token = options["token"]
    if options["token_file"] is not None:
        try:
            token = first_token(Path(options["token_file"]))
        except OSError as error:
            raise ValueError(f"{place}.token_file: {options['token_file']}: {error.strerror}") from error
        except ValueError as error:
            raise ValueError(f"{place}.token_file: {error}") from error
    if token is None:
        return {}
    if not token.isascii() or not token.isprintable() or " " in token or not token:
        raise ValueError(f"{place}.token: is no token, which is printable ASCII without blanks")
    return {"Authorization": f"Bearer {token}"}


def _first_line(place: str, path: str) -> str:
    try:
        lines = Path(path).read_text("utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(f"{place}: {path} cannot be read: {getattr(error, 'strerror', None) or 'no UTF-8'}") from error
    if not lines or not lines[0]:
        raise ValueError(f"{place}: the first line of {path} is empty")
    return lines[0]
