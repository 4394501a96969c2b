# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Write into each page of docs/failures what the code's own tables say of its class.

python -m tests.support.tooling.failure_pages      after a change of ladders, rules or catalogue; a unit test says when
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import yaml

from autoglm_recovery.knowledge.faults.catalogue.kinds import NAMED_KINDS, lookup_kind
from autoglm_recovery.knowledge.faults.catalogue.numbers import KNOWN_XIDS, lookup_xid
from autoglm_recovery.knowledge.faults.classes import (
    DEFAULT_LADDERS,
    FAILURE_CLASSES,
    OUT_OF_SERVICE,
    ROOT_CAUSE_ORDER,
    STILL_SERVING,
    destroys,
)
from autoglm_recovery.receiver.triage.known_alerts import NAMED
from autoglm_recovery.rules.render import EVERYTHING, render_rules

CHECKOUT = Path(__file__).parents[3]
FOLDER = CHECKOUT / "docs/failures"
BEGINS = "<!-- from here on: python -m tests.support.tooling.failure_pages -->\n"
ENDS = "<!-- up to here -->\n"


def shipped() -> set[str]:
    """Return the actions of which this release has the playbook."""
    return {path.stem for path in (CHECKOUT / "playbooks").glob("*.yml")}


def taken(failure_class: str) -> list[str]:
    """Return the rungs that can be climbed today: a dearer one is not taken because a cheaper one is not there."""
    found: list[str] = []
    missing: list[str] = []
    for action in DEFAULT_LADDERS[failure_class]:
        if action not in shipped():
            missing.append(action)
        elif any(destroys(each) < destroys(action) for each in missing):
            break
        else:
            found.append(action)
    return found


def facts(failure_class: str) -> str:
    """Return the table of a class."""
    rows = "".join(f"| {name} | {said} |\n" for name, said in _rows(failure_class))
    return f"{BEGINS}\n| | |\n|---|---|\n{rows}\n{ENDS}"


def with_facts(page: str, failure_class: str) -> str:
    """Return a page with its table as it should be."""
    before, _, rest = page.partition(BEGINS)
    return before + facts(failure_class) + rest.partition(ENDS)[2]


def _rows(failure_class: str) -> Iterator[tuple[str, str]]:
    climbed = taken(failure_class)
    done = f"{_code(climbed)}, then a person" if climbed else "a person is called"
    yield "done today", done
    ladder = [
        f"`{action}`" + ("" if action in shipped() else " (not in this release)")
        for action in DEFAULT_LADDERS[failure_class]
    ]
    yield "default ladder", ", ".join([*ladder, "a person"])
    yield "alerts of ours", ", ".join(_alerts(failure_class)) or "none; one of yours may say so"
    yield "Xids", ", ".join(map(str, _xids(failure_class))) or "none"
    yield "other kernel lines", _code(_kinds(failure_class)) or "none"
    known = [name for name, (named, _nature) in NAMED.items() if named == failure_class]
    yield "alerts of others, known by name", _code(known) or "none"
    place = ROOT_CAUSE_ORDER.index(failure_class)
    yield "is the cause of what comes with it, of class", _code(ROOT_CAUSE_ORDER[place + 1 :]) or "none"
    yield "counts in its pool as", _counts(failure_class)


def _counts(failure_class: str) -> str:
    if failure_class in OUT_OF_SERVICE:
        return "out of service; what destroys nothing may be done whatever else is down"
    return "serving" if failure_class in STILL_SERVING else "out of service"


def _alerts(failure_class: str) -> Iterator[str]:
    groups = yaml.safe_load(render_rules(EVERYTHING))["groups"]
    for rule in (rule for group in groups for rule in group["rules"]):
        labels = rule.get("labels", {})
        if labels.get("failure_class") == failure_class:
            yield f"`{rule['alert']}` ({labels['nature']})"


def _xids(failure_class: str) -> list[int]:
    found = ((code, lookup_xid(code)) for code in sorted(KNOWN_XIDS))
    return [code for code, entry in found if entry.failure_class == failure_class and entry.needs_action]


def _kinds(failure_class: str) -> list[str]:
    found = ((kind, lookup_kind(kind)) for kind in sorted(NAMED_KINDS))
    return [
        kind for kind, entry in found if entry.failure_class == failure_class and entry.needs_action and entry.known
    ]


def _code(names: object) -> str:
    assert isinstance(names, (list, tuple))
    return ", ".join(f"`{name}`" for name in names)


if __name__ == "__main__":
    for each in FAILURE_CLASSES:
        path = FOLDER / f"{each}.md"
        path.write_text(with_facts(path.read_text("utf-8"), each), "utf-8")
