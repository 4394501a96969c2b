# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The lines of a log that report a problem. One pattern for the headline and for the summary of a bundle."""

from __future__ import annotations

import re

# Words of engines, runtimes and Python. A false match costs one line. Words of an orderly stop or of a settings dump
# are left out, because they would push the cause out of the headline.
_COMPLAINT = re.compile(
    r"error|fail|fatal|critical|exception|traceback|panic|assert|abort|cannot|can't|could not|unable|denied|refused"
    r"|not found|no such|invalid|unsupported|mismatch|corrupt"
    r"|out of memory|no space left|killed|terminated|terminate called|segfault|segmentation|core.?dump"
    r"|(caught|fatal|unexpected) signal|signal \d|\bsig(segv|abrt|bus|ill|fpe|kill)\b"
    r"|timed out|time-?out (after|waiting|expired|exceeded|reached)|\bxid\b|nccl warn",
    re.IGNORECASE,
)


def complains(line: str) -> bool:
    """Whether a line reports a problem. Pure."""
    return _COMPLAINT.search(line) is not None
