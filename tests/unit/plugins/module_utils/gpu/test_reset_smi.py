# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What nvidia-smi says of a reset: done only where each GPU was named, and never "not touched" on words not known."""

from __future__ import annotations

import pytest
from ansible_collections.autoglm.recovery.plugins.module_utils.gpu.resetting import smi
from ansible_collections.autoglm.recovery.plugins.module_utils.host.command import CommandResult

ONE, OTHER = "0000:3b:00.0", "0000:5d:00.0"
RESET = "GPU 00000000:3B:00.0 was successfully reset.\n"
IN_USE = "The following GPUs could not be reset:\n  GPU 00000000:3B:00.0: In use by another client\n"


@pytest.mark.parametrize(
    ("rc", "said", "outcome"),
    [
        (0, f"{RESET}All done.\n", smi.DONE),
        (0, "All done.\n", smi.FAILED),
        (0, "", smi.FAILED),
        (0, "GPU 00000000:5D:00.0 was successfully reset.\nAll done.\n", smi.FAILED),
        (255, IN_USE, smi.REFUSED),
        (255, "GPU 00000000:3B:00.0 is currently in use by another process.\n", smi.REFUSED),
        (255, "The following GPUs could not be reset:\n  GPU 00000000:3B:00.0: Not Supported\n", smi.REFUSED),
        (1, "GPU Reset couldn't run because GPU 00000000:3B:00.0 is the primary GPU.\n", smi.REFUSED),
        (4, "", smi.REFUSED),
        (6, "No devices were found\n", smi.REFUSED),
        # It has begun with one of them.
        (
            255,
            f"{RESET}The following GPUs could not be reset:\n  GPU 00000000:5D:00.0: In use by another client\n",
            smi.FAILED,
        ),
        (15, "", smi.FAILED),
        (255, "something new\n", smi.FAILED),
        (-9, "", smi.FAILED),
    ],
)
def test_an_answer(rc: int, said: str, outcome: str) -> None:
    assert smi.read_answer(CommandResult(rc, said.encode(), b""), [ONE]).outcome == outcome


def test_of_a_group_each_has_to_be_named() -> None:
    assert smi.read_answer(CommandResult(0, RESET.encode(), b""), [ONE, OTHER]).outcome == smi.FAILED


def test_one_that_does_not_end_hangs() -> None:
    answer = smi.read_answer(CommandResult(None, RESET.encode(), b"", "it did not end within 120 s"), [ONE])
    assert answer == smi.ResetAnswer(smi.HUNG, "it did not end within 120 s")


def test_without_a_name_there_is_no_order() -> None:
    """nvidia-smi would reset every GPU of the host."""
    assert smi.reset("nvidia-smi", ["GPU-0", "GPU-1"]) == ["nvidia-smi", "--gpu-reset", "-i", "GPU-0,GPU-1"]
    with pytest.raises(ValueError, match="by name"):
        smi.reset("nvidia-smi", [])
