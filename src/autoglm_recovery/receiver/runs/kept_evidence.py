# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What hosts gave of their evidence bundles, kept in the run's directory for when the host is out of reach.

The host may be anybody's by then: what it says is text, of which no more than so much is kept, under names of ours.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from autoglm_recovery.knowledge.host import whole_file
from autoglm_recovery.knowledge.host.plain import plain

# What one run may leave: two looks are usual, one before the stop and one after a failed start.
MOST_BUNDLES = 4
MOST_EXCERPTS = 40
MOST_CHARACTERS = 256 * 1024
_LONGEST_NAME = 200
_NAME = "evidence-{}.json"


@dataclass(frozen=True)
class Excerpt:
    """A part of a bundle.  ``cut``: there is more of it on the host."""

    name: str
    text: str
    cut: bool


@dataclass(frozen=True)
class Given:
    """What a host gave of one bundle, and where it says that the whole is."""

    host: str
    path: str
    excerpts: tuple[Excerpt, ...]


def given(event: Mapping[str, Any]) -> Given | None:
    """Read the excerpts of an event of ansible-runner's; None where it has none."""
    data = event.get("event_data")
    if event.get("event") != "runner_on_ok" or not isinstance(data, Mapping):
        return None
    result = data.get("res")
    if not str(data.get("task_action")).endswith("crash_snapshot") or not isinstance(result, Mapping):
        return None
    listed = result.get("excerpts")
    left, excerpts = MOST_CHARACTERS, []
    for one in listed[:MOST_EXCERPTS] if isinstance(listed, list) else ():
        if isinstance(one, Mapping) and isinstance(one.get("text"), str):
            text = one["text"][:left]
            left -= len(text)
            cut = bool(one.get("cut")) or len(text) < len(one["text"])
            excerpts.append(Excerpt(str(one.get("name"))[:_LONGEST_NAME], text, cut))
    if not excerpts:
        return None
    return Given(str(data.get("host"))[:_LONGEST_NAME], str(result.get("path"))[:_LONGEST_NAME], tuple(excerpts))


def keep(directory: Path, event: Mapping[str, Any]) -> None:
    """Keep what an event has of evidence, under the next name that is free; the same twice is kept once.

    Raises OSError if it cannot be written.
    """
    found = given(event)
    if found is None:
        return
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    before = kept(directory)
    if found not in before and len(before) < MOST_BUNDLES:
        whole_file.write(directory / _NAME.format(len(before) + 1), json.dumps(asdict(found)))


def kept_at(directory: Path) -> float | None:
    """Return when the last bundle of a run was kept, or None if none was."""
    found = [directory / _NAME.format(number) for number in range(1, MOST_BUNDLES + 1)]
    return max((path.stat().st_mtime for path in found if path.exists()), default=None)


def kept(directory: Path) -> list[Given]:
    """Return what was kept of a run, oldest first."""
    found = []
    for number in range(1, MOST_BUNDLES + 1):
        try:
            read = json.loads((directory / _NAME.format(number)).read_text("utf-8"))
            found.append(_given_again(read))
        except FileNotFoundError:
            break
        except (KeyError, RecursionError, TypeError, ValueError):
            torn = Excerpt(_NAME.format(number), "(this file of the state directory cannot be read)", cut=False)
            found.append(Given("?", "?", (torn,)))
    return found


def _given_again(read: Mapping[str, Any]) -> Given:
    """Raises KeyError or TypeError for what keep() has not written."""
    excerpts = [Excerpt(str(one["name"]), str(one["text"]), bool(one["cut"])) for one in read["excerpts"]]
    return Given(str(read["host"]), str(read["path"]), tuple(excerpts))


def as_text(bundles: list[Given]) -> str:
    """Return all of it as one plain text; no character in it moves a terminal's cursor."""
    parts = []
    for one in bundles:
        parts.append(f"===== {one.host}:{one.path}\n")
        for excerpt in one.excerpts:
            more = " (cut; the whole is on the host)" if excerpt.cut else ""
            parts.append(f"\n===== {excerpt.name}{more}\n{excerpt.text.rstrip()}\n")
        parts.append("\n")
    return "".join(letter if letter in "\n\t" else plain(letter) for letter in "".join(parts))
