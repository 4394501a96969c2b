# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A real ansible-rulebook, which needs Java 17: installed once, and run by the Python that has this checkout."""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import httpx

from tests.support.servers.ports import free_port
from tests.support.servers.waiting import until

VERSION = "1.3.2"
OLDEST_JAVA = 17
PYTHON = f"{sys.version_info[0]}.{sys.version_info[1]}"
STOP_SECONDS = 30


class Unavailable(Exception):
    """There is no ansible-rulebook here and none can be had. The message says why, in one sentence for people."""


class Rulebook:
    """One that runs, with a webhook on loopback."""

    def __init__(self, url: str, token: str, log: Path) -> None:
        self.url = url
        self._token = token
        self._log = log

    def post(self, payload: object) -> httpx.Response:
        """Send a webhook, as Alertmanager does."""
        headers = {"Authorization": f"Bearer {self._token}"}
        return httpx.post(f"{self.url}/alerts", json=payload, headers=headers, timeout=300, trust_env=False)

    def said(self) -> str:
        """Return all that it has said."""
        return self._log.read_text("utf-8", errors="replace")


def ensure() -> Path:
    """Return the program, installed on first use. Raises Unavailable."""
    _need_java()
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "autoglm-recovery"
    cache.mkdir(parents=True, exist_ok=True)
    home = cache / f"ansible-rulebook-{VERSION}-py{PYTHON}"
    with open(cache / "ansible-rulebook.lock", "w", encoding="utf-8") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not home.exists():
            _install(home)
    return home / "lib" / "ansible_rulebook"


def _need_java() -> None:
    java = shutil.which("java")
    if java is None:
        raise Unavailable("ansible-rulebook needs Java, and there is none here")
    said = subprocess.run([java, "-version"], capture_output=True, text=True, check=False).stderr
    found = re.search(r'version "(\d+)', said)
    if found is None or int(found[1]) < OLDEST_JAVA:
        raise Unavailable(f"ansible-rulebook needs Java {OLDEST_JAVA}, and here is {said.splitlines()[:1]}")


def _install(home: Path) -> None:
    print(f"installing ansible-rulebook {VERSION} into {home} (90 MB) ...", file=sys.stderr, flush=True)
    with tempfile.TemporaryDirectory(dir=home.parent) as work:
        words = ["-m", "pip", "install", "--quiet", "--target", f"{work}/lib", f"ansible-rulebook=={VERSION}"]
        done = subprocess.run([sys.executable, *words], capture_output=True, text=True, check=False)
        if done.returncode:
            raise Unavailable(
                f"ansible-rulebook {VERSION} cannot be installed: {done.stderr.strip().splitlines()[-1:]}"
            )
        os.rename(work, home)
        Path(work).mkdir()  # for the block's end


@contextlib.contextmanager
def running(
    directory: Path, rulebook: str, inventory: Path, environment: Mapping[str, str], before: Sequence[str] = ()
) -> Iterator[Rulebook]:
    """Run one of our rulebooks until the end of the block. ``before``: words before the command. Raises Unavailable."""
    library, port, token, log = ensure().parent, free_port(), "token-of-alertmanager", directory / "rulebook.log"
    (directory / "variables.yml").write_text(f"autoglm_token: {token}\nautoglm_port: {port}\n")
    words = [*before, sys.executable, "-m", "ansible_rulebook", "--rulebook", rulebook, "--inventory", str(inventory)]
    with log.open("ab") as out:
        process = subprocess.Popen(
            [*words, "--vars", str(directory / "variables.yml")],
            cwd=directory,
            env={**environment, "PYTHONPATH": str(library)},
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=out,
            start_new_session=True,
        )
    found = Rulebook(f"http://127.0.0.1:{port}", token, log)
    try:
        until("ansible-rulebook to listen", lambda: _listens(found, process))
        yield found
    finally:
        process.terminate()
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _listens(found: Rulebook, process: subprocess.Popen[bytes]) -> bool:
    assert process.poll() is None, found.said()
    # It answers this way to whoever shows no token.
    return (
        httpx.post(f"{found.url}/alerts", json={}, timeout=5, trust_env=False).status_code == httpx.codes.UNAUTHORIZED
    )
