# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The web configuration file of Prometheus' exporters: TLS, and users with the bcrypt hashes of their passwords.

One file serves node_exporter and this exporter.  What it can say and this exporter cannot do is refused: a file that
asks for more than is done would be taken for more than it is.
"""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from autoglm_recovery.exporter.passwords import why_no_hash
from autoglm_recovery.knowledge.host import bounded_yaml

_CLIENTS = {
    "NoClientCert": ssl.CERT_NONE,
    "VerifyClientCertIfGiven": ssl.CERT_OPTIONAL,
    "RequireAndVerifyClientCert": ssl.CERT_REQUIRED,
}
_VERSIONS = {"TLS12": ssl.TLSVersion.TLSv1_2, "TLS13": ssl.TLSVersion.TLSv1_3}
_TLS_KEYS = ("cert_file", "key_file", "client_ca_file", "client_auth_type", "min_version")
# How the roles' file begins and ends (roles/exporter_common/vars/main.yml).  Cut between its two parts it is valid, and
# open to everybody or not encrypted; a file of somebody else does not tell where it ends.
_BEGINS, _ENDS = b"# Written by a role of autoglm.recovery. Its last line is: # whole", b"# whole"
_KEYS = ("tls_server_config", "basic_auth_users", "http_server_config")


class WebConfigError(Exception):
    """The web configuration cannot be used; the message says why."""


@dataclass(frozen=True)
class TlsServer:
    """How connections are encrypted, and which certificates of clients are asked for."""

    certificate: Path
    key: Path
    client_ca: Path | None = None
    clients: ssl.VerifyMode = ssl.CERT_NONE
    minimum: ssl.TLSVersion = ssl.TLSVersion.TLSv1_2

    @property
    def files(self) -> tuple[Path, ...]:
        """Return the files that are read."""
        return (self.certificate, self.key, *((self.client_ca,) if self.client_ca else ()))

    def context(self) -> ssl.SSLContext:
        """Return what a server needs.

        Raises WebConfigError if a file cannot be read, or is not what it should be.
        """
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = self.minimum
        context.verify_mode = self.clients
        for path in self.files:
            try:
                path.open("rb").close()
            except OSError as error:
                raise WebConfigError(f"{path} cannot be read: {error.strerror}") from error
        try:
            # A key with a passphrase would be asked for at the terminal.
            context.load_cert_chain(self.certificate, self.key, password=lambda: "")
        except (OSError, ValueError) as error:
            raise WebConfigError(f"{self.certificate} and {self.key} are no certificate and its key: {error}") from None
        try:
            if self.client_ca:
                context.load_verify_locations(self.client_ca)
        except (OSError, ValueError) as error:
            raise WebConfigError(f"{self.client_ca} holds no certificates: {error}") from None
        return context


@dataclass(frozen=True)
class WebConfig:
    """What the file says.  ``users``: name -> bcrypt hash; none means that nobody is asked who he is."""

    tls: TlsServer | None = None
    users: Mapping[str, str] = field(default_factory=dict)


def load_web_config(path: Path, may_be_empty: bool = True) -> WebConfig:
    """Read the file.  Raises WebConfigError."""
    try:
        text = path.read_bytes()
        document = bounded_yaml.load(text)
    except OSError as error:
        raise WebConfigError(f"{path} cannot be read: {error.strerror}") from error
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise WebConfigError(f"{path} is no YAML: {error}") from error
    if text.startswith(_BEGINS) and text.rstrip(b"\n").rpartition(b"\n")[2] != _ENDS:
        raise WebConfigError(f"{path} does not end as it says at its beginning that it does, as while it is written")
    if document is None and not may_be_empty:
        raise WebConfigError(f"{path} is empty, as while it is written; {{}} is what asks for nothing")
    try:
        return parse_web_config(document, path.parent)
    except WebConfigError as error:
        raise WebConfigError(f"{path}: {error}") from None


def parse_web_config(document: Any, directory: Path) -> WebConfig:
    """Return what a document says; paths in it are relative to ``directory``.

    Raises WebConfigError.
    """
    top = _mapping(document, "the file", _KEYS)
    # Of HTTP's version there is nothing to choose: it is 1.
    _mapping(top.get("http_server_config"), "http_server_config", ("http2",))
    tls = _mapping(top.get("tls_server_config"), "tls_server_config", _TLS_KEYS)
    users = _mapping(top.get("basic_auth_users"), "basic_auth_users")
    for name, hashed in users.items():
        if not isinstance(name, str) or not name or ":" in name:
            raise WebConfigError("basic_auth_users: a user must have a name without a colon")
        if why := why_no_hash(hashed):
            raise WebConfigError(f"basic_auth_users: {name}: {why}")
    return WebConfig(_tls(tls, directory) if tls else None, dict(users))


def _tls(given: Mapping[str, Any], directory: Path) -> TlsServer:
    for key, value in given.items():
        if not isinstance(value, str):
            raise WebConfigError(f"tls_server_config.{key} must be a text")
    for key in ("cert_file", "key_file"):
        if not given.get(key):
            raise WebConfigError(f"tls_server_config has no {key}")
    client_ca = given.get("client_ca_file") or None
    clients = _one_of(_CLIENTS, given, "client_auth_type", "NoClientCert")
    # As the exporters of Prometheus have it: half of it would look like the whole.
    if (client_ca is None) != (clients is ssl.CERT_NONE):
        raise WebConfigError(
            "tls_server_config: client_ca_file and a client_auth_type other than NoClientCert go together"
        )
    return TlsServer(
        directory / given["cert_file"],
        directory / given["key_file"],
        directory / client_ca if client_ca else None,
        clients,
        _one_of(_VERSIONS, given, "min_version", "TLS12"),
    )


def _mapping(value: Any, place: str, keys: tuple[str, ...] | None = None) -> Mapping[Any, Any]:
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise WebConfigError(f"{place} must be a mapping")
    strange = sorted(str(key) for key in value if keys is not None and key not in keys)
    if strange:
        raise WebConfigError(f"{place} may have {', '.join(keys or ())} here, and not {', '.join(strange)}")
    return value


def _one_of(choices: Mapping[str, Any], given: Mapping[str, Any], key: str, default: str) -> Any:
    value = given.get(key) or default
    if value not in choices:
        raise WebConfigError(f"tls_server_config.{key} must be one of {', '.join(choices)}, and not {value}")
    return choices[value]
