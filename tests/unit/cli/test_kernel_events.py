# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""``autoglm kernel-events --joined``: what belongs together is one fault with a named root."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

BURST = b"""\
[100.000000] NVRM: Xid (PCI:0000:3b:00): 45, pid=7, name=vllm, Ch 00000008
[100.100000] NVRM: Xid (PCI:0000:3b:00): 48, pid=7, name=vllm, DBE (double bit error)
[100.200000] NVRM: Xid (PCI:0000:3b:00): 63, Row Remapper: New row marked for remapping
[101.000000] usb 1-1: new high-speed USB device
[102.000000] NVRM: Xid (PCI:0000:84:00): 13, pid=9, name=other, Graphics Exception
[900.000000] NVRM: Xid (PCI:0000:3b:00): 79, GPU has fallen off the bus."""


def joined(given: bytes) -> list[dict[str, object]]:
    """Run the command and read its faults."""
    done = subprocess.run(
        [str(Path(sys.executable).with_name("autoglm")), "kernel-events", "--joined"],
        input=given,
        capture_output=True,
        check=True,
        timeout=60,
    )
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_a_burst_on_one_gpu_is_one_fault_and_silence_ends_it() -> None:
    faults = {(fault["gpus"][0], fault["root"]["xid"]): fault for fault in joined(BURST)}
    assert set(faults) == {("0000:3b:00", 48), ("0000:84:00", 13), ("0000:3b:00", 79)}
    assert faults["0000:3b:00", 48]["events"] == 3
    assert {"pid": 7, "process": "vllm"} in faults["0000:3b:00", 48]["victims"]


def test_no_line_is_no_fault() -> None:
    assert joined(b"") == []
    assert joined(b"\x00\xff\nnothing\n") == []
