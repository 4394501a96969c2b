# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Run ``ansible-test integration`` from this machine on a host of the lab, over SSH, as on any test host."""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

import yaml

from tests.support.tooling import ansible_test, interpreters
from tests.support.tooling.workplace import Workplace

from .hosts import Host
from .places import PROGRAMS, STATE

SECONDS = 600
TARGETS = "tests/integration/targets"


def python_of(host: Host) -> str:
    """The version of the host's Python, as ansible-test names it."""
    return host.run("python3", "-c", "import sys; print('%d.%d' % sys.version_info[:2])").strip()


def manages(python: str) -> bool:
    """Tell whether this environment's ansible-test knows such a target."""
    told = subprocess.run(
        [str(PROGRAMS / "ansible-test"), "integration", "--help"], capture_output=True, text=True, check=False, cwd="/"
    ).stdout
    section = told.partition("target ssh options")[2]
    return re.search(rf"python=\S*\b{re.escape(python)}\b", section) is not None


def run(host: Host, targets: list[str], variables: Mapping[str, object]) -> subprocess.CompletedProcess[str]:
    """Run these targets on a host.  Variables are those of integration_config.yml."""
    workplace = Workplace("lab", Path(sys.prefix))
    environment = ansible_test.environment(workplace, interpreters.find())
    _authorise(host, Path(environment["HOME"]) / ".ansible/test/id_rsa")
    with tempfile.TemporaryDirectory(prefix="integration-", dir=STATE) as temporary:
        copy = Path(temporary) / "ansible_collections/autoglm/recovery"
        ansible_test.copy(copy)
        (copy / "tests/integration/integration_config.yml").write_text(yaml.safe_dump(dict(variables)), "utf-8")
        controller = f"origin:python={sys.version_info[0]}.{sys.version_info[1]}"
        target = f"ssh:root@{host.address},python={python_of(host)}@/usr/bin/python3"
        return subprocess.run(
            [
                *(
                    workplace.program("ansible-test"),
                    "integration",
                    "--color",
                    "no",
                    "--allow-destructive",
                    "--continue-on-error",
                ),
                *("--controller", controller, "--target", target, *targets),
            ],
            cwd=copy,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
            timeout=SECONDS,
        )


def _authorise(host: Host, key: Path) -> None:
    """Let ansible-test's own key in; it makes one by itself, but only when it is too late to tell the host."""
    if not key.exists():
        key.parent.mkdir(parents=True, exist_ok=True)
        command = ["ssh-keygen", "-m", "PEM", "-q", "-t", "rsa", "-N", "", "-C", "autoglm-lab", "-f", str(key)]
        subprocess.run(command, check=True, stdin=subprocess.DEVNULL)
    public = key.with_suffix(".pub").read_text(encoding="utf-8").strip()
    host.run(
        "sh", "-c", 'grep -qxF "$1" /root/.ssh/authorized_keys || echo "$1" >> /root/.ssh/authorized_keys', "sh", public
    )
