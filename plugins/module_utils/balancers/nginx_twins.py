# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The same address in several upstreams of nginx: a server is out of traffic only when none of them sends to it.
Pure."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence

from . import files
from .nginx_conf import ServerDirective, SyntaxProblem, canonical, dumped, upstreams
from .protocol import BalancerError

Upstreams = Mapping[str, Sequence[ServerDirective]]


def in_use(found: Upstreams, address: str, but: str = "") -> list[str]:
    """The upstreams that send to an address, except C(but)."""
    return [
        name
        for name, servers in found.items()
        if name != but and any(_has_address(server, address) and not server.down for server in servers)
    ]


def left_alone(found: Upstreams, address: str, but: str) -> list[str]:
    """The upstreams, except C(but), that would be left without a server if an address were down."""
    return [
        name
        for name in in_use(found, address, but)
        if name and all(_has_address(server, address) or server.down for server in found[name])
    ]


def in_other_files(dump: str, file: str, text: str, address: str) -> list[str]:
    """Where else C(nginx -T) shows an address in use, one sentence for each file except this one.

    nginx may see its files under other paths, in a container or a chroot: the file with our content is ours. Raises
    BalancerError for a file that may hold the address and cannot be read.
    """
    told = []
    for path, content in dumped(dump).items():
        if os.path.realpath(path) == file or content.strip() == text.strip():
            continue
        try:
            names = in_use(upstreams(content), address)
        except SyntaxProblem as error:
            if address not in content:
                continue
            raise BalancerError("unreadable", f"{path}, which names {address}: {error}") from error
        told += [f"upstream {name} in {path}" if name else path for name in names]
    return told


def file_of(dump: str, upstream: str) -> str | None:
    """The file of this host that holds an upstream, by the output of C(nginx -T); None where that is ambiguous."""
    found = []
    for path, content in dumped(dump).items():
        try:
            holds = bool(upstreams(content).get(upstream))
        except SyntaxProblem:
            continue
        real = files.real(path)
        if holds and os.path.isfile(real) and files.read(real).decode("utf-8", "replace").strip() == content.strip():
            found.append(real)
    return found[0] if len(found) == 1 else None


def _has_address(server: ServerDirective, address: str) -> bool:
    return canonical(server.address) == canonical(address)
