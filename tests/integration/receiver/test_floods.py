# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A flood goes on while another sender's alert comes, its run starts, and its incident ends."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from cryptography import x509

from autoglm_recovery.receiver.access import passwords
from tests.support.servers.authority import Authority
from tests.support.servers.waiting import until

from .floods import FLOODS
from .running import CHECKOUT, alert, end_runs, now, payload
from .tls import TlsReceiver

TOKEN, FLOODER = "token-of-alertmanager-0123456789", "token-of-the-flooder-0123456789"
# Those of a line go on at the same time.
TOGETHER = (
    ("connections that never say anything",),
    ("handshakes that never end", "plain HTTP", "connections that end at once"),
    ("handshakes and nothing more",),
    ("slow headers", "slow bodies", "requests whose answers nobody reads"),
    ("chunks without end", "broken bodies", "large headers", "guesses"),
    ("large bodies", "alerts in masses"),
)
HOSTS = {names: f"node-{number}" for number, names in enumerate(TOGETHER)}


class WithFewDescriptors(TlsReceiver):
    """A receiver that may open few files, and may not raise the limit."""

    def command(self) -> list[str]:
        """Return the command that serves, below a limit that only root raises."""
        return ["bash", "-c", 'ulimit -n 256 && exec "$@"', "bash", *super().command()]


@contextmanager
def serving_tls(work: Path, kind: type[TlsReceiver]) -> Iterator[TlsReceiver]:
    """Run a receiver with TLS, who has an operator, a sender with a token of his own, and a user with a password."""
    authority = Authority(work, "ours")
    pair = authority.sign("localhost", x509.DNSName("localhost"))
    receiver = kind(
        work / "receiver",
        tokens=(TOKEN, f"flooder sender {FLOODER}", f"person viewer {passwords.hash_password('right horse battery')}"),
        hosts=(*HOSTS.values(), "node-last"),
        arguments=("--tls-cert", str(pair.certificate), "--tls-key", str(pair.key)),
        authority=authority.certificate,
    )
    try:
        receiver.start()
        yield receiver
    finally:
        if receiver.process is not None and receiver.process.poll() is None:
            receiver.kill()
        receiver.client.close()
        end_runs(receiver)


@pytest.fixture(scope="module")
def receiver(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TlsReceiver]:
    """Return one for all floods."""
    with serving_tls(tmp_path_factory.mktemp("flooded"), TlsReceiver) as running:
        yield running


@pytest.fixture
def few_descriptors(tmp_path: Path) -> Iterator[TlsReceiver]:
    """Return one that may open few files."""
    with serving_tls(tmp_path, WithFewDescriptors) as running:
        yield running


@contextmanager
def flooded(names: tuple[str, ...], port: int) -> Iterator[list[subprocess.Popen[str]]]:
    """Keep floods going."""
    command = [sys.executable, "-m", "tests.integration.receiver.floods"]
    floods = [
        subprocess.Popen([*command, name, str(port), FLOODER], cwd=CHECKOUT, stdout=subprocess.PIPE, text=True)
        for name in names
    ]
    try:
        for flood in floods:
            assert flood.stdout is not None
            assert flood.stdout.readline() == "on\n"
        yield floods
    finally:
        for flood in floods:
            flood.kill()
            flood.communicate()


def goes_its_way(receiver: TlsReceiver, host: str) -> None:
    """Have an alert of a host committed, the run for it end well, and its incident end."""
    start = now()

    def incident(state: str) -> bool:
        return any(one["host"] == host for one in receiver.incidents(state))

    def post(status: str) -> None:
        # In a connection of its own, which has to get in.
        answer = receiver.post(payload(alert(host, start=start, status=status)), Connection="close")
        assert (answer.status_code, answer.json()["committed"]) == (200, 1), answer.text

    post("firing")
    until("the run to end", lambda: incident("verifying"))
    post("resolved")
    until("the incident to end", lambda: incident("resolved"))


def told(receiver: TlsReceiver) -> list[str]:
    """Return the lines of the log."""
    return (receiver.directory / "log").read_text().splitlines()


def test_each_flood_is_tried() -> None:
    assert sorted(name for names in TOGETHER for name in names) == sorted(FLOODS)


@pytest.mark.parametrize("names", TOGETHER, ids=", ".join)
def test_no_flood_keeps_an_alert_out_or_a_run_waiting(receiver: TlsReceiver, names: tuple[str, ...]) -> None:
    before = len(told(receiver))
    with flooded(names, receiver.port) as floods:
        goes_its_way(receiver, HOSTS[names])
        assert [flood.poll() for flood in floods] == [None] * len(floods)
    lines = told(receiver)[before:]
    assert not [line for line in lines if "Traceback" in line]
    assert len(lines) < 500


def test_a_run_starts_where_a_flood_has_all_the_descriptors_that_it_gets(
    few_descriptors: TlsReceiver,
) -> None:
    with flooded(("connections that never say anything",), few_descriptors.port):
        goes_its_way(few_descriptors, "node-0")
    lines = told(few_descriptors)
    assert any("the limit of open files allows fewer connections" in line for line in lines)
    assert not [line for line in lines if "Traceback" in line or "no descriptor is left" in line]
