# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a check found."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from difflib import get_close_matches
from enum import StrEnum

from autoglm_recovery.receiver.process.redact import without_secrets


class FindingLevel(StrEnum):
    """``unknown`` could not be looked at, and is no better than ``wrong``; ``note`` needs nobody."""

    ok = "ok"
    note = "note"
    unknown = "unknown"
    wrong = "wrong"


@dataclass(frozen=True)
class DoctorFinding:
    """``where`` is what it is about, such as a host; ``do`` is what to do about it."""

    check: str
    level: FindingLevel
    what: str
    where: str = ""
    do: str = ""

    def __post_init__(self) -> None:
        """Take out what looks like a secret: findings quote inventories, servers and Ansible, and end up in tickets."""
        for name in ("what", "where", "do"):
            object.__setattr__(self, name, without_secrets(getattr(self, name)))


def wrong(check: str, what: str, where: str = "", do: str = "") -> DoctorFinding:
    """Return something that has to be put right."""
    return DoctorFinding(check, FindingLevel.wrong, what, where, do)


def well(findings: Iterable[DoctorFinding]) -> bool:
    """Tell whether nothing has to be done."""
    return not any(finding.level in (FindingLevel.wrong, FindingLevel.unknown) for finding in findings)


def meant(word: object, words: Iterable[str], likeness: float = 0.6) -> str:
    """Return what to write instead of a word that nobody knows."""
    known = sorted(words)
    near = get_close_matches(str(word)[:64], known, n=1, cutoff=likeness)
    if near:
        return f"did you mean {near[0]}?"
    return f"known: {', '.join(known[:30])}" if known else "there is none"
