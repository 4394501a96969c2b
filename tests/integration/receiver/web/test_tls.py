# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""TLS and client certificates, with a real server and real handshakes."""

from __future__ import annotations

import os
import socket
import ssl

import httpx
import pytest
import structlog.testing
from cryptography import x509

from autoglm_recovery.receiver.access import watched
from autoglm_recovery.receiver.access.entries import AuthError
from autoglm_recovery.receiver.web import handshakes, listening
from autoglm_recovery.receiver.web.certificates import TlsFiles, names_of, serving_context
from tests.support.servers.authority import Authority
from tests.support.servers.waiting import until

from .serving import ACCESS, OPERATOR, serving

ROBOT = x509.UniformResourceIdentifier("spiffe://example.org/robot")
WHO = f"{ACCESS}robot viewer cert:URI:spiffe://example.org/robot\nprom sender cert:CN=prom\n"


@pytest.fixture
def authority(tmp_path):
    """Return an authority that signs for both sides."""
    return Authority(tmp_path, "ours")


@pytest.fixture
def files(authority):
    """Return the server's files."""
    pair = authority.sign("server")
    return TlsFiles(pair.certificate, pair.key, authority.certificate)


@pytest.fixture(autouse=True)
def _look_at_once(monkeypatch):
    monkeypatch.setattr(watched, "LOOK_EVERY_S", -1)


def context(authority, pair=None, **changes):
    """Return how a client speaks TLS."""
    made = ssl.create_default_context(cafile=authority.certificate)
    if pair:
        made.load_cert_chain(pair.certificate, pair.key)
    for name, value in changes.items():
        setattr(made, name, value)
    return made


def get(server, tls, path="/api/v1/incidents", token=None):
    """Ask in a connection of its own."""
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    return httpx.get(server.url + path, verify=tls, trust_env=False, headers=headers)


def test_a_certificate_is_known_by_its_names(tmp_path, authority, files):
    with serving(tmp_path, WHO, tls=files) as server:
        robot = context(authority, authority.sign("whatever", ROBOT))
        assert get(server, robot).status_code == 200
        assert get(server, robot, "/api/v1/audit").status_code == 403
        prom = context(authority, authority.sign("prom"))
        assert get(server, prom).status_code == 403
        stranger = context(authority, authority.sign("stranger"))
        assert get(server, stranger).status_code == 401
        assert get(server, stranger, token=OPERATOR).status_code == 200
        assert get(server, context(authority)).status_code == 401
        answer = get(server, context(authority), token=OPERATOR)
        assert answer.headers["strict-transport-security"]


def test_a_certificate_of_another_authority_ends_the_handshake(tmp_path, authority, files):
    others = Authority(tmp_path, "others")
    with serving(tmp_path, WHO, tls=files) as server, pytest.raises(httpx.TransportError):
        get(server, context(authority, others.sign("robot", ROBOT)))


def test_failed_handshakes_are_told_with_what_to_do(tmp_path, authority, files, monkeypatch):
    """By a client that does not trust us, by one that we do not trust, and by one that speaks no TLS."""
    # What the tests before have told is not told again for a minute.
    monkeypatch.setattr(handshakes, "_teller", handshakes.HandshakeLog())
    others = Authority(tmp_path, "others")
    with structlog.testing.capture_logs() as logged, serving(tmp_path, WHO, tls=files) as server:
        for tls in (context(others), context(authority, others.sign("robot", ROBOT))):
            for _again in range(2):
                with pytest.raises(httpx.TransportError):
                    get(server, tls)
        with pytest.raises(httpx.TransportError):
            httpx.get(server.url.replace("https", "http"), trust_env=False)
        said = until("all three to be told", lambda: told if len(told := _failures(logged)) >= 3 else None)
    assert len(said) == 3
    assert "does not trust the authority of our certificate; give it the CA file" in said[0]["why"]
    assert "not of an authority of --client-ca" in said[1]["why"]
    assert "must begin with https://" in said[2]["why"]
    assert {line["address"] for line in said} == {"127.0.0.1"}


def _failures(logged):
    return [line for line in logged if line["event"] == "a TLS handshake has failed"]


