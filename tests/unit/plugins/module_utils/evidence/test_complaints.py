# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The headline and the summary of a bundle agree on what is a complaint."""

from __future__ import annotations

import pytest
from ansible_collections.autoglm.recovery.plugins.module_utils.evidence import summary
from ansible_collections.autoglm.recovery.plugins.module_utils.evidence.last_words import last_words

CALM = [f"calm {number}" for number in range(20)]


@pytest.mark.parametrize(
    "complaint",
    [
        "OSError: [Errno 28] No space left on device",
        "no space left on device",
        "CRITICAL the engine is gone",
        "server[7]: segfault at 0 ip 0",
        "NCCL WARN Call to connect returned Connection reset",
        "Watchdog caught collective operation: timed out",
        "NVRM: Xid (PCI:0000:3b:00): 79",
        "weights are of an unsupported format",
        "checkpoint is corrupt",
        "shape mismatch of layer 3",
        "model.gguf: not found",
        "could not bind to port 80",
        "Fatal signal 11",
        "(core dumped)",
    ],
)
def test_a_complaint_is_one_in_the_headline_and_in_the_summary(complaint: str) -> None:
    log = "\n".join([complaint, *CALM])
    assert last_words(log) == [complaint]
    assert complaint in summary.last_errors(log)


@pytest.mark.parametrize(
    "calm", ["que start_loop: terminate", "installed a signal handler", "srv init: timeout = 600", "Xidong answers"]
)
def test_what_a_server_says_of_itself_or_of_its_end_is_none(calm: str) -> None:
    log = "\n".join([calm, *CALM])
    assert last_words(log) == CALM[-3:]
    assert calm not in summary.last_errors(log)
