# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which action comes next on the ladder, leaving aside whether it may run now."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence

from autoglm_recovery.durations import format_duration
from autoglm_recovery.policy.model import Policy
from autoglm_recovery.policy.repertoire import OURS, Repertoire
from autoglm_recovery.receiver.values.model import Decision, FaultMode, Verb
from autoglm_recovery.receiver.values.situation import Situation


def next_step(policy: Policy, situation: Situation) -> Decision:
    """Find the rung that comes next.

    A rung is behind us when its action ran for this failure in an incident before, when it failed here more often than
    ``retries`` allows, or when this GPU has had enough of it.  The rungs are taken in order: a higher one comes only
    when those below it are behind us, or have no playbook and cost no less (``missing``).  Where nothing above the last
    rung that ran is installed, that one is repeated, see ``repeats``.
    """
    strategy = policy.recovery.strategy(situation.failure_class)
    ladder = policy.ladder(situation.failure_class)
    if not ladder:
        return Decision(Verb.escalate, f"no action is defined for failure class {situation.failure_class}")
    start = max((ladder.index(a) + 1 for a in situation.earlier_actions if a in ladder), default=0)
    missing: list[str] = []
    for rung in range(start, len(ladder)):
        action = ladder[rung]
        if tries(situation, action) > strategy.retries or worn_out(policy, situation, action):
            continue
        if action not in situation.playbooks:
            missing.append(action)
            continue
        refused = _dearer(action, missing, policy.repertoire) or _refused(situation, action, policy.repertoire)
        if refused:
            return Decision(Verb.escalate, refused, action)
        return _run(policy, situation, ladder, rung, missing)
    return _at_the_end(policy, situation, ladder, missing)


def tries(situation: Situation, action: str) -> int:
    """Return how often an action was tried in this incident."""
    return sum(attempt.action == action for attempt in situation.attempts)


def repeats(ladder: Sequence[str], playbooks: Collection[str], repertoire: Repertoire = OURS) -> str | None:
    """Return the action that is repeated once the ladder can be climbed no further, or None where a person comes then.

    It is the highest that is installed, if there are rungs above it, and if it destroys nothing: to restart again what
    has crashed again is what ``Restart=always`` does, to reboot a host again and again is not.
    """
    installed = [rung for rung, action in enumerate(ladder) if action in playbooks]
    if not installed or installed[-1] == len(ladder) - 1 or repertoire.destructive(ladder[installed[-1]]):
        return None
    return ladder[installed[-1]]


def rungs(
    ladder: Sequence[str], playbooks: Collection[str], repertoire: Repertoire = OURS
) -> Iterator[tuple[str, str]]:
    """Yield each action of a ladder in order with what is to be known about its playbook, which may be nothing."""
    again = repeats(ladder, playbooks, repertoire)
    for rung, action in enumerate(ladder):
        if action in playbooks:
            yield action, "repeated after that, no higher one is installed" if action == again else ""
            continue
        following = next((each for each in ladder[rung + 1 :] if each in playbooks), None)
        if following is None:
            yield action, f"no playbook installed: {f'{again} is repeated' if again else 'a person is called'}"
        elif _dearer(following, ladder[rung : ladder.index(following)], repertoire):
            yield action, f"no playbook installed: a person is called, because {following} destroys more"
        else:
            yield action, f"no playbook installed: passed over, {following} destroys no more"


def _run(policy: Policy, situation: Situation, ladder: Sequence[str], rung: int, missing: Sequence[str]) -> Decision:
    over = f", passing over {_without_playbook(missing)}" if missing else ""
    why = _reason_for(policy, situation, ladder, rung) + over
    return Decision(Verb.run, why, action=ladder[rung], attempt=len(situation.attempts) + 1)


def _at_the_end(policy: Policy, situation: Situation, ladder: Sequence[str], missing: Sequence[str]) -> Decision:
    """Say what comes where no rung is left that could be climbed."""
    # Those below a rung that is installed have been passed over already.
    missing = [each for each in missing if not any(a in situation.playbooks for a in ladder[ladder.index(each) :])]
    again = repeats(ladder, situation.playbooks, policy.repertoire)
    history = _history(policy, situation)
    if again is not None and not worn_out(policy, situation, again):
        rung = ladder.index(again) + 1
        above = _without_playbook(ladder[rung:])
        why = f"{again} once more, rung {rung} of {len(ladder)} for {situation.failure_class}: {above}; {history}"
        return Decision(Verb.run, why, action=again, attempt=len(situation.attempts) + 1)
    if missing:
        told = f"; {history}" if history else ""
        why = f"the next action is {missing[0]}, for which no playbook is installed{told}"
        return Decision(Verb.escalate, why, missing[0])
    return Decision(Verb.escalate, f"the ladder has ended: {history}")


def _dearer(action: str, missing: Sequence[str], repertoire: Repertoire) -> str | None:
    """Say why an action must not be taken in the place of those that have no playbook."""
    cheaper = [each for each in missing if repertoire.cost(each) < repertoire.cost(action)]
    if not cheaper:
        return None
    return f"the next action is {cheaper[0]}, for which no playbook is installed, and {action} above it destroys more"


def _without_playbook(missing: Sequence[str]) -> str:
    return f"{' and '.join(missing)}, for which no playbook is installed"


def worn_out(policy: Policy, situation: Situation, action: str) -> bool:
    """Tell whether the GPU has had this action so often that the next rung is due, although the incident is new."""
    done = (situation.gpu_actions or {}).get(action, 0)
    return policy.repertoire.wears_gpu(action) and done >= policy.recovery.gpu_memory.attempts


def _refused(situation: Situation, action: str, repertoire: Repertoire) -> str | None:
    """Say why an action must not be taken on a failure of this kind, whatever the ladder says."""
    if not repertoire.destructive(action):
        return None
    if situation.failure_class == "unknown" and action != "safe_shutdown":
        return f"{action} may destroy something, and nobody has named this failure"
    if situation.mode is FaultMode.partitioned:
        return f"{action} may destroy something, and in a partition nobody knows who is alive"
    if situation.only_probed and (repertoire.host_wide(action) or repertoire.wears_gpu(action)):
        return f"{action} reaches beyond the service, which was well after its repair; no alert says what it has now"
    return None


def _reason_for(policy: Policy, situation: Situation, ladder: Sequence[str], rung: int) -> str:
    place = f"rung {rung + 1} of {len(ladder)} for {situation.failure_class}"
    history = _history(policy, situation)
    if tries(situation, ladder[rung]):
        return f"{ladder[rung]} once more, {place}: {history}"
    if history:
        back = "the failure came back: " if situation.earlier_actions and not situation.attempts else ""
        return f"{ladder[rung]}, {place}: {back}{history}"
    if situation.mode is FaultMode.persistent:
        return f"{ladder[rung]}, {place}: the failure persists"
    return f"{ladder[rung]}, {place}: first time within the window"


def _history(policy: Policy, situation: Situation) -> str:
    told = [f"{attempt.action} {attempt.state}" for attempt in situation.attempts]
    told += [f"{action} ran for {_earlier(situation, action)}" for action in sorted(situation.earlier_actions)]
    within = format_duration(policy.recovery.gpu_memory.within)
    told += [
        f"{action} ran {count} times on {situation.target.gpu} within {within}"
        for action, count in sorted((situation.gpu_actions or {}).items())
        if worn_out(policy, situation, action)
    ]
    return ", ".join(told)


def _earlier(situation: Situation, action: str) -> str:
    times = situation.earlier_runs(action)
    return "an earlier incident" if times == 1 else f"earlier incidents {times} times"
