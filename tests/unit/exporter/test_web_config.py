# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The exporter's page over TLS and for users with a password, by the file that Prometheus' own exporters take."""

from __future__ import annotations

import os
import socket
import ssl
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest
import yaml

from autoglm_recovery.exporter import connections, guard, passwords
from autoglm_recovery.exporter.guard import WebGuard
from autoglm_recovery.exporter.http import ExporterServer
from autoglm_recovery.exporter.web_config import TlsServer, WebConfig, WebConfigError, parse_web_config
from tests.support.servers.authority import Authority
from tests.support.tooling.prometheus_tools import tool

ROLES = Path(__file__).parents[3] / "roles"
# Of the password "hunter2".
HASH = "$2y$04$abcdefghijklmnopqrstuuV3duMsC0HpUex6N9qapiuOHHWkwRXVm"
# Vectors that crypt_blowfish is published with.
VECTORS = {
    "U*U": "$2a$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW",
    "U*U*U": "$2a$05$XXXXXXXXXXXXXXXXXXXXXOAcXxm9kjPGEMsLznoKqmqw7tc8WCx4a",
}


class Site:
    """A web configuration, and an exporter's page behind it."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.path = directory / "web.yml"
        self.authority = Authority(directory, "authority")
        self.authority.sign("exporter", file="server")
        self.server: ExporterServer | None = None

    def configure(self, **more: object) -> None:
        """Write the file anew, as a tool does that replaces it whole."""
        document = {"tls_server_config": {"cert_file": "server.crt", "key_file": "server.key"}, **more}
        new = self.path.with_suffix(".new")
        new.write_text(yaml.safe_dump(document))
        new.replace(self.path)

    def serve(self) -> None:
        self.server = ExporterServer("127.0.0.1:0", lambda: b"up 1\n", WebGuard(self.path))
        self.server.start()

    def ask(self, *, authority: Path | None = None, **more: object) -> httpx.Response:
        assert self.server is not None
        context = ssl.create_default_context(cafile=authority or self.authority.certificate)
        with httpx.Client(verify=context, trust_env=False, timeout=60) as client:
            return client.get(f"https://127.0.0.1:{self.server.port}/metrics", **more)


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    made = Site(tmp_path)
    yield made
    if made.server is not None:
        made.server.stop()


def test_the_page_is_encrypted_and_for_whoever_has_the_password(site: Site) -> None:
    site.configure(basic_auth_users={"prometheus": HASH})
    subprocess.run([tool("promtool"), "check", "web-config", str(site.path)], check=True, capture_output=True)
    site.serve()
    answer = site.ask(auth=("prometheus", "hunter2"))
    assert (answer.status_code, answer.text) == (200, "up 1\n")
    for wrong in (None, ("prometheus", "hunter3"), ("nobody", "hunter2"), ("prometheus", "")):
        refused = site.ask(auth=wrong)
        assert (refused.status_code, refused.headers["WWW-Authenticate"]) == (401, "Basic")
        assert "up" not in refused.text
    for header in ("Basic", "Basic x", "Basic " + "=" * 9, "Bearer hunter2", "Basic aHVudGVyMg=="):
        assert site.ask(headers={"Authorization": header}).status_code == 401


def said_to(connection: socket.socket) -> bytes:
    """Return what comes before the end: an alert of TLS, or nothing where the end is a reset."""
    try:
        return connection.recv(4096)
    except ConnectionResetError:
        return b""


def test_who_speaks_no_tls_is_not_answered_and_keeps_nobody_waiting(site: Site) -> None:
    site.configure()
    site.serve()
    assert site.server is not None
    with socket.create_connection(("127.0.0.1", site.server.port)) as _silent:
        with socket.create_connection(("127.0.0.1", site.server.port), 60) as plain:
            plain.sendall(b"GET /metrics HTTP/1.0\r\n\r\n")
            assert b"up 1" not in said_to(plain)
        assert site.ask().text == "up 1\n"


def test_a_handshake_that_does_not_come_is_ended(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "REQUEST_WITHIN_S", 0.2)
    site.configure()
    site.serve()
    assert site.server is not None
    with socket.create_connection(("127.0.0.1", site.server.port), 60) as silent:
        assert said_to(silent) == b""


def test_a_client_needs_the_certificate_that_the_file_asks_for(site: Site) -> None:
    asked = {"client_ca_file": "authority.pem", "client_auth_type": "RequireAndVerifyClientCert"}
    site.configure(tls_server_config={"cert_file": "server.crt", "key_file": "server.key", **asked})
    site.serve()
    assert site.server is not None
    with pytest.raises(httpx.TransportError):
        site.ask()
    mine = site.authority.sign("prometheus")
    context = ssl.create_default_context(cafile=site.authority.certificate)
    context.load_cert_chain(mine.certificate, mine.key)
    with httpx.Client(verify=context, trust_env=False, timeout=60) as client:
        assert client.get(f"https://127.0.0.1:{site.server.port}/metrics").text == "up 1\n"


def test_what_changes_is_read_and_what_cannot_be_used_is_not(site: Site) -> None:
    site.configure(basic_auth_users={"prometheus": HASH})
    site.serve()
    assert site.ask().status_code == 401
    site.path.write_text("basic_auth_users: {prometheus: hunter2}")
    assert site.ask().status_code == 401
    site.configure()
    assert site.ask().status_code == 200

    # A renewed certificate: the key first, as it comes in two steps, and in between the old pair goes on.
    other = Authority(site.directory, "other")
    new = other.sign("exporter", file="new")
    os.replace(new.key, site.directory / "server.key")
    assert site.ask().status_code == 200
    os.replace(new.certificate, site.directory / "server.crt")
    assert site.ask(authority=other.certificate).status_code == 200
    with pytest.raises(httpx.ConnectError, match="certificate verify failed"):
        site.ask()


def test_a_file_that_is_being_written_opens_nothing(site: Site) -> None:
    site.configure(basic_auth_users={"prometheus": HASH})
    site.serve()
    site.path.write_text("")
    assert site.ask().status_code == 401
    assert site.ask(auth=("prometheus", "hunter2")).status_code == 200


def test_a_file_of_the_roles_that_was_cut_opens_nothing(site: Site) -> None:
    role = yaml.safe_load((ROLES / "exporter_common/vars/main.yml").read_text())
    site.configure(basic_auth_users={"prometheus": HASH})
    parts = yaml.safe_load(site.path.read_text())
    tls, users = (yaml.safe_dump({key: parts[key]}) for key in ("tls_server_config", "basic_auth_users"))
    whole = f"{role['__exporter_common_begins']}\n{tls}{users}{role['__exporter_common_ends']}\n"
    site.path.write_text(whole)
    site.serve()
    lines = whole.splitlines(keepends=True)
    for count in range(len(lines)):
        site.path.write_text("".join(lines[:count]))
        assert site.ask().status_code == 401, count
    assert site.ask(auth=("prometheus", "hunter2")).status_code == 200
    site.path.write_text(whole.replace(users, ""))
    assert site.ask().status_code == 200


def test_what_was_refused_is_read_once_what_it_names_is_there(site: Site) -> None:
    site.configure()
    site.serve()
    site.configure(
        tls_server_config={"cert_file": "late.crt", "key_file": "late.key"}, basic_auth_users={"prometheus": HASH}
    )
    assert site.ask().status_code == 200
    site.authority.sign("exporter", file="late")
    assert site.ask().status_code == 401


def test_what_changes_while_it_is_read_is_read_again(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    site.configure()
    real = TlsServer.context

    def changing(tls: TlsServer) -> ssl.SSLContext:
        monkeypatch.undo()
        context = real(tls)
        site.configure(basic_auth_users={"prometheus": HASH})
        return context

    monkeypatch.setattr(TlsServer, "context", changing)
    site.serve()
    assert site.ask().status_code == 401


def test_a_file_that_becomes_readable_is_read(tmp_path: Path) -> None:
    """The look tells it, by the time of the inode's change alone: root, as which tests run, reads it in any case."""
    path = tmp_path / "web.yml"
    path.write_text("{}")
    before = guard._look([path])
    path.chmod(0o640)
    assert guard._look([path]) != before


