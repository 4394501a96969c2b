# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Programs that begin in a service's control group, told by the real kernel, with attempts to hide them."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from autoglm_recovery.exporter.exec_connector import ProcessConnector
from tests.integration.exporter.running import Alertmanager, Exporter, Page
from tests.support.servers.waiting import until

SHELL, SLEEP, PYTHON, TRUE = (os.path.realpath(path) for path in ("/bin/sh", "/bin/sleep", sys.executable, "/bin/true"))
CRUN = None if (_crun := shutil.which("crun")) is None else os.path.realpath(_crun)
UNIT = f"autoglm-exec-watch-{os.getpid()}.service"
STORM = 200


@pytest.fixture(scope="module", autouse=True)
def the_kernel_tells() -> None:
    connector = ProcessConnector()
    try:
        connector.open()
        connector.wait(5)
        list(connector.read())
    except OSError as error:
        pytest.skip(f"the process connector cannot be had here: {error}")
    finally:
        heard = connector.heard
        connector.close()
    if not heard:
        pytest.skip("the kernel tells nothing here: not the machine's own namespaces, or no CAP_NET_ADMIN")


@pytest.fixture
def group() -> Iterator[Path]:
    root = next(path for path in map(Path, ("/sys/fs/cgroup/systemd", "/sys/fs/cgroup")) if path.is_dir())
    folder = root / UNIT
    try:
        folder.mkdir()
    except OSError as error:
        pytest.skip(f"no control group can be made here: {error}")
    yield folder
    until("the end of the group's processes", lambda: not (folder / "cgroup.procs").read_text())
    folder.rmdir()


@pytest.fixture
def run(group: Path) -> Callable[[str], None]:
    """Run a shell's text in the group; the shell itself began outside of it."""

    def run(text: str) -> None:
        joined = f"echo $$ > {shlex.quote(str(group / 'cgroup.procs'))}; {text}"
        subprocess.run([SHELL, "-c", joined], check=True, stdout=subprocess.DEVNULL)

    return run


@pytest.fixture
def services(tmp_path: Path) -> str:
    path = tmp_path / "services.yml"
    path.write_text(json.dumps([{"name": "llm", "unit": UNIT, "programs": [SHELL, SLEEP, PYTHON]}]))
    return str(path)


def seen(page: Page) -> tuple[float, float]:
    """Unexpected and unseen programs of the service."""
    unexpected = page.value("autoglm_service_unexpected_execs_total", service="llm")
    unseen = [each.value for each in page.samples if each.name == "autoglm_service_unseen_execs_total"]
    assert unexpected is not None
    assert len(unseen) == 2
    return unexpected, sum(unseen)