def test_names_in_headers_are_no_certificate(tmp_path, authority, files):
    with serving(tmp_path, WHO, tls=files) as server:
        headers = {
            "X-Client-Cert": files.certificate.read_text().replace("\n", ""),
            "X-SSL-Client-S-DN": "CN=prom",
            "X-Forwarded-Client-Cert": "URI=spiffe://example.org/robot",
        }
        answer = httpx.get(server.url + "/api/v1/incidents", verify=context(authority), headers=headers)
        assert answer.status_code == 401


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion:DeprecationWarning")
def test_an_old_protocol_is_not_spoken(tmp_path, authority, files):
    with serving(tmp_path, WHO, tls=files) as server:
        # SECLEVEL=0, or OpenSSL would refuse to offer it and the test would show nothing of the server.
        old = context(authority)
        old.set_ciphers("ALL:@SECLEVEL=0")
        old.minimum_version = ssl.TLSVersion.TLSv1
        old.maximum_version = ssl.TLSVersion.TLSv1_1
        with pytest.raises(httpx.ConnectError, match=r"(?i)version|protocol|alert"):
            get(server, old)
        assert get(server, context(authority, maximum_version=ssl.TLSVersion.TLSv1_2), "/healthz").status_code == 200


def test_a_renewed_certificate_is_shown_to_the_next_connection(tmp_path, authority, files):
    with serving(tmp_path, WHO, tls=files) as server:
        before = _shown(server)
        renewed = authority.sign("server", file="renewed")
        os.replace(renewed.key, files.key)
        # In between the two do not fit, and what was there goes on.
        assert _shown(server) == before
        os.replace(renewed.certificate, files.certificate)
        assert _shown(server) not in (before, None)
        assert get(server, context(authority), "/healthz").status_code == 200


def _shown(server):
    return ssl.get_server_certificate(("127.0.0.1", server.port))


def test_an_authority_that_is_taken_out_counts_no_more(tmp_path, authority, files):
    partners = Authority(tmp_path, "partners")
    both = tmp_path / "both.pem"
    both.write_bytes(authority.certificate.read_bytes() + partners.certificate.read_bytes())
    with serving(tmp_path, WHO, tls=TlsFiles(files.certificate, files.key, both)) as server:
        theirs = context(authority, partners.sign("robot", ROBOT))
        assert get(server, theirs).status_code == 200
        part = tmp_path / "part.pem"
        part.write_bytes(authority.certificate.read_bytes())
        os.replace(part, both)
        with pytest.raises(httpx.TransportError):
            get(server, theirs)
        assert get(server, context(authority, authority.sign("robot", ROBOT))).status_code == 200


def test_the_cookie_of_a_session_travels_over_tls_only(tmp_path, authority, files):
    with (
        serving(tmp_path, WHO, tls=files) as server,
        httpx.Client(base_url=server.url, verify=context(authority), trust_env=False) as client,
    ):
        cookie = client.post("/login", data={"secret": OPERATOR}).headers["set-cookie"]
        assert cookie.startswith("__Host-autoglm_session=")
        assert "Secure" in cookie
        assert client.get("/api/v1/incidents").status_code == 200


def test_files_that_cannot_be_used_are_an_error_with_their_names(tmp_path, files):
    for wrong in (
        TlsFiles(tmp_path / "none", files.key),
        TlsFiles(files.certificate, files.certificate),
        TlsFiles(files.certificate, files.key, tmp_path / "none"),
        TlsFiles(files.certificate, files.key, files.key),
    ):
        with pytest.raises(AuthError, match=r"server\.(key|crt)"):
            serving_context(wrong)


def test_keys_are_agreed_on_once_in_a_connection(files):
    """A client of TLS 1.2 could ask for that again and again; our OpenSSL refuses by default, an older one does not."""
    assert serving_context(files).options & ssl.OP_NO_RENEGOTIATION


def test_client_certificates_need_an_access_file_that_says_who_may_what(tmp_path, files):
    with pytest.raises(AuthError, match="--access-file"), serving(tmp_path, None, tls=files):
        pass


@pytest.mark.parametrize("certificate", [None, {}, {"subject": (), "subjectAltName": (("IP Address", "127.0.0.1"),)}])
def test_no_names_are_nobodys(certificate):
    assert names_of(certificate) == ()


def test_a_certificate_with_several_common_names_is_nobodys():
    subject = ((("commonName", "robot"),), (("commonName", "admin"),))
    assert names_of({"subject": subject, "subjectAltName": (("DNS", "node"),)}) == ("DNS:node",)


def test_a_handshake_that_never_begins_ends(tmp_path, files, monkeypatch):
    monkeypatch.setattr(listening, "HANDSHAKE_WITHIN_S", 0.2)
    with serving(tmp_path, tls=files) as server, socket.create_connection(("127.0.0.1", server.port), 60) as sock:
        assert sock.recv(1) == b""
