# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The rules that cut a network namespace off: what is put there, and whether it is there. By the host's C(nft).

Hooks of the family inet see what sockets send and receive, of IPv4 and IPv6, established connections too.  Packet
sockets pass them; these are seen by ingress and egress of the family netdev (nft(8); egress of packet sockets since
Linux 5.16).  The loopback stays: engines talk to themselves by it, and would die of its loss with all that is to be
looked at.  Docker's resolver at 127.0.0.11 asks outside for whoever asks it, and is cut off too.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from ..host.command import Runner
from ..host.processes import read_file
from ..host.unread import Unread

TABLE = "autoglm_isolation"
RESOLVER = "127.0.0.11"
_HOOKS = ("input", "output", "forward")
_DEVICE_HOOKS = ("ingress", "egress")
_PRIORITY = -500  # before connection tracking and whatever else there is
_DEVICE = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,14}\Z")
# To addresses for documentation (RFC 5737, RFC 3849): what the kernel takes from us would go nowhere.
_ASK = """
import errno, socket
for family, address in ((socket.AF_INET, "192.0.2.1"), (socket.AF_INET6, "2001:db8::1")):
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as out:
            out.sendto(b"", (address, 9))
            print("sent")
    except OSError as error:
        print(errno.errorcode.get(error.errno, error.errno))
"""
# The rules forbid it; or there is no way out, or no such address at all.
_HELD = ("EPERM", "ENETUNREACH", "EHOSTUNREACH", "EADDRNOTAVAIL", "EAFNOSUPPORT")


class NotCut(Exception):
    """The rules are not there, or do not hold."""


def ruleset(devices: Sequence[str] = ()) -> str:
    """The rules, as one transaction that also puts them right where there were some. Raises ValueError.

    devices: the interfaces from which bare packets are kept.
    """
    lines = {"input": "iifname", "output": "oifname"}
    chains = []
    for hook in _HOOKS:
        own = f'ip daddr {RESOLVER} drop; {lines[hook]} "lo" accept; ' if hook in lines else ""
        chains.append(f"chain {hook} {{ type filter hook {hook} priority {_PRIORITY}; policy drop; {own}}}")
    text = _anew("inet", chains)
    if devices:
        wrong = [name for name in devices if not _DEVICE.match(name)]
        if wrong:
            raise ValueError(f"{wrong[0]!r} is not a name of an interface that rules are made for")
        # A chain for each interface: nft before 1.0.7 does not tell in JSON which several a chain has.
        text += _anew(
            "netdev",
            [
                f'chain {hook}{number} {{ type filter hook {hook} device "{name}" priority {_PRIORITY}; policy drop; }}'
                for number, name in enumerate(devices)
                for hook in _DEVICE_HOOKS
            ],
        )
    return text


def _anew(family: str, chains: Sequence[str]) -> str:
    table = f"table {family} {TABLE}"
    return f"add {table}\ndelete {table}\n{table} {{\n" + "\n".join(chains) + "\n}\n"


def missing_in(listing: str) -> str:
    """What of the rules is not in the answer of C(nft -j list table inet ...); empty where all of it is there."""
    try:
        told = json.loads(listing)["nftables"]
        chains = [each["chain"] for each in told if "chain" in each and each["chain"]["table"] == TABLE]
        rules = [each["rule"] for each in told if "rule" in each and each["rule"]["table"] == TABLE]
        drops = {each["hook"] for each in chains if (each.get("policy"), each.get("prio")) == ("drop", _PRIORITY)}
        for hook in _HOOKS:
            if hook not in drops:
                return f"no chain drops at {hook}"
        if not all(_keeps_in(each) for each in rules):
            return "there is a rule that is not ours"
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        return f"nft answers what is not understood: {type(error).__name__}"
    return ""


def open_at(listing: str, devices: Sequence[str]) -> str:
    """Which interface lets bare packets through, by C(nft list table netdev ...); empty for none.

    Not of JSON: in nft 1.0.6 that does not tell the interface of a chain.
    """
    lines = [line.strip() for line in listing.splitlines()]
    for name in devices:
        for hook in _DEVICE_HOOKS:
            if f'type filter hook {hook} device "{name}" priority {_PRIORITY}; policy drop;' not in lines:
                return f"no chain drops at {hook} of {name}"
    return "there is a rule that is not ours" if any("accept" in line.split() for line in lines) else ""


