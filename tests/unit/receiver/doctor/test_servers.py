# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The doctor asks servers as the receiver does, and repeats no secret of an address or a file."""

from __future__ import annotations

import base64
import contextlib
import ssl
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from autoglm_recovery.policy import parse_policy
from autoglm_recovery.policy.proof import Prometheus
from autoglm_recovery.receiver.doctor import servers
from autoglm_recovery.receiver.doctor.finding import FindingLevel
from tests.support.servers.authority import Authority
from tests.support.servers.http_answers import Asked, HttpAnswers, Reply, answering_http

SECRET = "hunter2hunter2"
# In the form of Prometheus' HTTP API (prometheus.io/docs/prometheus/latest/querying/api/#targets).
TARGETS = b'{"status":"success","data":{"activeTargets":[{"labels":{"job":"x"}}],"droppedTargets":[]}}'


class FakeServer:
    """Answers what it is told, and keeps how it was asked: a Prometheus, an Alertmanager, another receiver."""

    def __init__(self) -> None:
        self.status, self.body, self.asked = 200, TARGETS, []

    def __call__(self, asked: Asked) -> Reply:
        query = "".join(f"?{name}={value}" for name, (value,) in asked.query.items())
        self.asked.append((f"{asked.path}{query}", asked.headers["Authorization"]))
        return Reply(self.status, self.body, {"Content-Type": "application/json"})


@pytest.fixture
def serve() -> Iterator[Callable[..., HttpAnswers]]:
    with contextlib.ExitStack() as started:
        yield lambda tls=None: started.enter_context(answering_http(FakeServer(), tls=tls))


def setting(url: str, **more: object) -> Prometheus:
    """Return what a policy says about a Prometheus."""
    given = ", ".join(f"{key}: '{value}'" for key, value in {"url": url, **more}.items())
    found = parse_policy(f"monitoring: {{prometheus: {{{given}}}}}").monitoring.prometheus
    assert found is not None
    return found


def test_a_certificate_is_verified_by_the_policys_authority(serve: Callable[..., HttpAnswers], tmp_path: Path) -> None:
    authority = Authority(tmp_path, "fleet")
    pair = authority.sign("prometheus")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pair.certificate, pair.key)
    url = f"https://127.0.0.1:{serve(context).server_port}"
    assert servers.active_targets(setting(url, ca_path=authority.certificate), None, None)[0]
    assert servers.active_targets(setting(url, ca_path=authority.certificate), url, None)[0]
    assert servers.active_targets(None, url, authority.certificate)[0]
    active, (found,) = servers.active_targets(setting(url), None, None)
    assert (active, found.level) == (None, FindingLevel.unknown)


def test_the_policys_token_goes_to_the_policys_prometheus_alone(
    serve: Callable[..., HttpAnswers], tmp_path: Path
) -> None:
    (tmp_path / "token").write_text(f"# ours\n{SECRET}\n")
    own, other = serve(), serve()
    policy = setting(f"http://127.0.0.1:{own.server_port}", token_file=tmp_path / "token")
    servers.active_targets(policy, None, None)
    servers.active_targets(policy, f"http://127.0.0.1:{other.server_port}/prefix", None)
    assert own.answer.asked == [("/api/v1/targets?state=active", f"Bearer {SECRET}")]
    assert other.answer.asked == [("/prefix/api/v1/targets?state=active", None)]


@pytest.mark.parametrize(
    ("status", "body"), [(401, b"no"), (200, b"[]"), (200, b'{"data": {"activeTargets": {}}}'), (200, b"[" * 100_000)]
)
def test_what_cannot_be_asked_is_unknown_and_no_address_tells_its_password(
    serve: Callable[..., HttpAnswers], status: int, body: bytes
) -> None:
    server = serve()
    server.answer.status, server.answer.body = status, body
    at = f"127.0.0.1:{server.server_port}"
    active, (found,) = servers.active_targets(None, f"http://me:{SECRET}@{at}/?key={SECRET}", None)
    assert (active, found.level) == (None, FindingLevel.unknown)
    assert f"http://{at}/" in found.what
    assert SECRET not in found.what
    basic = base64.b64encode(f"me:{SECRET}".encode()).decode()
    assert server.answer.asked[0][1] == f"Basic {basic}"


@pytest.mark.parametrize("url", ["http://me:{}@127.0.0.1:1", "http://me:{}@[", "http://me:{}@x:y", "me:{}@127.0.0.1:1"])
def test_an_address_that_leads_nowhere_tells_no_password_either(url: str) -> None:
    findings = [
        *servers.active_targets(None, url.format(SECRET), None)[1],
        *servers.receiver(url.format(SECRET), None),
    ]
    assert [finding.level for finding in findings] == [FindingLevel.unknown, FindingLevel.wrong]
    assert SECRET not in str(findings)


@pytest.mark.parametrize(("status", "level"), [(200, FindingLevel.ok), (503, FindingLevel.wrong)])
def test_a_receiver_says_whether_it_is_ready(
    serve: Callable[..., HttpAnswers], status: int, level: FindingLevel
) -> None:
    server = serve()
    server.answer.status, server.answer.body = status, b"the loop that acts does not turn"
    (found,) = servers.receiver(f"http://me:{SECRET}@127.0.0.1:{server.server_port}", None)
    assert found.level is level
    assert SECRET not in str(found)
