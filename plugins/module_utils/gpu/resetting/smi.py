# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The orders to nvidia-smi, and what its answer to a reset says. Pure: reset.py runs them.

There is no public call of NVML that resets a GPU. Sources: the manual of nvidia-smi (options, exit codes);
NVIDIA/NVSentinel#1690 and logs of NVIDIA/mig-parted (refusals with their exit code 255).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from ...host.command import CommandResult
from ...host.plain import one_line
from ..reading.groups import pci_address
from ..reading.nvml import NvmlFailure

# done: each GPU was named as reset.  refused: nvidia-smi has not touched any.  failed: nobody knows what became of
# them.  hung: it did not end, and may still be at it.
DONE, REFUSED, FAILED, HUNG = "done", "refused", "failed", "hung"

_RESET = re.compile(r"GPU (\S+) was successfully reset")
_REFUSALS = (
    "in use by another client",
    "in use by another process",
    "being used by one or more other processes",
    "not supported",
    "is the primary gpu",
)
# Exit codes with which nvidia-smi ends before it does anything: 2 bad argument, 3 not available on this device, 4 no
# permission, 6 no such object, 9 driver not loaded, 12 NVML missing, 13 NVML too old.
_BEFORE_ANYTHING = (2, 3, 4, 6, 9, 12, 13)


@dataclass(frozen=True)
class ResetAnswer:
    outcome: str
    words: str


def persistence(program: str, uuid: str, on: bool) -> list[str]:
    return [program, "-i", uuid, "-pm", "1" if on else "0"]


def power_limit(program: str, uuid: str, milliwatts: int) -> list[str]:
    return [program, "-i", uuid, "-pl", f"{milliwatts / 1000:g}"]


def reset(program: str, uuids: Sequence[str]) -> list[str]:
    """By UUID: indices move when a GPU is lost. Never without -i, which would be all GPUs of the host."""
    if not uuids:
        raise ValueError("a reset needs the GPUs by name")
    return [program, "--gpu-reset", "-i", ",".join(uuids)]


def read_answer(result: CommandResult, addresses: Sequence[str]) -> ResetAnswer:
    """What came of a reset of the GPUs at these PCI addresses."""
    text = f"{result.stdout.decode('utf-8', 'replace')}\n{result.stderr.decode('utf-8', 'replace')}"
    words = one_line(text, 600) or result.problem
    if result.rc is None:
        return ResetAnswer(HUNG, result.problem)
    done = {address for match in _RESET.finditer(text) for address in [_address(match[1])] if address}
    missing = sorted(set(addresses) - done)
    if result.rc == 0 and not missing:
        return ResetAnswer(DONE, words)
    if result.rc == 0:
        return ResetAnswer(
            FAILED, f"nvidia-smi ended well and did not say that it has reset {', '.join(missing)}: {words}"
        )
    told = f"nvidia-smi ended with {result.rc}: {words}"
    refuses = any(refusal in text.lower() for refusal in _REFUSALS) or result.rc in _BEFORE_ANYTHING
    return ResetAnswer(REFUSED if refuses and not done else FAILED, told)


def _address(text: str) -> str | None:
    try:
        return pci_address(text)
    except NvmlFailure:
        return None