def _keeps_in(rule: dict[str, Any]) -> bool:
    """Whether a rule of the table is one of ours: it drops, or accepts the loopback alone."""
    matches = [each["match"] for each in rule["expr"] if "match" in each]
    verdicts = [key for each in rule["expr"] for key in each if key != "match"]
    loopback = len(matches) == 1 and matches[0]["right"] == "lo" and matches[0]["op"] == "=="
    return verdicts == ["drop"] or (verdicts == ["accept"] and loopback)


class Namespace:
    """A network namespace that is held open, so that its name cannot go to another one meanwhile."""

    def __init__(self, descriptor: int, run: Runner, timeout: float) -> None:
        self._inside = ("nsenter", f"--net=/proc/{os.getpid()}/fd/{descriptor}", "--")
        self._run, self._timeout = run, timeout

    def cut(self, devices: Sequence[str] = ()) -> None:
        """Put the rules there. Raises NotCut."""
        try:
            outcome = self._run([*self._inside, "nft", ruleset(devices)], self._timeout)
        except ValueError as error:
            raise NotCut(str(error)) from error
        if outcome.complaint():
            raise NotCut(f"nft: {outcome.complaint()}")

    def complaint(self, devices: Sequence[str] = ()) -> str:
        """Why it is not cut off, by the rules as they are and by an attempt to send; empty where it is."""
        missing = self._listed(missing_in, "-j", "list", "table", "inet", TABLE)
        if not missing and devices:
            missing = self._listed(lambda text: open_at(text, devices), "list", "table", "netdev", TABLE)
        if missing:
            return missing
        asked = self._run([*self._inside, sys.executable, "-I", "-c", _ASK], self._timeout)
        said = asked.stdout.decode("utf-8", "replace").split()
        if asked.complaint() or len(said) != 2:
            return f"whether something is sent could not be tried: {asked.complaint() or said}"
        return "" if all(each in _HELD for each in said) else f"a packet could be sent: {', '.join(said)}"

    def _listed(self, judge: Callable[[str], str], *words: str) -> str:
        listed = self._run([*self._inside, "nft", *words], self._timeout)
        return listed.complaint() or judge(listed.stdout.decode("utf-8", "replace"))

    def has_rules(self) -> bool:
        """Whether there is a table of ours. Raises Unread."""
        return bool(self._families())

    def connect(self) -> None:
        """Remove our rules, and nobody else's. Raises Unread and NotCut."""
        for family in self._families():
            outcome = self._run([*self._inside, "nft", "delete", "table", family, TABLE], self._timeout)
            if outcome.complaint():
                raise NotCut(f"nft delete table {family} {TABLE}: {outcome.complaint()}")
        if self._families():
            raise NotCut(f"the table {TABLE} is there still")

    def _families(self) -> list[str]:
        listed = self._run([*self._inside, "nft", "-j", "list", "tables"], self._timeout)
        if listed.complaint():
            raise Unread(f"nft list tables: {listed.complaint()}")
        try:
            tables = [each["table"] for each in json.loads(listed.stdout)["nftables"] if "table" in each]
            return sorted(each["family"] for each in tables if each["name"] == TABLE)
        except (ValueError, KeyError, TypeError) as error:
            raise Unread("nft list tables: its answer is not understood") from error


@contextlib.contextmanager
def opened(proc: Path, pid: int, name: str, run: Runner, timeout: float) -> Iterator[Namespace]:
    """The namespace of that name, by a process that is in it. Raises Unread where that is in another one by now."""
    try:
        descriptor = os.open(proc / str(pid) / "ns/net", os.O_RDONLY | os.O_CLOEXEC)
    except OSError as error:
        raise Unread(f"the network namespace of process {pid}: {error.strerror}") from error
    try:
        if name_of(os.fstat(descriptor)) != name:
            raise Unread(f"process {pid} is in another network namespace by now")
        yield Namespace(descriptor, run, timeout)
    finally:
        os.close(descriptor)


def name_of(found: os.stat_result) -> str:
    """What names a namespace, as long as it is there (namespaces(7)): its device and inode."""
    return f"{found.st_dev}:{found.st_ino}"


def interfaces(proc: Path, pid: int) -> list[str]:
    """The interfaces of a process's namespace but the loopback. Raises OSError."""
    lines = read_file(proc / str(pid) / "net/dev").splitlines()
    return [name for name in (line.partition(":")[0].strip() for line in lines if ":" in line) if name != "lo"]
