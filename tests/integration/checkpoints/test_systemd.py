# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A real systemd runs the timer: installed by our own code in a container, it saves despite its hardening."""

from __future__ import annotations

import json
import os
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from ansible_collections.autoglm.recovery.plugins.module_utils.checkpoints import timer, timer_install

from tests.lab import image, lock, namespace, prerequisites
from tests.lab.hosts import LIMITS
from tests.lab.places import LABEL
from tests.lab.podman import podman, unpack
from tests.lab.waiting import wait_for
from tests.support.checkpoints import builders

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="containers that boot systemd need root")

# Runs in the container, with our code out of the very program that the timer starts.
INSTALL = """
import json, sys
sys.path.insert(0, "/root/checkpoint.pyz")
from autoglm_knowledge.checkpoints import timer, timer_install

schedule = timer.Schedule(
    name="m", calendar=None, interval="1s", delay="0s", timeout=60, writes=["/var/lib/checkpoints"],
    python=sys.executable, hook=False,
)
params = {"name": "m", "store": "/var/lib/checkpoints", "source": "/srv/model", "signing_key": "key", "keep": 2}
if sys.argv[1] == "install":
    timer_install.check_calendar("*-*-* 03:00")
    print(json.dumps(timer_install.install("m", timer.files(schedule, params), False).changed))
else:
    print(json.dumps(timer_install.uninstall("m", False).changed))
"""
assert timer_install  # loaded, and so a part of the program
UNIT = "autoglm-checkpoint-m"


@pytest.fixture
def container(tmp_path: Path) -> Iterator[str]:
    prerequisites.ensure()
    # Where the host has no cgroup v2, containers live in a mount namespace, as the lab does.
    held = lock.take()
    namespace.ensure()
    name = f"autoglm-checkpoint-{uuid.uuid4().hex[:8]}"
    tree = tmp_path / "tree"
    for directory in ("root", "srv", "var/lib/checkpoints"):
        (tree / directory).mkdir(parents=True)
    (tree / "root/checkpoint.pyz").write_bytes(timer.program())
    (tree / "root/install.py").write_text(INSTALL)
    builders.hf_sharded(tree / "srv/model")
    options = ("--label", f"{LABEL}=1", "--network=none", "--privileged", "--systemd=always", *LIMITS)
    podman("create", "--name", name, *options, image.ensure(), "/sbin/init")
    try:
        unpack(name, tree)
        podman("start", name)
        wait_for("systemd", lambda: "running" in said(name, "systemctl is-system-running --wait 2>&1 || true"), 60)
        yield name
    finally:
        podman("rm", "--force", "--time", "0", name)
        namespace.remove()
        held.close()


def said(container: str, script: str) -> str:
    return podman("exec", container, "sh", "-c", script)


def checkpoints(container: str) -> list[str]:
    return said(container, "ls /var/lib/checkpoints/m 2>/dev/null || true").split()


def test_the_timer_saves_and_goes(container: str) -> None:
    assert json.loads(said(container, "python3 /root/install.py install")) is True
    assert json.loads(said(container, "python3 /root/install.py install")) is False
    log = f"journalctl -o cat -u {UNIT}.service"
    # The second run of the timer finds nothing new, which shows that it fired again.
    wait_for("two runs", lambda: said(container, f"{log} | grep -c '^{{' || true").strip() >= "2", 60)
    runs = [json.loads(line) for line in said(container, f"{log} | grep '^{{'").splitlines()]
    assert [run["changed"] for run in runs[:2]] == [True, False]
    assert len(checkpoints(container)) == 1
    said(container, "cp /srv/model/config.json /srv/model/new && rm /srv/model/new && touch /srv/model/config.json")
    wait_for("a save of what was changed", lambda: len(checkpoints(container)) == 2, 60)
    assert said(container, f"systemctl show -P Result {UNIT}.service").strip() == "success"
    assert said(container, "stat -c %a /etc/autoglm/checkpoints/m.json").strip() == "600"
    assert "key" not in said(container, f"systemctl cat {UNIT}.service")
    # In the middle of a save, and after one that has failed.
    said(container, f"mkdir -p /run/systemd/system/{UNIT}.service.d")
    said(
        container,
        f"printf '[Service]\\nExecStartPre=/bin/sleep 600\\n' > /run/systemd/system/{UNIT}.service.d/slow.conf",
    )
    said(container, "systemctl daemon-reload")
    wait_for(
        "a save to go on", lambda: "activating" in said(container, f"systemctl show -P ActiveState {UNIT}.service"), 60
    )
    said(container, f"rm -r /run/systemd/system/{UNIT}.service.d")
    assert json.loads(said(container, "python3 /root/install.py uninstall")) is True
    assert json.loads(said(container, "python3 /root/install.py uninstall")) is False
    assert UNIT not in said(container, "systemctl list-units --all --plain --no-legend 'autoglm*'")
    assert len(checkpoints(container)) == 2
