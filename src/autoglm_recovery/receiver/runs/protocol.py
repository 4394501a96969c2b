# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the receiver asks of whatever runs playbooks: a process on this machine, or AWX."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import Any, Protocol

COLLECTION = "autoglm.recovery"


class RunStatus(Enum):
    """How a run stands."""

    not_begun = "nothing has begun it"
    running = "it is going on"
    ended = "its result is there"
    lost = "it began, nothing runs it, and there is no result"


@dataclass(frozen=True)
class RunSpec:
    """What to run: the playbook, the one host it is limited to, and its extra variables as plain data.

    ``playbook`` is as Ansible takes it, or the short name of one of this collection.
    """

    playbook: str
    limit: str
    inventory: Path
    timeout_s: float
    variables: Mapping[str, Any]

    @property
    def named_in_full(self) -> str:
        """Return the playbook as Ansible takes it: a collection's by its full name, or an absolute path."""
        return self.playbook if "." in self.playbook else f"{COLLECTION}.{self.playbook}"


@dataclass(frozen=True)
class RunRecord:
    """A run as the database knows it.

    ``id`` is unique within one database, ``key`` over all databases; the key of a run of an earlier release is empty.
    ``fence`` is its fencing token.  ``reference`` is the launcher's own name for the run, None until the launcher has
    given one.  ``cursor`` is how much of the run's progress was reported already, in the launcher's own count.
    ``begun`` is true once the run was seen to have begun: it must not be begun again, whatever is left of it.
    """

    id: int
    incident_id: int
    host: str
    action: str
    attempt: int
    fence: int
    directory: Path
    started_at: float
    reference: str | None = None
    cursor: int = 0
    key: str = ""
    begun: bool = False


@dataclass(frozen=True)
class RunReport:
    """What a launcher reports of a run.

    ``lines`` are the lines beyond the run's cursor, each with ``at``, ``kind`` and ``text`` for the timeline.  A line
    also has ``mark`` where the host refused the run because of a higher fencing token, and ``holder`` where another run
    held the host's lock.  ``cursor`` is the cursor after these lines.  ``rc`` is 0 for success; None with
    ``RunStatus.ended`` means that the run ended without a verdict, and ``why`` says how.  ``link`` leads a person to
    the whole output. ``started`` is false as long as the launcher has begun nothing although it looks after the run:
    ``why`` says what it waits for, or, of a run that has ended like that, why nothing ever will be begun.
    """

    status: RunStatus
    lines: tuple[Mapping[str, Any], ...] = ()
    cursor: int = 0
    rc: int | None = None
    why: str | None = None
    reference: str | None = None
    link: str | None = field(default=None)
    started: bool = True


class LaunchRefused(RuntimeError):
    """The run can never be launched like this, and why: no retry helps, a person must look.

    ``launched`` is true where something may have been launched all the same: nobody knows then how far it came.
    """

    def __init__(self, why: str, *, launched: bool = False) -> None:
        """Nothing was launched, if nobody says otherwise."""
        super().__init__(why)
        self.launched = launched


class Launcher(Protocol):
    """Where playbooks run.  Called by the loop's thread alone; no call may take longer than a few seconds."""

    name: str
    # Whether a run goes on by itself when the receiver that began it is gone: another one only has to follow it.  Such
    # a launcher begins nothing before its receiver has kept a reference of it, and with that the run is ``running``.
    outlives_receiver: bool

    def look(self, run: RunRecord, order: Callable[[], RunSpec]) -> RunReport:
        """Begin the run if nothing has begun it (asking ``order`` what to run), and tell how it stands.

        Idempotent over retries, restarts and replicas: a run is begun at most once.  A launcher that cannot be
        reached answers ``running`` with a reason in ``why`` and tries again at the next look.

        Raises LaunchRefused if it can never be launched.
        """

    def cancel(self, run: RunRecord, why: str) -> None:
        """End the run and all that it started.  Does nothing where there is nothing to end."""
