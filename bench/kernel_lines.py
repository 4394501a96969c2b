# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Kernel lines per second, beside a loop that only looks for one word."""

from __future__ import annotations

import json
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from autoglm_recovery.knowledge.faults.lines.reading import parse_line
from autoglm_recovery.knowledge.faults.lines.stream import encode_stream

LINES = 400_000
CHUNK = 1 << 18
FIXTURES = Path(__file__).parent.parent / "tests/fixtures/kernel"
QUIET = (
    "usb 1-1: new high-speed USB device number {n} using xhci_hcd",
    'audit: type=1400 audit(1700000000.{n}:99): apparmor="STATUS" operation="profile_replace" name="snap"',
    "docker0: port {n}(veth12ab) entered blocking state",
    "nvidia-uvm: Loaded the UVM driver, major device number {n}.",
    "EXT4-fs (nvme0n1p2): mounted filesystem with ordered data mode. Quota mode: none.",
    "mlx5_core 0000:5c:00.0 ens{n}: Link up",
    "systemd[1]: Started Session {n} of user root.",
    "TCP: request_sock_TCP: Possible SYN flooding on port {n}. Sending cookies.",
)


def main() -> None:
    """Measure, and print each figure beside its baseline."""
    for share in (0.001, 0.01, 0.1, 1.0):
        log = realistic(share)
        baseline = rate(lambda log=log: one_word(log))
        print(f"kernel lines, {share:.1%} of them events")
        show("for line in log: 'Xid' in line, and JSON for each", baseline, "baseline")
        ours = rate(lambda log=log: consume(log))
        show("encode_stream, whole blocks", ours, f"x {ours / baseline:.2f}")
        singly = rate(lambda log=log: line_by_line(log), lines=LINES // 20)
        show("parse_line and json.dumps, line by line", singly, f"x {singly / baseline:.2f}")
    show("autoglm kernel-events, a process with its start, 0.1% events", command(realistic(0.001)), "")


def show(what: str, figure: float, beside: str) -> None:
    """Print one figure."""
    print(f"  {what:62} {figure:10,.0f} lines/s   {beside}")


def realistic(share: float) -> bytes:
    """A log of which a share are events."""
    chance = random.Random(7)  # noqa: S311 - the same log each time
    rows = [
        json.loads(row) for path in sorted(FIXTURES.glob("*.jsonl")) for row in path.read_text("utf-8").splitlines()
    ]
    loud = [row["line"] for row in rows if row["expected"]["kind"] != "none"]
    lines = []
    for number in range(LINES):
        if chance.random() < share:
            lines.append(chance.choice(loud))
        else:
            lines.append(f"[{number:12d}.123456] {chance.choice(QUIET).format(n=number % 999)}")
    return "\n".join(lines).encode() + b"\n"


def one_word(log: bytes) -> int:
    """The least that any reader does: split, look for one word, write JSON."""
    out = []
    for line in log.splitlines():
        out.append('{"kind":"xid"}' if b"Xid" in line else '{"kind":"none"}')
    return len("\n".join(out))


def consume(log: bytes) -> int:
    """The bulk path, without a process around it."""
    chunks = (log[at : at + CHUNK] for at in range(0, len(log), CHUNK))
    return sum(map(len, encode_stream(chunks)))


def line_by_line(log: bytes) -> int:
    """The path of somebody who calls parse_line for each line."""
    return sum(len(json.dumps(parse_line(line))) for line in log.splitlines()[: LINES // 20])


def rate(work: Callable[[], int], lines: int = LINES) -> float:
    """The best of three, in lines per second of processor time."""
    best = float("inf")
    for _again in range(3):
        begun = time.process_time()
        work()
        best = min(best, time.process_time() - begun)
    return lines / best


def command(log: bytes) -> float:
    """The command as people run it, its start included."""
    with tempfile.TemporaryFile() as source:
        source.write(log)
        source.seek(0)
        begun = time.monotonic()
        subprocess.run(
            [sys.executable, "-c", "from autoglm_recovery.cli import main; main()", "kernel-events"],
            stdin=source,
            stdout=subprocess.DEVNULL,
            check=True,
        )
        return LINES / (time.monotonic() - begun)


if __name__ == "__main__":
    main()
