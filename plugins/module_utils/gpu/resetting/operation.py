# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The steps of a reset on its host, each of which leaves a note that the next run can go on from.

planned (looks), prepared (notes what will be stopped), reset, restored (what the note says is put back). Between them
the playbook stops and starts the declared services. Who is killed at any step leaves the note.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Callable

from ...host.command import is_there
from . import note as notes
from . import smi
from .hands import Hands, Hung, Undone, missing, tell_log
from .note import Note
from .owners import KEPT, Owners
from .plan import Refused, ResetPlan, are_well, plan

NOT_NEEDED, PLANNED = "not_needed", "planned"


@dataclass(frozen=True)
class ResetRequest:
    """gpus: UUIDs or PCI addresses.  recommended_only: what the reading does not recommend is refused, or not needed.

    back_seconds: how long a GPU may take until it answers again.  note: the path of the note.
    """

    gpus: tuple[str, ...]
    recommended_only: bool = True
    back_seconds: float = 60.0
    note: str = notes.PATH


@dataclass
class ResetReport:
    """What a step did and found. words: why it ended as it did.  left: what is not as it was before, for people."""

    outcome: str
    words: str = ""
    plan: ResetPlan | None = None
    changed: bool = False
    left: list[str] = field(default_factory=list)
    left_down: tuple[str, ...] = ()
    reset_at: float | None = None


def look_and_plan(hands: Hands, asked: ResetRequest) -> ResetReport:
    """What a reset would take, or that none is needed. Changes nothing. Raises Refused."""
    before = _note(asked)
    _refuse_on_top(before)
    left_down = () if before is None else before.services
    examined, owners = hands.look()
    if asked.recommended_only and are_well(examined, asked.gpus):
        return ResetReport(NOT_NEEDED, "; ".join(examined["reasons"]), left_down=left_down)
    made = plan(examined, asked.gpus, owners, recommended_only=asked.recommended_only)
    return ResetReport(PLANNED, plan=made, left_down=left_down)


def prepare(hands: Hands, asked: ResetRequest, dry: bool) -> ResetReport:
    """Note what the run stops from here on. Raises Refused."""
    report = look_and_plan(hands, asked)
    if report.plan is not None:
        report.changed = True
        if not dry:
            _write(asked, _joined(_note(asked), _as_note(report.plan)))
    return report


def reset(hands: Hands, asked: ResetRequest, dry: bool, log: Callable[[str], None] = tell_log) -> ResetReport:
    """Stop agents, switch persistence off, look who is left, reset, and put all of that back. Raises Refused.

    An outcome of smi: with REFUSED no GPU was touched; with HUNG nothing more is asked of the driver, and what is
    stopped stays stopped, since it would hang in the same driver.
    """
    before = _note(asked)
    _refuse_on_top(before)
    examined, owners = hands.look()
    made = plan(examined, asked.gpus, owners, recommended_only=asked.recommended_only)
    if set(asked.gpus) != set(made.uuids):
        raise Refused(f"to be reset together are {', '.join(made.uuids)}: name all of them by UUID, and no other.")
    if made.services:
        raise Refused(f"{', '.join(made.services)} still uses them: stop it first.")
    if not is_there(hands.program):
        raise Refused(f"there is no program {hands.program} here.")
    report = ResetReport(PLANNED, plan=made, changed=True)
    if dry:
        return report
    note = _joined(before, _as_note(made))
    _write(asked, note)
    named = ", ".join(f"{gpu.uuid} ({gpu.pci})" for gpu in made.gpus)
    log(f"about to reset GPU {named}")
    try:
        answer = _free_and_reset(hands, asked, made, note)
    except Hung as hung:
        answer = smi.ResetAnswer(smi.HUNG, str(hung))
    report.outcome, report.words = answer.outcome, answer.words
    if answer.outcome == smi.HUNG:
        _keep(asked, replace(note, step=notes.HUNG), report)
        report.left += [f"{unit} is stopped" for unit in note.agents]
        report.left.append("the driver hangs: nothing more was asked of it, and it takes a reboot")
    else:
        report.reset_at = time.time() if answer.outcome != smi.REFUSED else None
        _put_back_after(hands, asked, note, report)
    log(f"reset of GPU {named}: {report.outcome}: {report.words}")
    return report


def restore(hands: Hands, asked: ResetRequest, dry: bool) -> ResetReport:
    """Put back what a run has stopped and switched off and a kill has left so, and remove the note. Raises Refused."""
    note = _note(asked)
    if note is None:
        return ResetReport("restored")
    _refuse_on_top(note)
    report = ResetReport("restored", changed=True, left_down=note.services)
    if dry:
        return report
    try:
        rest = _put_back(hands, note, hands.look_until_back(note.gpus, 0.0), report)
    except Hung as hung:
        _keep(asked, replace(note, step=notes.HUNG), report)
        return replace(report, outcome=smi.HUNG, words=str(hung))
    if report.left:
        _keep(asked, rest, report)
        return replace(report, outcome=smi.FAILED, words="; ".join(report.left))
    _guarded(lambda: notes.remove(asked.note))
    return report


def _free_and_reset(hands: Hands, asked: ResetRequest, made: ResetPlan, note: Note) -> smi.ResetAnswer:
    try:
        for unit in made.agents:
            hands.stop_unit(unit)
        for gpu in made.gpus:
            if gpu.persistence:
                hands.set_persistence(gpu.uuid, on=False)
        _check_free(hands, made)
        _write(asked, replace(note, step=notes.RESETTING))
    except (Undone, Refused) as refused:
        return smi.ResetAnswer(smi.REFUSED, str(refused))
    return hands.reset(made.uuids, [gpu.pci for gpu in made.gpus])