def test_what_may_not_run_is_seen_however_it_hides(
    make_exporter: Callable[..., Exporter],
    alertmanager: Alertmanager,
    services: str,
    run: Callable[[str], None],
    tmp_path: Path,
) -> None:
    exporter = make_exporter("--kmsg", "none", "--services", services, "--alertmanager", alertmanager.url)
    exporter.until("the kernel", lambda page: page.value("autoglm_exec_watch_up") == 1)

    script = tmp_path / "script"
    script.write_text(f"#!{SHELL}\n{SLEEP} 0.3\n")
    script.chmod(0o755)
    run(str(script))
    renamed = tmp_path / "sleep"
    shutil.copy(SLEEP, renamed)
    run(f"{SLEEP} 0.3; {renamed} 0.3")
    page = exporter.until("the renamed program", lambda page: seen(page)[0] == 1)
    assert page.value("autoglm_kernel_faults_total", kind="unexpected_exec", failure_class="intrusion") == 1
    alert = until("the alert", lambda: alerts[0] if (alerts := alertmanager.alerts()) else None)
    assert {name: alert["labels"][name] for name in ("alertname", "failure_class", "service")} == {
        "alertname": "ServiceUnexpectedExec",
        "failure_class": "intrusion",
        "service": "llm",
    }
    assert str(renamed) in alert["annotations"]["description"]

    in_memory = (
        "import os; f = os.memfd_create('sleep'); "
        f"os.write(f, open('{SLEEP}', 'rb').read()); os.execve(f, ['sleep', '0.3'], {{}})"
    )
    run(f"exec {PYTHON} -c {shlex.quote(in_memory)}")
    exporter.until("the program in memory", lambda page: seen(page)[0] == 2)
    before = sum(seen(exporter.until("a page", lambda page: page)))

    run(f"i=0; while [ $i -lt {STORM} ]; do {TRUE} & i=$((i+1)); done; wait")
    page = exporter.until(
        "each of a storm that ended at once",
        lambda page: sum(seen(page)) + (page.value("autoglm_exec_watch_events_lost_total") or 0) >= before + STORM,
    )
    assert seen(page)[0] + seen(page)[1] <= before + STORM


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    """A container of the machine's own files, for crun."""
    if CRUN is None:
        pytest.skip("crun is not installed")
    folder = tmp_path / "bundle"
    (folder / "rootfs").mkdir(parents=True)
    subprocess.run([CRUN, "spec"], cwd=folder, check=True)
    config = json.loads((folder / "config.json").read_text())
    config["process"] |= {"args": [SLEEP, "1"], "terminal": False, "rlimits": []}
    config["root"]["readonly"] = False
    config["linux"]["resources"] = {}
    kept = [mount for mount in config["mounts"] if mount["destination"] in ("/proc", "/dev")]
    folders = [name for name in ("/usr", "/bin", "/lib", "/lib64") if os.path.isdir(name)]
    config["mounts"] = kept + [
        {"destination": name, "source": name, "type": "bind", "options": ["rbind", "ro"]} for name in folders
    ]
    (folder / "config.json").write_text(json.dumps(config))
    return folder


def test_a_container_runtime_that_begins_in_a_unit_is_no_intruder(
    make_exporter: Callable[..., Exporter], run: Callable[[str], None], bundle: Path, tmp_path: Path
) -> None:
    """crun executes a copy of itself, which has no name.  It takes the container's process elsewhere here."""
    services = tmp_path / "services.yml"
    services.write_text(json.dumps([{"name": "llm", "unit": UNIT, "programs": [CRUN]}]))
    exporter = make_exporter("--kmsg", "none", "--services", str(services))
    exporter.until("the kernel", lambda page: page.value("autoglm_exec_watch_up") == 1)
    # Under control groups of both versions crun 1.8 fails at its end, when the container has ended.
    run(
        f"{CRUN} --root {shlex.quote(str(tmp_path / 'state'))} --cgroup-manager=disabled run "
        f"--bundle {shlex.quote(str(bundle))} autoglm-exec-watch-{os.getpid()} || :; {SLEEP} 0.3"
    )
    page = exporter.until("what came after it", lambda page: seen(page)[0] >= 1)
    assert seen(page)[0] == 1
    assert f"program={SLEEP}" in exporter.log()


def test_a_watch_that_cannot_hear_says_so(services: str) -> None:
    """In a network namespace of its own the kernel has no connector."""
    words = (
        "from pathlib import Path\nimport sys, threading\n"
        "from autoglm_recovery.exporter.exec_connector import ProcessConnector\n"
        "from autoglm_recovery.exporter.exec_watch import ExecWatch\n"
        "from autoglm_recovery.exporter.services import load_services\n"
        "watch = ExecWatch(ProcessConnector(), load_services(Path(sys.argv[1])), print)\n"
        "threading.Timer(1, watch.stop).start()\n"
        "watch.run()\n"
        "print('heard', watch.source.heard)\n"
    )
    told = subprocess.run(
        ["unshare", "--net", sys.executable, "-c", words, services], check=True, capture_output=True, text=True
    )
    assert "nobody watches what services execute" in told.stdout
    assert "heard False" in told.stdout
