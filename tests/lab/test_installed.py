# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The lab's hosts are what our roles make of them, and serve on whatever network there is."""

from __future__ import annotations

import pytest

from .laboratory import TOKEN_ON_OPS, Lab
from .memory_limit import UNIT

FOLDERS = ("/etc/autoglm", "/etc/autoglm-exporter", "/etc/prometheus/autoglm", "/etc/systemd/system")


@pytest.mark.parametrize(
    ("host", "file", "role"),
    [
        ("node-a", f"/etc/systemd/system/{UNIT}", "inference_service"),
        ("node-b", f"/etc/systemd/system/{UNIT}", "inference_service"),
        ("ops", "/etc/autoglm/haproxy/haproxy.cfg", "haproxy_pool"),
        ("ops", "/etc/prometheus/autoglm/prometheus.yml", "monitoring"),
        ("ops", "/etc/prometheus/autoglm/alertmanager.yml", "monitoring"),
    ],
)
def test_what_serves_and_watches_was_written_by_a_role(running_lab: Lab, host: str, file: str, role: str) -> None:
    (where,) = (each for each in (*running_lab.nodes, running_lab.ops) if each.name == host)
    assert f"Written by the role autoglm.recovery.{role}" in where.run("head", "--lines=3", file)


@pytest.mark.parametrize("host", ["node-a", "node-b", "ops"])
def test_no_address_of_a_run_is_in_what_was_installed(running_lab: Lab, host: str) -> None:
    (where,) = (each for each in (*running_lab.nodes, running_lab.ops) if each.name == host)
    network = running_lab.gateway.rpartition(".")[0] + "."
    found = where.run("sh", "-c", 'grep -rlF "$@" || true', "sh", "-e", network, "--", *FOLDERS)
    assert found.split() in ([], ["/etc/autoglm/root.json"])  # which each run writes


def test_alertmanager_alone_reads_the_token_of_this_run(running_lab: Lab) -> None:
    assert running_lab.ops.run("cat", TOKEN_ON_OPS) == running_lab.token
    assert running_lab.ops.run("stat", "--format=%U %G %a", TOKEN_ON_OPS).strip() == "root prometheus 640"