def _check_free(hands: Hands, made: ResetPlan) -> None:
    """Right before the reset: the same GPUs, and nobody on them any more, agents included. Raises Refused.

    Not whether it is still recommended: a driver that nobody holds awake may have dropped its counters.
    """
    examined, owners = hands.look()
    alone = {pid: owner for pid, owner in owners.of.items() if owner[0] == KEPT}
    now = plan(examined, made.uuids, Owners(alone, owners.gone, owners.agents, owners.agents_error, owners.unread),
               recommended_only=False)  # fmt: skip
    if set(now.uuids) != set(made.uuids):
        raise Refused(f"to be reset together are now {', '.join(now.uuids)}.")
    if now.agents:
        raise Refused(f"{', '.join(now.agents)} was started again meanwhile.")


def _put_back_after(hands: Hands, asked: ResetRequest, note: Note, report: ResetReport) -> None:
    """Persistence, power limits and agents, and whether every GPU is there again as it was."""
    touched = report.outcome != smi.REFUSED
    try:
        examined = hands.look_until_back(note.gpus, asked.back_seconds if touched else 0.0)
        rest = _put_back(hands, note, examined, report)
        gone = missing(examined, note.gpus)
    except Hung as hung:
        _keep(asked, replace(note, step=notes.HUNG), report)
        report.outcome, report.words = smi.HUNG, f"{report.words}; then {hung}"
        return
    if gone and touched:
        report.outcome, report.words = smi.FAILED, f"{', '.join(gone)} does not answer any more; {report.words}"
    _keep(asked, replace(rest, step=notes.PREPARED), report)


def _put_back(hands: Hands, note: Note, examined: Mapping[str, Any], report: ResetReport) -> Note:
    """What could be put back is out of the note that is returned; what could not is told. Raises Hung."""
    values = {one["values"].get("uuid"): one["values"] for one in examined["snapshot"]["gpus"]}
    # After a boot the host's own start-up decides how GPUs are set.
    same_boot = note.boot == _boot()
    on = [uuid for uuid in note.persistence if same_boot and not _put_back_mode(hands, uuid, values, report)]
    for uuid, limit in note.power.items() if same_boot else ():
        _put_back_power(hands, uuid, limit, values, report)
    down = []
    for unit in reversed(note.agents):
        try:
            hands.start_unit(unit)
        except Undone as undone:
            report.left.append(str(undone))
            down.append(unit)
    return replace(note, persistence=tuple(on), agents=tuple(reversed(down)))


def _put_back_mode(hands: Hands, uuid: str, values: Mapping[str, Mapping[str, Any]], report: ResetReport) -> bool:
    if uuid not in values:
        report.left.append(f"{uuid} is not there: its persistence mode, which was on, could not be set")
        return False
    try:
        if values[uuid].get("persistence") is not True:
            hands.set_persistence(uuid, on=True)
    except Undone as undone:
        report.left.append(f"persistence mode of {uuid} is off and was on: {undone}")
        return False
    return True


def _put_back_power(
    hands: Hands, uuid: str, limit: int, values: Mapping[str, Mapping[str, Any]], report: ResetReport
) -> None:
    now = values.get(uuid, {}).get("power_management_limit_mw")
    if now in (None, limit):
        return
    try:
        hands.set_power_limit(uuid, limit)
    except Undone as undone:
        report.left.append(f"the power limit of {uuid} is {now / 1000:g} W and was {limit / 1000:g} W: {undone}")


def _as_note(made: ResetPlan) -> Note:
    return Note(
        boot=_boot(),
        gpus=made.uuids,
        persistence=tuple(gpu.uuid for gpu in made.gpus if gpu.persistence),
        power={gpu.uuid: gpu.power_limit_mw for gpu in made.gpus if gpu.power_limit_mw is not None},
        agents=made.agents,
        services=made.services,
    )


def _joined(before: Note | None, later: Note) -> Note:
    if before is None:
        return later
    if before.boot == later.boot:
        return before.joined(later)
    return replace(later, services=tuple(dict.fromkeys([*before.services, *later.services])))


def _refuse_on_top(note: Note | None) -> None:
    """Never a second reset on top of one that hangs."""
    if note is not None and note.step == notes.HUNG and note.boot == _boot():
        raise Refused(
            f"a reset of {', '.join(note.gpus)} hangs in the driver since before, and no other goes on top of it. "
            "Reboot the host."
        )


def _boot() -> str:
    try:
        return notes.boot_id()
    except OSError as error:
        raise Refused(f"which boot of the host this is could not be read: {error.strerror}.") from error


def _note(asked: ResetRequest) -> Note | None:
    try:
        return notes.read(asked.note)
    except OSError as error:
        raise Refused(f"the note of a run before could not be read: {asked.note}: {error.strerror}.") from error
    except (ValueError, TypeError) as error:
        raise Refused(f"{asked.note} is no note of ours: {error}. Look at it, and remove it.") from error


def _write(asked: ResetRequest, note: Note) -> None:
    _guarded(lambda: notes.write(asked.note, note))


def _keep(asked: ResetRequest, note: Note, report: ResetReport) -> None:
    """The same once something was changed, when there is nothing left to refuse."""
    try:
        _write(asked, note)
    except Refused as refused:
        report.left.append(str(refused))


def _guarded(work: Callable[[], None]) -> None:
    try:
        work()
    except OSError as error:
        raise Refused(f"the note could not be kept: {error.filename}: {error.strerror}.") from error
