# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every module on a real host, by its integration target: systemd, a real llama-server, a real HAProxy."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from . import integration_targets
from .hosts import Host
from .inventory import SOCKET
from .laboratory import Lab
from .places import CHECKOUT
from .waiting import wait_for

# What needs the balancer's own socket runs beside it; all others run on an inference node.
BESIDE_THE_BALANCER = {"drain_inference"}
SPARE = "llama-spare.service"
ALL = sorted(path.name for path in (CHECKOUT / integration_targets.TARGETS).iterdir() if path.is_dir())


def run(host: Host, targets: list[str], **variables: object) -> None:
    python = integration_targets.python_of(host)
    if not integration_targets.manages(python):
        pytest.skip(f"this ansible-core does not support hosts with Python {python}; .venv-newest runs it")
    done = integration_targets.run(host, targets, variables)
    assert done.returncode == 0, done.stdout[-6000:]
    ran = {name for name in targets if f"Running {name} integration test role" in done.stdout}
    assert ran == set(targets), done.stdout[-6000:]


@pytest.fixture
def spare_server(lab: Lab) -> Iterator[str]:
    """A llama-server on node-a that no user has, and that may save its slots."""
    words = ["llama-server", "--model", "/var/lib/llama/tiny.gguf", "--alias", "tiny", "--port", "8081", "--metrics"]
    words += [
        "--slots",
        "--parallel",
        "2",
        "--ctx-size",
        "2048",
        "--threads",
        "1",
        "--slot-save-path",
        "/var/lib/llama/",
    ]
    url = "http://127.0.0.1:8081"
    lab.node_a.run("systemd-run", "--unit", SPARE, "--collect", *words)
    wait_for("the spare server", lambda: lab.node_a.run("curl", "--silent", "--fail", f"{url}/health"), 60)
    yield url
    lab.node_a.run("systemctl", "stop", SPARE)


def test_modules_on_an_inference_node(lab: Lab, spare_server: str) -> None:
    run(
        lab.node_a,
        [name for name in ALL if name not in BESIDE_THE_BALANCER],
        inference_health_llama_url=spare_server,
        engine_control_llama_url=spare_server,
        checkpoint_model_has_systemd=True,
    )


def test_modules_beside_the_balancer(lab: Lab) -> None:
    run(
        lab.ops,
        sorted(BESIDE_THE_BALANCER),
        drain_inference_socket=SOCKET,
        drain_inference_server=lab.node_a.name,
        drain_inference_engine_url=f"http://{lab.node_a.address}:8080",
    )
