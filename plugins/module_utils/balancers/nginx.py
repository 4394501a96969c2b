# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""nginx, by a file of its configuration and a reload.

Open-source nginx has no interface to change an upstream and counts nothing for a server of one. What it does well:
after a reload the old workers finish what they have, with the old configuration, and end. So none of them left means
that no request is on its way to a server that the new configuration does not use. While one is left, nobody knows to
whom its requests go: that is not told as a number.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Callable

from ..evidence.command import Runner, run
from . import files, lock, nginx_conf, nginx_workers
from .protocol import ACTIVE, DRAINED, UNKNOWN, BalancerError, Count, Member, Weight, find


@dataclass(frozen=True)
class Control:
    """Where nginx is, and how it is asked about a new configuration and told to use it: word lists, no shell."""

    pid_file: str = "/run/nginx.pid"
    test: Sequence[str] = ("nginx", "-t")
    reload: Sequence[str] = ("nginx", "-s", "reload")


class Nginx:
    """One upstream in one file. C(timeout) is seconds for each command, and for a reload to be in force."""

    name = "nginx"

    def __init__(
        self,
        file: str,
        upstream: str,
        control: Control,
        timeout: float = 5.0,
        lock_dir: str = lock.DIRECTORY,
        runner: Runner = run,
    ) -> None:
        self._file, self._upstream = os.path.realpath(file), upstream
        self._control, self._timeout = control, timeout
        self._lock_dir, self._run = lock_dir, runner

    def members(self) -> tuple[Member, ...]:
        found = self._servers(files.read(self._file).decode("utf-8", "replace"))
        pending = not self._in_force()
        note = ", not in force: nginx has not read it yet" if pending else ""
        return tuple(
            Member(
                address,
                DRAINED if server.down else ACTIVE,
                UNKNOWN,
                server.weight,
                server.backup,
                f"{'down' if server.down else 'in use'}{note}",
                pending,
            )
            for address, server in found.items()
        )

    def state(self, server: str) -> Member:
        return find(server, self.members(), f"upstream {self._upstream!r} in {self._file}")

    def drain(self, server: str) -> None:
        self._change(server, lambda text, found: nginx_conf.set_down(text, found, True))

    def ready(self, server: str) -> None:
        self._change(server, lambda text, found: nginx_conf.set_down(text, found, False))

    def in_flight(self, server: str) -> Count:
        try:
            workers = nginx_workers.read(self._control.pid_file)
        except BalancerError as error:
            return Count(
                None, f"nginx counts nothing for a server, and its workers cannot be seen: {error}", "unsupported"
            )
        if workers.finishing:
            reason = f"nginx: {len(workers.finishing)} old workers are finishing requests, to which server is not told"
            return Count(None, reason, "unread")
        return Count(0, f"nginx: none of its workers is older than the reload; {server} is not used by the others")

    def weight(self, server: str) -> Weight:
        weight = self.state(server).weight
        return Weight(1 if weight is None else weight)

    def set_weight(self, server: str, value: int) -> None:
        self._change(server, lambda text, found: nginx_conf.set_weight(text, found, value))

    def incarnation(self) -> str:
        return "file"  # what it was told is in its file, whatever becomes of its processes

    def exclusively(self) -> AbstractContextManager[None]:
        return lock.exclusively(f"nginx {self._file}", self._lock_dir)

    def _servers(self, text: str) -> Mapping[str, nginx_conf.Server]:
        try:
            listed = nginx_conf.servers(text, self._upstream)
        except nginx_conf.SyntaxProblem as error:
            raise BalancerError("unreadable", f"{self._file}: {error}") from error
        if not listed:
            raise BalancerError("unknown_backend", f"{self._file} has no servers of an upstream {self._upstream!r}")
        found = {server.address: server for server in listed}
        if len(found) < len(listed):
            raise BalancerError("unreadable", f"{self._file} names a server of {self._upstream!r} twice")
        return found

    def _change(self, server: str, change: Callable[[str, nginx_conf.Server], str]) -> None:
        """Change the file, have nginx try it, and reload; the old content comes back if nginx does not like it."""
        self.state(server)

        def changed(content: bytes) -> bytes:
            text = content.decode("utf-8")
            return change(text, self._servers(text)[server]).encode()

        before, after = files.edit(self._file, changed)
        complaint = self._run(self._control.test, self._timeout).complaint()
        if complaint:
            files.replace(self._file, after, before)
            raise BalancerError("refused", f"nginx does not accept {self._file}, which was put back: {complaint}")
        self._reload()

    def _reload(self) -> None:
        """Reload, and wait until every older worker knows that it has to go and a younger one is there."""
        older = nginx_workers.read(self._control.pid_file)
        complaint = self._run(self._control.reload, self._timeout).complaint()
        if complaint:
            raise BalancerError("unproven", f"nginx was not reloaded: {complaint}")
        deadline = time.monotonic() + self._timeout
        while time.monotonic() < deadline:
            with contextlib.suppress(BalancerError):  # it may be restarting, which is as good as a reload
                now = nginx_workers.read(self._control.pid_file)
                if now.serving and not set(now.serving) & set(older.serving):
                    return
            time.sleep(0.05)
        raise BalancerError(
            "unproven", f"nginx did not begin to use {self._file} within {self._timeout:g} s of its reload"
        )

    def _in_force(self) -> bool:
        """Whether nginx has read the file since it was changed. A task may have been killed before its reload."""
        try:
            changed = os.stat(self._file).st_ctime
        except OSError as error:
            raise BalancerError("unreachable", f"{self._file}: {error.strerror}") from error
        started = nginx_workers.read(self._control.pid_file).serving.values()
        return bool(started) and min(started) >= changed - nginx_workers.CLOCK_STEP
