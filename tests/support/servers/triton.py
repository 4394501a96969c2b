# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A real Triton on the CPU: its program comes with the package nvidia-pytriton. The model that it serves is ours.

The program's Python backend needs the shared library of a Python of the version in use. Where that is missing, or the
package is, Unavailable says so, and the tests that need Triton are skipped with that sentence.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import psutil

from tests.support.servers.ports import free_port

VERSION = "0.7.0"
PYTHON = f"{sys.version_info[0]}.{sys.version_info[1]}"
READY_SECONDS = 60
STOP_SECONDS = 5
MODELS = Path(__file__).with_name("triton_models")


class Unavailable(Exception):
    """There is no Triton here and none can be had. The message says why, in one sentence for people."""


@dataclass
class Triton:
    """One server. Metrics have a port of their own."""

    port: int
    metrics_port: int
    process: subprocess.Popen[bytes]

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self.port}"

    def model_process(self) -> int:
        """The process id of the Python in which the model runs."""
        for child in psutil.Process(self.process.pid).children():
            if any("triton_python_backend_stub" in word for word in child.cmdline()):
                return child.pid
        raise RuntimeError(f"no model's process is a child of {self.process.pid}")

    @property
    def metrics_url(self) -> str:
        """Where its metrics are."""
        return f"http://127.0.0.1:{self.metrics_port}"


def ensure() -> Path:
    """Return the folder of the program, unpacked on first use. Raises Unavailable."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "autoglm-recovery"
    cache.mkdir(parents=True, exist_ok=True)
    home = cache / f"pytriton-{VERSION}-py{PYTHON}"
    with open(cache / "triton.lock", "w", encoding="utf-8") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not home.exists():
            _fetch(home)
    program = home / "pytriton/tritonserver"
    words = ["ldd", str(program / "backends/python/triton_python_backend_stub")]
    needs = subprocess.run(words, capture_output=True, text=True, check=False).stdout
    missing = [line.split()[0] for line in needs.splitlines() if "not found" in line]
    if missing:
        raise Unavailable(f"Triton's Python backend needs {', '.join(missing)}, which this machine does not have")
    return program


@contextlib.contextmanager
def running(directory: Path) -> Iterator[Triton]:
    """Run a server with the models of triton_models until the end of the block. Raises Unavailable."""
    program = ensure()
    port, metrics_port = free_port(), free_port()
    memory = f"autoglm-triton-{os.getpid()}-{port}-"
    words = [
        *(str(program / "bin/tritonserver"), f"--backend-directory={program / 'backends'}"),
        *(f"--model-repository={MODELS}", "--model-control-mode=explicit", "--load-model=words"),
        *("--http-address=127.0.0.1", f"--http-port={port}", f"--metrics-port={metrics_port}", "--allow-grpc=false"),
        f"--backend-config=python,shm-region-prefix-name={memory}",
    ]
    log = directory / f"triton-{port}.log"
    with log.open("ab") as out:
        # The backend's Python has no site-packages of ours; the model adds them to its path.
        env = {**os.environ, "WORDS_SITE": str(program.parents[1] / "site")}
        process = subprocess.Popen(
            words, stdout=out, stderr=out, stdin=subprocess.DEVNULL, env=env, start_new_session=True
        )
    server = Triton(port, metrics_port, process)
    try:
        _wait_until_ready(server, log)
        yield server
    finally:
        _end(process)
        for left in Path("/dev/shm").glob(f"{memory}*"):  # by a server that was killed
            left.unlink()


def _end(process: subprocess.Popen[bytes]) -> None:
    """End the server and the processes of its models, which are a process group of their own."""
    process.terminate()
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(STOP_SECONDS)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _wait_until_ready(server: Triton, log: Path) -> None:
    deadline = time.monotonic() + READY_SECONDS
    while time.monotonic() < deadline:
        if server.process.poll() is not None:
            raise RuntimeError(f"tritonserver ended: {log.read_text(errors='replace')[-3000:]}")
        with contextlib.suppress(httpx.HTTPError):
            if httpx.get(f"{server.url}/v2/health/ready", timeout=2, trust_env=False).status_code == httpx.codes.OK:
                return
        time.sleep(0.05)
    raise RuntimeError(f"tritonserver was not ready after {READY_SECONDS} s; see {log}")


def _fetch(home: Path) -> None:
    print(f"fetching Triton out of nvidia-pytriton {VERSION} into {home} (55 MB) ...", file=sys.stderr, flush=True)
    with tempfile.TemporaryDirectory(dir=home.parent) as work:
        unpacked = Path(work) / "unpacked"
        _pip("download", "--no-deps", "--dest", work, f"nvidia-pytriton=={VERSION}")
        with zipfile.ZipFile(next(Path(work).glob("*.whl"))) as wheel:
            wheel.extractall(unpacked)
        # The package asks for it: the backend's process aborts at its first array of a newer numpy.
        _pip("install", "--target", str(unpacked / "site"), "numpy>=1.26,<2")
        programs = unpacked / "pytriton/tritonserver"
        for program in (programs / "bin/tritonserver", *programs.glob("python_backend_stubs/*/*")):
            program.chmod(0o755)
        stub = programs / f"python_backend_stubs/{PYTHON}/triton_python_backend_stub"
        if not stub.exists():
            raise Unavailable(f"Triton's Python backend does not come for Python {PYTHON}")
        shutil.copy(stub, programs / "backends/python")
        unpacked.rename(home)


def _pip(*words: str) -> None:
    command = [sys.executable, "-m", "pip", *words, "--quiet", "--no-input"]
    done = subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL, check=False)
    if done.returncode != 0:
        said = [line for line in done.stderr.splitlines() if line.startswith("ERROR:")]
        raise Unavailable(
            f"Triton (nvidia-pytriton {VERSION}) cannot be had here: {said[-1] if said else 'pip failed'}"
        )
