# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The file that keeps a second receiver off a state directory says who holds it, whoever else has tried."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from autoglm_recovery.receiver.serve.serve import ServeError, only_receiver


def test_the_lock_keeps_the_number_of_the_process_that_holds_it(tmp_path: Path) -> None:
    (tmp_path / "receiver.lock").write_text("99999999\n")  # one that was killed
    with only_receiver(tmp_path):
        for _ in range(2):
            with pytest.raises(ServeError, match=rf"another receiver works on .* \(process {os.getpid()}\)"):
                only_receiver(tmp_path)
            assert (tmp_path / "receiver.lock").read_text() == f"{os.getpid()}\n"
    with only_receiver(tmp_path):
        pass
