# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A file of targets in Prometheus' file_sd format, which many routers and proxies read too.

https://prometheus.io/docs/prometheus/latest/configuration/configuration/#file_sd_config: a list of groups, each with
C(targets) and, if it likes, C(labels), in JSON or YAML. A drained target is taken out of the file, and remembered with
its labels in a file beside it, or is moved to a group with one label more. Programs that read the file report nothing:
health and requests in flight are unknown, and the operator states in C(settle) how many seconds a program needs to
notice a change.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Mapping
from contextlib import AbstractContextManager
from typing import Any, Callable, ClassVar

from ..host import paths
from . import files, lock
from .options import FILE, SETTLE, TEXT
from .protocol import (
    ACTIVE,
    DRAINED,
    UNKNOWN,
    BalancerError,
    BalancerNotSupported,
    Count,
    Obstacle,
    PoolMember,
    Weight,
    find,
)

Group = dict[str, Any]


class FileSd:
    """One pool: the targets of one file."""

    name = "file_sd"
    needs: ClassVar[tuple[str, ...]] = ("file",)
    options: ClassVar[Mapping[str, Mapping[str, Any]]] = {"file": FILE, "drained_label": TEXT, "settle": SETTLE}

    def __init__(
        self, file: str, drained_label: str | None = None, settle: float = 0.0, lock_dir: str = lock.DIRECTORY
    ) -> None:
        self._file, self._label = files.real(file), drained_label
        self._settle, self._lock_dir = settle, lock_dir
        folder, name = os.path.split(self._file)
        self._memory = os.path.join(folder, f".{name}.drained")

    @classmethod
    def opened(cls, options: Mapping[str, Any]) -> FileSd:
        return cls(options["file"], options["drained_label"], options["settle"], options["lock_dir"])

    def members(self) -> tuple[PoolMember, ...]:
        groups = self._parse_groups(files.read(self._file))
        found = {target: ACTIVE for group in groups for target in group["targets"]}
        for target in self._read_memory():
            found.setdefault(target, DRAINED)
        for group in groups:
            if self._label and self._label in group.get("labels", {}):
                found.update(dict.fromkeys(group["targets"], DRAINED))
        if not found:
            raise BalancerError("unknown_backend", f"{self._file} has no targets")
        return tuple(PoolMember(target, admin, UNKNOWN, says="in the file") for target, admin in found.items())

    def state(self, server: str) -> PoolMember:
        return find(server, self.members(), self._file)

    def drain(self, server: str) -> None:
        if self.state(server).admin == DRAINED:
            return
        if self._label:
            self._edit_groups(lambda groups: _set_label(groups, server, self._label or "", True))
        else:
            # Remember first, then take out: a task that is killed in between loses nothing.
            self._update_memory(server, _labels_of_target(self._parse_groups(files.read(self._file)), server))
            self._edit_groups(lambda groups: _take_out(groups, server))
        self._confirm_state(server, DRAINED)

    def ready(self, server: str) -> None:
        if self.state(server).admin == DRAINED:
            if self._label:
                self._edit_groups(lambda groups: _set_label(groups, server, self._label or "", False))
            else:
                labels = self._read_memory()[server]
                self._edit_groups(lambda groups: _put_in(groups, server, labels))
        self._update_memory(server, None)
        self._confirm_state(server, ACTIVE)

    def in_flight(self, server: str) -> Count:  # noqa: ARG002
        return Count(None, "a file of targets tells nothing of requests", "unsupported")

    def weight(self, server: str) -> Weight:  # noqa: ARG002
        raise BalancerNotSupported("a file of targets has no weights")

    def set_weight(self, server: str, value: int) -> None:  # noqa: ARG002
        raise BalancerNotSupported("a file of targets has no weights")

    def weights_count(self) -> None:
        raise BalancerNotSupported("a file of targets has no weights")

    def limit(self, server: str) -> int | None:  # noqa: ARG002
        raise BalancerNotSupported("a file of targets limits nothing")

    def set_limit(self, server: str, value: int | None) -> None:  # noqa: ARG002
        raise BalancerNotSupported("a file of targets limits nothing")

    def incarnation(self) -> str:
        return "file"

    def obstacles(self) -> list[Obstacle]:
        found = files.obstacles(self._file, document=True)
        if not self._label and os.path.exists(self._memory):
            found += files.obstacles(self._memory)
        return found

    def exclusively(self) -> AbstractContextManager[None]:
        return lock.exclusively(f"file_sd {self._file}", self._lock_dir)

    def _edit_groups(self, change: Callable[[list[Group]], list[Group]]) -> None:
        def changed(content: bytes) -> bytes:
            return files.render(self._file, change(self._parse_groups(content)), content)

        files.edit(self._file, changed)

    def _confirm_state(self, server: str, wanted: str) -> None:
        now = self.state(server)
        if now.admin != wanted:
            raise BalancerError("unproven", f"{self._file} was changed and says {now.admin} of {server}")
        time.sleep(self._settle)

    def _parse_groups(self, content: bytes) -> list[Group]:
        document = files.parse(self._file, content)
        if not isinstance(document, list) or not all(map(_is_group, document)):
            raise BalancerError("unreadable", f"{self._file} is not a list of groups with targets")
        return document

    def _read_memory(self) -> dict[str, dict[str, str]]:
        """Target -> labels, for the targets that were taken out."""
        if self._label or not os.path.exists(self._memory):
            return {}
        document = files.parse(self._memory, files.read(self._memory))
        return document if isinstance(document, dict) else {}

    def _update_memory(self, server: str, labels: dict[str, str] | None) -> None:
        """Remember a drained target with its labels, or forget it where C(labels) is None."""
        remembered = self._read_memory()
        if (labels is None and server not in remembered) or self._label:
            return
        if labels is None:
            del remembered[server]
        else:
            remembered[server] = labels
        if not os.path.exists(self._memory):
            self._create_memory()
        files.edit(self._memory, lambda _content: json.dumps(remembered, indent=2).encode() + b"\n")

    def _create_memory(self) -> None:
        try:
            os.close(paths.open_file(self._memory, os.O_WRONLY | os.O_CREAT, 0o644))
        except OSError as error:
            raise BalancerError("denied", f"{self._memory} cannot be made: {error.strerror}") from error
        files.replace(self._memory, b"", b"{}\n")


def _is_group(group: Any) -> bool:
    if not isinstance(group, dict) or not isinstance(group.get("labels", {}), dict):
        return False
    targets = group.get("targets")
    return isinstance(targets, list) and all(isinstance(target, str) for target in targets)


def _labels_of_target(groups: list[Group], target: str) -> dict[str, str]:
    return next((dict(group.get("labels", {})) for group in groups if target in group["targets"]), {})


def _take_out(groups: list[Group], target: str) -> list[Group]:
    left = [{**group, "targets": [other for other in group["targets"] if other != target]} for group in groups]
    return [group for group in left if group["targets"]]


def _put_in(groups: list[Group], target: str, labels: dict[str, str]) -> list[Group]:
    """Add a target to the group with these labels, or to a new group where there is none."""
    groups = _take_out(groups, target)
    for group in groups:
        if group.get("labels", {}) == labels:
            group["targets"] = [*group["targets"], target]
            return groups
    return [*groups, {"targets": [target], "labels": labels} if labels else {"targets": [target]}]


def _set_label(groups: list[Group], target: str, label: str, drained: bool) -> list[Group]:
    labels = {key: value for key, value in _labels_of_target(groups, target).items() if key != label}
    return _put_in(groups, target, {**labels, label: "true"} if drained else labels)
