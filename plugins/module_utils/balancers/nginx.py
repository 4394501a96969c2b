# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""nginx, by a file of its configuration and a reload.

Open-source nginx has no interface to change an upstream and keeps no counters for its servers. But after a reload the
old workers finish their requests with the old configuration and exit. Once the last of them has exited, no request is
on its way to a server that the new configuration does not use. While one is left, it is unknown to which server its
requests go, so no number in flight is given.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, Callable, ClassVar

from ..host.command import Runner, is_there, run
from . import files, lock, nginx_conf, nginx_twins, nginx_workers
from .options import FILE, TEXT, WORDS
from .protocol import ACTIVE, DRAINED, UNKNOWN, BalancerError, Count, Obstacle, PoolMember, Weight, find


@dataclass(frozen=True)
class NginxControl:
    """The pid file of nginx, and the commands that test and reload its configuration: word lists, no shell."""

    pid_file: str = "/run/nginx.pid"
    test: Sequence[str] = ("nginx", "-t")
    reload: Sequence[str] = ("nginx", "-s", "reload")


class Nginx:
    """One upstream in one file. C(timeout) is seconds for each command, and for a reload to be in force."""

    name = "nginx"
    needs: ClassVar[tuple[str, ...]] = ("file", "backend")
    options: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "file": FILE,
        "backend": TEXT,
        "pid_file": {**FILE, "default": NginxControl.pid_file},
        "test": {**WORDS, "default": list(NginxControl.test)},
        "reload": {**WORDS, "default": list(NginxControl.reload)},
    }

    def __init__(
        self,
        file: str,
        upstream: str,
        control: NginxControl,
        timeout: float = 5.0,
        lock_dir: str = lock.DIRECTORY,
        runner: Runner = run,
    ) -> None:
        self._file, self._upstream = files.real(file), upstream
        self._control, self._timeout = control, timeout
        self._lock_dir, self._run = lock_dir, runner
        self._file_is_found = False

    @classmethod
    def opened(cls, options: Mapping[str, Any]) -> Nginx:
        control = NginxControl(options["pid_file"], options["test"], options["reload"])
        return cls(options["file"], options["backend"], control, options["timeout"], options["lock_dir"])

    def members(self) -> tuple[PoolMember, ...]:
        self._find_file()
        text = files.read(self._file).decode("utf-8", "replace")
        pending = not self._is_in_force()
        return tuple(
            self._member(text, address, same, pending) for address, same in self._servers_by_address(text).items()
        )

    def _member(self, text: str, address: str, same: list[nginx_conf.ServerDirective], pending: bool) -> PoolMember:
        """One address, over all directives that name it. Down here but used by another upstream is not yet drained."""
        down = all(server.down for server in same)
        notes = ["down" if down else "in use"]
        if pending:
            notes.append("not in force: nginx has not read it yet")
        others = nginx_twins.in_use(nginx_conf.upstreams(text), address, self._upstream) if down else []
        if others:
            notes.append(f"in use by upstream {', '.join(others)}")
        weight, backup = sum(server.weight for server in same), all(server.backup for server in same)
        admin = DRAINED if down else ACTIVE
        return PoolMember(address, admin, UNKNOWN, weight, backup, ", ".join(notes), pending or bool(others))

    def state(self, server: str) -> PoolMember:
        return find(server, self.members(), f"upstream {self._upstream!r} in {self._file}")

    def drain(self, server: str) -> None:
        """Drain in every upstream of the file. Refused where another file uses the server, or one would get empty."""
        self.state(server)
        self._refuse_twins(server)
        self._change_and_reload(server, lambda text: nginx_conf.set_all_down(text, server, True))

    def ready(self, server: str) -> None:
        self._change_and_reload(server, lambda text: nginx_conf.set_all_down(text, server, False))

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
        self._change_and_reload(
            server, lambda text: nginx_conf.set_weight(text, self._only_directive(text, server), value)
        )

    def weights_count(self) -> None:
        """All methods of open-source nginx go by weights."""

    def limit(self, server: str) -> int | None:
        """C(max_conns=) of the server. Without a C(zone) in the upstream each worker counts for itself."""
        self.state(server)
        return self._only_directive(files.read(self._file).decode("utf-8", "replace"), server).max_conns

    def set_limit(self, server: str, value: int | None) -> None:
        self._change_and_reload(
            server, lambda text: nginx_conf.set_max_conns(text, self._only_directive(text, server), value)
        )

    def _only_directive(self, text: str, server: str) -> nginx_conf.ServerDirective:
        """Raises BalancerError where several directives name the server."""
        same = self._servers_by_address(text)[server]
        if len(same) > 1:
            words = f"{self._file} names {server} {len(same)} times in {self._upstream!r}: which one is meant?"
            raise BalancerError("refused", words)
        return same[0]

    def incarnation(self) -> str:
        return "file"  # the drain is kept in the file and survives a restart of nginx

    def obstacles(self) -> list[Obstacle]:
        # First, because "nginx -t" without a running master would leave an empty pid file.
        master = nginx_workers.master_of(self._control.pid_file)
        self._find_file()
        found = files.obstacles(self._file)
        complaint = self._run(self._control.test, self._timeout).complaint()
        if complaint:
            what = f"nginx does not accept its configuration as it is, or cannot be asked: {complaint}"
            found.append(Obstacle(what, f"run {' '.join(self._control.test)} as the user of the runs"))
        return [*found, *self._obstacles_of_reload(master)]

    def _obstacles_of_reload(self, master: int) -> list[Obstacle]:
        program = self._control.reload[0]
        if not is_there(program):
            return [Obstacle(f"there is no program {program}, by which nginx is reloaded", "correct the option reload")]
        # The default command sends a signal. What another command needs cannot be known here.
        if os.path.basename(program) == "nginx":
            try:
                os.kill(master, 0)
            except OSError as error:
                what = f"user {os.geteuid()} may not signal nginx' master {master}, as a reload does: {error.strerror}"
                do = "let runs become root there, or give reload a command that this user may run"
                return [Obstacle(what, do)]
        return []

    def exclusively(self) -> AbstractContextManager[None]:
        return lock.exclusively(f"nginx {self._file}", self._lock_dir)

    def _find_file(self) -> None:
        """Replace the named file, if it lacks the upstream, by the file from which nginx reads it."""
        if self._file_is_found:
            return
        text = files.read(self._file).decode("utf-8", "replace")
        with contextlib.suppress(nginx_conf.SyntaxProblem):  # reported when the servers are read
            if not nginx_conf.servers(text, self._upstream):
                self._file = nginx_twins.file_of(self._dump_configuration(), self._upstream) or self._file
        self._file_is_found = True

    def _dump_configuration(self) -> str:
        """The whole configuration by C(nginx -T); empty where the operator configured another test command."""
        if "-t" not in self._control.test:
            return ""
        done = self._run(["-T" if word == "-t" else word for word in self._control.test], self._timeout)
        complaint = done.complaint()
        if complaint:
            raise BalancerError("refused", f"nginx does not accept its configuration as it is: {complaint}")
        return done.stdout.decode("utf-8", "replace")

    def _servers_by_address(self, text: str) -> Mapping[str, list[nginx_conf.ServerDirective]]:
        """Address -> the directives that name it."""
        try:
            listed = nginx_conf.servers(text, self._upstream)
        except nginx_conf.SyntaxProblem as error:
            raise BalancerError("unreadable", f"{self._file}: {error}") from error
        if not listed:
            raise BalancerError("unknown_backend", f"{self._file} has no servers of an upstream {self._upstream!r}")
        found: dict[str, list[nginx_conf.ServerDirective]] = {}
        for server in listed:
            found.setdefault(server.address, []).append(server)
        return found

    def _refuse_twins(self, server: str) -> None:
        """Raise BalancerError where another upstream forbids the drain, before anything is changed."""
        text = files.read(self._file).decode("utf-8", "replace")
        alone = nginx_twins.left_alone(nginx_conf.upstreams(text), server, self._upstream)
        if alone:
            words = f"{server} is also the only server of upstream {', '.join(alone)} of {self._file}"
            raise BalancerError("refused", words)
        elsewhere = nginx_twins.in_other_files(self._dump_configuration(), self._file, text, server)
        if elsewhere:
            raise BalancerError("refused", f"{server} is also in use by {'; '.join(elsewhere)}: drain it there first")

    def _change_and_reload(self, server: str, change: Callable[[str], str]) -> None:
        """Change the file, have nginx test it, and reload. The old content is restored if nginx rejects the new one."""
        self.state(server)

        def changed(content: bytes) -> bytes:
            return change(content.decode("utf-8")).encode()

        before, after = files.edit(self._file, changed)
        complaint = self._run(self._control.test, self._timeout).complaint()
        if complaint:
            raise self._restore_file(after, before, complaint)
        self._reload_and_wait()

    def _restore_file(self, after: bytes, before: bytes, complaint: str) -> BalancerError:
        """Undo a change that nginx rejects. Returns the error to raise."""
        try:
            why = "" if files.replace(self._file, after, before) else "somebody else has changed it meanwhile"
        except BalancerError as error:
            why = error.reason
        if not why:
            return BalancerError("refused", f"nginx does not accept {self._file}, which was put back: {complaint}")
        words = f"nginx does not accept {self._file} ({complaint}), and it could NOT be put back: {why}"
        return BalancerError("unproven", words)

    def _reload_and_wait(self) -> None:
        """Reload, and wait until a new worker serves and every older worker is shutting down."""
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

    def _is_in_force(self) -> bool:
        """Whether nginx has read the file since it was changed. A task may have been killed before its reload."""
        try:
            changed = os.stat(self._file).st_ctime
        except OSError as error:
            raise BalancerError("unreachable", f"{self._file}: {error.strerror}") from error
        started = nginx_workers.read(self._control.pid_file).serving.values()
        return bool(started) and min(started) >= changed - nginx_workers.CLOCK_STEP
