# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Speaking with AWX: who it is, who we are, and what is no answer at all."""

from __future__ import annotations

import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from autoglm_recovery.receiver.runs.awx.client import AwxClient, AwxRefused, AwxUnavailable, Deadline
from autoglm_recovery.receiver.runs.awx.launcher import AwxLauncher
from autoglm_recovery.receiver.runs.protocol import LaunchRefused, RunStatus
from tests.integration.awx.driving import Kept, settings
from tests.support.fake_awx import FakeAwx, Fault, running
from tests.support.fake_awx.server import Running


def deadline() -> Deadline:
    """Return time enough."""
    return Deadline(10.0)


@pytest.fixture
def client(awx: Running) -> Iterator[AwxClient]:
    made = AwxClient(settings(awx.url))
    yield made
    made.close()


def _certificate(directory: Path) -> tuple[ssl.SSLContext, Path]:
    """Make a certificate of its own authority for 127.0.0.1."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "fake AWX")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    authority = directory / "ca.pem"
    authority.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    both = directory / "server.pem"
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    both.write_bytes(private + authority.read_bytes())
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(both)
    return context, authority


def test_the_certificate_is_verified(tmp_path: Path) -> None:
    context, authority = _certificate(tmp_path)
    with running(FakeAwx(), tls=context) as server:
        trusting = AwxClient(settings(server.url, ca_file=authority))
        assert trusting.get("ping/", deadline())["version"] == "24.6.1"
        trusting.close()
        doubting = AwxClient(settings(server.url))
        with pytest.raises(AwxUnavailable, match="certificate") as unavailable:
            doubting.get("ping/", deadline())
        assert not unavailable.value.processed
        # The right authority, but another name.
        elsewhere = AwxClient(settings(server.url.replace("127.0.0.1", "localhost"), ca_file=authority))
        with pytest.raises(AwxUnavailable, match="certificate"):
            elsewhere.get("ping/", deadline())
        assert server.seen == ["GET /api/v2/ping/"]


def test_a_ca_file_that_is_none_is_an_error_at_once(tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_text("no certificate")
    with pytest.raises(ssl.SSLError):
        AwxLauncher(settings("https://127.0.0.1", ca_file=tmp_path / "ca.pem"))
    with pytest.raises(OSError, match="No such file"):
        AwxLauncher(settings("https://127.0.0.1", ca_file=tmp_path / "none.pem"))


def test_a_wrong_token_refuses_the_launch(awx: Running) -> None:
    launcher = AwxLauncher(settings(awx.url, token="wrong"))
    with pytest.raises(LaunchRefused) as refused:
        Kept().launched(launcher)
    assert "wrong" not in str(refused.value)


def test_a_token_that_may_only_read_launches_nothing(awx: Running) -> None:
    launcher = AwxLauncher(settings(awx.url, token="a-reading-token"))
    with pytest.raises(LaunchRefused, match=r"role Execute.*scope write") as refused:
        Kept().launched(launcher)
    assert not refused.value.launched
    assert (len(awx.launches()), awx.awx.all("jobs")) == (1, [])


def test_a_token_that_may_only_read_from_now_on_cannot_cancel_and_says_so(awx: Running) -> None:
    kept = Kept()
    kept.launched(AwxLauncher(settings(awx.url)))
    launcher = AwxLauncher(settings(awx.url, token="a-reading-token"))
    with pytest.raises(AwxUnavailable, match="could not be cancelled"):
        launcher.cancel(kept.run, "closed by ann")
    awx.awx.succeed(awx.awx.all("jobs")[0])
    assert kept.ended(launcher).rc == 0


def test_a_token_in_a_file_may_change(awx: Running, tmp_path: Path) -> None:
    file = tmp_path / "token"
    client = AwxClient(settings(awx.url, token_file=file))
    with pytest.raises(AwxUnavailable, match="cannot be read"):
        client.get("jobs/", deadline())
    file.write_text("old\n")
    with pytest.raises(AwxRefused) as refused:
        client.get("jobs/", deadline())
    assert refused.value.status == 401
    file.write_text("a-token\n")
    assert client.get("jobs/", deadline())["count"] == 0


def test_lists_are_read_to_their_end(awx: Running, client: AwxClient) -> None:
    for number in range(60):
        awx.awx.add("organizations", name=f"o{number}")
    pages = list(client.pages("organizations/", deadline(), order_by="id"))
    assert [len(page) for page in pages] == [25, 25, 11]
    assert len({item["id"] for page in pages for item in page}) == 61


def test_pages_have_an_end_even_where_awx_has_none(awx: Running, client: AwxClient) -> None:
    for number in range(30):
        awx.awx.add("organizations", name=f"o{number}")
    assert len(list(client.pages("organizations/", deadline(), most=3, page_size=1))) == 3


@pytest.mark.parametrize(
    ("how", "error", "processed"),
    [("html", AwxUnavailable, True), (500, AwxUnavailable, True), (504, AwxUnavailable, True),
     (429, AwxUnavailable, False), (503, AwxUnavailable, False), ("drop", AwxUnavailable, True),
     (403, AwxRefused, None), (404, AwxRefused, None), (302, AwxRefused, None)],
)  # fmt: skip
def test_what_is_no_answer(
    awx: Running, client: AwxClient, how: str | int, error: type[Exception], processed: bool | None
) -> None:
    awx.faults.append(Fault(how, headers={"Location": "https://evil.example/"} if how == 302 else {}))
    with pytest.raises(error) as caught:
        client.get("jobs/", deadline())
    if processed is not None:
        assert caught.value.processed is processed  # type: ignore[attr-defined]
    assert client.get("jobs/", deadline())["count"] == 0


def test_retry_after_is_heard_but_not_for_ever(awx: Running, client: AwxClient) -> None:
    for value, wait in (("7", 7.0), ("86400", 300.0), ("soon", None)):
        awx.faults.append(Fault(429, headers={"Retry-After": value}))
        with pytest.raises(AwxUnavailable) as caught:
            client.get("jobs/", deadline())
        assert caught.value.wait_s == wait


@contextmanager
def raw_server(speak: Callable[[socket.socket], None]) -> Iterator[str]:
    """Run a server that says what it likes, once for each connection."""
    listener = socket.create_server(("127.0.0.1", 0))
    listener.settimeout(10)

    def serve() -> None:
        while True:
            try:
                connection, _address = listener.accept()
            except OSError:
                return
            with connection:
                connection.settimeout(10)
                connection.recv(65536)
                try:
                    speak(connection)
                except OSError:
                    continue

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join()


def test_an_answer_that_drips_is_cut_off() -> None:
    gone = threading.Event()

    def drip(connection: socket.socket) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
        while True:
            try:
                connection.sendall(b" ")
            except OSError:
                gone.set()
                raise
            time.sleep(0.02)

    with raw_server(drip) as url:
        client = AwxClient(settings(url, call_timeout_s=0.3))
        with pytest.raises(AwxUnavailable, match="takes longer than"):
            client.get("jobs/", deadline())
        assert gone.wait(10)


def test_an_answer_that_is_too_large_is_cut_off() -> None:
    def flood(connection: socket.socket) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        while True:
            connection.sendall(b"100000\r\n" + b" " * 0x100000 + b"\r\n")

    with raw_server(flood) as url:
        client = AwxClient(settings(url, call_timeout_s=30.0))
        with pytest.raises(AwxUnavailable, match="more than 16 MiB"):
            client.get("jobs/", Deadline(60.0))


@pytest.mark.parametrize("link", ["http://evil.example/api/v2/jobs/?page=2", "//evil.example/jobs/"])
def test_the_next_page_is_never_on_another_host(link: str) -> None:
    body = f'{{"count": 9, "next": "{link}", "results": []}}'.encode()
    head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(body)
    with raw_server(lambda connection: connection.sendall(head + body)) as url:
        client = AwxClient(settings(url))
        with pytest.raises(AwxUnavailable, match="another host"):
            list(client.pages("jobs/", deadline()))


def test_awx_that_is_down_holds_the_run_and_is_not_asked_all_the_time(awx: Running) -> None:
    launcher, kept = AwxLauncher(settings(awx.url)), Kept()
    awx.faults.append(Fault(500, times=10**6))
    for _turn in range(50):
        look = kept.look(launcher)
        assert look.status is RunStatus.running
        assert "HTTP 500" in str(look.why)
    assert len(awx.seen) < 5


def test_awx_that_is_down_is_given_up_after_a_while_if_nothing_was_launched(awx: Running) -> None:
    launcher, kept = AwxLauncher(settings(awx.url, give_up_s=0.2)), Kept()
    awx.faults.append(Fault(500, times=10**6))
    last = kept.ended(launcher)
    assert (last.rc, last.started) == (None, False)
    assert "given up" in str(last.why)


def test_awx_that_goes_down_in_mid_run_ends_nothing(awx: Running) -> None:
    launcher, kept = AwxLauncher(settings(awx.url, give_up_s=0.0)), Kept()
    kept.launched(launcher)
    for how in (500, "html", 403, "drop"):
        awx.faults.append(Fault(how))
        kept.until(launcher, lambda _look: not awx.faults[-1].times)
        assert kept.looks[-1].status is RunStatus.running
    awx.awx.succeed(awx.awx.all("jobs")[0])
    assert kept.ended(launcher).rc == 0


def test_a_revoked_token_in_mid_run_ends_nothing(awx: Running) -> None:
    launcher, kept = AwxLauncher(settings(awx.url)), Kept()
    kept.launched(launcher)
    awx.awx.tokens.clear()
    assert kept.look(launcher).status is RunStatus.running
    assert "401" in str(kept.looks[-1].why)
    awx.awx.tokens.add("a-token")
    awx.awx.succeed(awx.awx.all("jobs")[0])
    assert kept.ended(launcher).rc == 0


@pytest.mark.parametrize("status", [401, 403])
@pytest.mark.parametrize("path", ["/job_events/", "/jobs/"])
def test_a_refusal_after_a_restart_loses_no_job(awx: Running, path: str, status: int) -> None:
    """Whoever finds the reference of a job knows that one was launched, though its own memory is empty."""
    kept = Kept()
    kept.launched(AwxLauncher(settings(awx.url)))
    awx.faults.append(Fault(status, "GET", path))
    again = AwxLauncher(settings(awx.url))
    assert kept.until(again, lambda _look: not awx.faults[-1].times).status is RunStatus.running
    assert str(status) in str(kept.looks[-1].why)
    awx.awx.succeed(awx.awx.all("jobs")[0])
    assert kept.ended(again).rc == 0


def test_a_running_job_is_not_polled_faster_than_told(awx: Running) -> None:
    launcher, kept = AwxLauncher(settings(awx.url, poll_every_s=3600.0)), Kept()
    kept.launched(launcher)
    asked = len(awx.seen)
    for _turn in range(20):
        assert kept.look(launcher).status is RunStatus.running
    assert len(awx.seen) == asked