@pytest.mark.parametrize(
    ("document", "says"),
    [
        ([], "must be a mapping"),
        ({"rate_limit": {}}, "and not rate_limit"),
        ({"http_server_config": {"headers": {"X-Frame-Options": "deny"}}}, "and not headers"),
        ({"tls_server_config": {"cert_file": "a"}}, "has no key_file"),
        ({"tls_server_config": {"cert_file": "a", "key_file": 1}}, "key_file must be a text"),
        ({"tls_server_config": {"cert_file": "a", "key_file": "b", "cipher_suites": []}}, "and not cipher_suites"),
        ({"tls_server_config": {"cert_file": "a", "key_file": "b", "min_version": "TLS10"}}, "TLS12, TLS13"),
        ({"tls_server_config": {"cert_file": "a", "key_file": "b", "client_ca_file": "c"}}, "go together"),
        (
            {"tls_server_config": {"cert_file": "a", "key_file": "b", "client_auth_type": "RequireAnyClientCert"}},
            "must be one of NoClientCert",
        ),
        ({"basic_auth_users": ["prometheus"]}, "basic_auth_users must be a mapping"),
        ({"basic_auth_users": {"prometheus": "hunter2"}}, "prometheus: must be a bcrypt hash"),
        ({"basic_auth_users": {"a:b": HASH}}, "a name without a colon"),
        ({"basic_auth_users": {"prometheus": HASH.replace("$04$", "$20$")}}, "of cost 20"),
    ],
)
def test_what_it_cannot_do_is_refused(document: object, says: str) -> None:
    with pytest.raises(WebConfigError, match=says):
        parse_web_config(document, Path("/etc"))


