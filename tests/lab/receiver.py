# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The receiver of the lab: ``autoglm serve`` on this machine, as a user of its own, for Alertmanager on ``ops``."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx

from tests.support.servers import account

from .errors import LabError
from .hosts import Host
from .laboratory import POLICY, Lab, environment
from .places import CHECKOUT, HOME, PROGRAMS, RECEIVER_PORT, STATE
from .waiting import wait_for

OVER = frozenset({"resolved", "closed", "escalated"})
HEAL_SECONDS = 600  # on a machine that is busy with other things
READY_SECONDS = 60
STOP_SECONDS = 20

Json = dict[str, Any]


def as_receiver(*program: str) -> list[str]:
    """Words that run a program as the receiver's user, who owns its home and two of the lab's keys."""
    HOME.mkdir(mode=0o700, exist_ok=True)
    os.chown(HOME, account.UID, account.UID)
    return account.command(STATE / "account", HOME, *program)


def receiver_environment() -> dict[str, str]:
    """What such a program finds around it."""
    return {**environment(), "HOME": str(HOME)}


class Receiver:
    """One receiver process over one state folder; it may be killed and started again."""

    def __init__(self, lab: Lab, policy: Path = POLICY, name: str = "receiver") -> None:
        """Nothing is started yet."""
        self.url = f"http://{lab.gateway}:{RECEIVER_PORT}"
        self.log = STATE / f"{name}.log"
        self._state = HOME / name
        program = [
            *(str(PROGRAMS / "autoglm"), "serve", "--policy", str(policy), "--inventory", str(lab.inventory)),
            *("--listen", f"{lab.gateway}:{RECEIVER_PORT}", "--state-dir", str(self._state)),
            *("--token-file", str(lab.keys.token)),
        ]
        self._command = as_receiver(*program)
        self._client = httpx.Client(
            base_url=self.url, headers={"Authorization": f"Bearer {lab.token}"}, timeout=5, trust_env=False
        )
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it and wait until it says that it is ready."""
        with self.log.open("ab") as log:
            # A session of its own: Ctrl-C is for the demo, which then stops its receiver in good order.
            self._process = subprocess.Popen(
                self._command, stdout=log, stderr=log, stdin=subprocess.DEVNULL, cwd=CHECKOUT,
                env=receiver_environment(), start_new_session=True,
            )  # fmt: skip
        wait_for("the receiver to be ready", self._ready, READY_SECONDS)

    def _ready(self) -> bool:
        assert self._process is not None
        if self._process.poll() is not None:
            raise ReceiverEndedError(
                f"the receiver ended with exit code {self._process.returncode}: {self.last_words()}"
            )
        try:
            return self._client.get("/readyz").status_code == httpx.codes.OK
        except httpx.HTTPError:
            return False

    def stop(self) -> None:
        """Ask it to end, and insist after a while."""
        if self._process is None:
            return
        self._process.terminate()
        try:
            self._process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.kill()

    def user(self) -> int:
        """Who it is to the kernel."""
        assert self._process is not None
        return Path(f"/proc/{self._process.pid}").stat().st_uid

    def kill(self) -> None:
        """Kill -9 the process itself, as a crash would; what it launched is left to its fate."""
        assert self._process is not None
        self._process.send_signal(signal.SIGKILL)
        self._process.wait()

    def lose_its_state(self) -> None:
        """Remove the state directory of a receiver that was killed, as a lost disk does."""
        shutil.rmtree(self._state)

    def wait_for_class(self, host: Host, failure_class: str, seconds: float = HEAL_SECONDS) -> Json:
        """Wait until the newest incident of a host is of a class."""
        what = f"an incident of {host.name} to be {failure_class}"
        return self._wait(what, host, lambda it: it["failure_class"] == failure_class, seconds)

    def wait_for_state(self, host: Host, state: str, seconds: float = HEAL_SECONDS) -> Json:
        """Wait until the newest incident of a host stands so."""
        return self._wait(f"the incident of {host.name} to be {state}", host, lambda it: it["state"] == state, seconds)

    def incidents(self) -> list[Json]:
        """All incidents, newest first or not: as the receiver lists them."""
        found: list[Json] = self._get("/api/v1/incidents")["incidents"]
        return found

    def incident(self, number: int) -> Json:
        """One incident with its timeline, runs and alerts."""
        return self._get(f"/api/v1/incidents/{number}")

    def wait_until_over(self, host: Host, seconds: float = HEAL_SECONDS) -> Json:
        """Wait until the newest incident of a host has come to an end, and return it."""
        return self._wait(f"the incident of {host.name} to end", host, lambda it: it["state"] in OVER, seconds)

    def wait_for_line(self, host: Host, kind: str, seconds: float = HEAL_SECONDS) -> Json:
        """Wait until the timeline of a host's newest incident has a line of this kind."""

        def told(incident: Json) -> bool:
            return any(line["kind"] == kind for line in incident["timeline"])

        return self._wait(f"a line of kind {kind} about {host.name}", host, told, seconds)

    def _wait(self, what: str, host: Host, condition: Callable[[Json], bool], seconds: float) -> Json:
        seen: list[str] = []

        def met() -> Json | None:
            incident = self.newest(host)
            if incident is None:
                return None
            seen[:] = [f"{line['at']} {line['kind']}: {line['text']}" for line in incident["timeline"]]
            return incident if condition(incident) else None

        try:
            return wait_for(what, met, seconds)
        except LabError as error:
            raise LabError("\n".join([str(error), *seen, f"the receiver's log: {self.last_words()}"])) from None

    def newest(self, host: Host) -> Json | None:
        """Return the newest incident of a host, None while there is none."""
        numbers = [found["id"] for found in self.incidents() if found["host"] == host.name]
        return self.incident(max(numbers)) if numbers else None

    def _get(self, path: str) -> Json:
        try:
            response = self._client.get(path)
            response.raise_for_status()
        except httpx.HTTPError as error:
            raise LabError(f"GET {path} of the receiver: {error}") from error
        answer: Json = response.json()
        return answer

    def last_words(self, lines: int = 5) -> str:
        """The end of its log, for an error message."""
        text = self.log.read_text(encoding="utf-8", errors="replace") if self.log.exists() else ""
        return " | ".join(text.splitlines()[-lines:])


class ReceiverEndedError(RuntimeError):
    """The receiver ended by itself. Not a LabError: waiting longer will not help."""