def test_a_password_is_never_in_what_is_said() -> None:
    with pytest.raises(WebConfigError) as refused:
        parse_web_config({"basic_auth_users": {"prometheus": "hunter2"}}, Path("/etc"))
    assert "hunter2" not in str(refused.value)


def test_an_empty_file_asks_for_nothing() -> None:
    assert parse_web_config(None, Path("/etc")) == WebConfig()


@pytest.mark.parametrize(
    ("files", "says"),
    [
        ({}, "web.yml cannot be read"),
        ({"web.yml": "a: ["}, "is no YAML"),
        ({"web.yml": "tls_server_config: {cert_file: a, key_file: b}"}, "a cannot be read"),
        ({"web.yml": "tls_server_config: {cert_file: a, key_file: b}", "a": "x", "b": "x"}, "are no certificate"),
    ],
)
def test_a_file_that_cannot_be_used_is_refused_at_the_start(tmp_path: Path, files: dict[str, str], says: str) -> None:
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    with pytest.raises(WebConfigError, match=says):
        WebGuard(tmp_path / "web.yml")


def test_bcrypt_is_that_of_everybody_else() -> None:
    passwords.check_crypt()
    for password, hashed in VECTORS.items():
        assert passwords.why_no_hash(hashed) == ""
        assert passwords.matches(password, hashed)
        assert not passwords.matches(password + "x", hashed)
        # C would stop reading there.
        assert not passwords.matches(password + "\0x", hashed)


def test_several_threads_do_not_spoil_what_each_other_computes() -> None:
    with ThreadPoolExecutor(8) as threads:
        assert all(threads.map(lambda _: passwords.matches("hunter2", HASH), range(200)))


def test_a_slow_hash_is_computed_once_for_a_password_that_is_right(monkeypatch: pytest.MonkeyPatch) -> None:
    computed = []
    real = passwords.matches
    monkeypatch.setattr(passwords, "matches", lambda *given: computed.append(given) or real(*given))
    checker = passwords.PasswordChecker()
    assert [checker.allows({"prometheus": HASH}, "prometheus", "hunter2") for _ in range(3)] == [True] * 3
    assert len(computed) == 1
    # Another hash is another password.
    assert not checker.allows({"prometheus": VECTORS["U*U"]}, "prometheus", "hunter2")
    # Whoever is nobody takes as long as somebody.
    assert not checker.allows({"prometheus": HASH}, "nobody", "hunter2")
    assert len(computed) == 3
