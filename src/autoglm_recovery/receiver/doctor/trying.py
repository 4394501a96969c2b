# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Launch a run that repairs nothing, in the way in which incidents have theirs launched, and read what became of it."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from autoglm_recovery.knowledge.host.plain import one_line
from autoglm_recovery.policy.launchers import ExecutionEnvironment
from autoglm_recovery.receiver.doctor.finding import DoctorFinding, FindingLevel, wrong
from autoglm_recovery.receiver.doctor.hosts import table
from autoglm_recovery.receiver.fleet.fleet import Fleet
from autoglm_recovery.receiver.runs import heartbeat
from autoglm_recovery.receiver.runs.local import run_directory
from autoglm_recovery.receiver.runs.local.container import check_podman
from autoglm_recovery.receiver.runs.protocol import LaunchRefused, RunSpec

CHECK = "runs"
PLAYBOOK = "try_run"
# The last of the playbook's tasks: the run has come to its end for a host that has done it.
LAST_TASK = "See the services that the receiver sees"
WITHIN_S = 300.0
_LOOK_EVERY_S = 0.2
_VAULT = "set vault_password_file or vault_identity_list in the ansible.cfg of the folder where serve is started"


class PlaybookTrial:
    """One run of a playbook of ours, in a directory of its own, which is removed afterwards."""

    def __init__(self, directory: Path, environment: ExecutionEnvironment | None = None) -> None:
        """Run in ``directory``; in a container if runs are."""
        self._directory = directory
        self._environment = environment

    def run(
        self,
        playbook: str,
        inventory: Path,
        variables: Mapping[str, Any],
        stop: Callable[[], bool] = lambda: False,
    ) -> tuple[int | None, str, list[dict[str, Any]]]:
        """Return the exit code, what was said where no task was begun, and ansible-runner's events.

        Raises LaunchRefused if it can never be launched.
        Raises OSError if its directory cannot be used.
        """
        if self._environment is not None:
            check_podman()
        shutil.rmtree(self._directory, ignore_errors=True)
        try:
            run_directory.prepare(
                self._directory, RunSpec(playbook, "all", inventory, WITHIN_S, variables), self._environment
            )
            heartbeat.begin(self._directory, heartbeat.now() + 2 * WITHIN_S)
            process = run_directory.spawn(self._directory)
            while process.poll() is None:
                if stop():
                    run_directory.cancel(self._directory, "the receiver stops")
                time.sleep(_LOOK_EVERY_S)
            said = " ".join(
                line["text"] for line in run_directory.told(self._directory, 0) if "no task was" in line["text"]
            )
            result = run_directory.result(self._directory)
            return result.get("rc"), said or str(result.get("why") or ""), list(_events(self._directory))
        except FileNotFoundError as error:
            log = (self._directory / "supervisor.log").read_text("utf-8", "replace")
            raise LaunchRefused(f"its process did not begin: {log.strip()[-500:] or error}") from error
        finally:
            shutil.rmtree(self._directory, ignore_errors=True)


def _events(directory: Path) -> Iterator[dict[str, Any]]:
    files = directory.glob("artifacts/*/job_events/*.json")
    numbered = ((int(path.name.partition("-")[0]), path) for path in files if path.name[0].isdigit())
    for _number, path in sorted(numbered):
        event = json.loads(path.read_text("utf-8"))
        if isinstance(event, dict):
            yield event


def try_run(
    trial: PlaybookTrial, fleet: Fleet, inventory: Path, stop: Callable[[], bool] = lambda: False
) -> list[DoctorFinding]:
    """Return what a run would lack that begins now."""
    expected = {host.name: [service.name for service in host.services] for host in fleet.hosts.values()}
    try:
        rc, said, events = trial.run(PLAYBOOK, inventory, {"autoglm_expected": expected}, stop)
    except (LaunchRefused, OSError) as error:
        return [wrong(CHECK, f"no run can be launched: {error}")]
    return read_trial(rc, said, events, frozenset(expected))


def read_trial(
    rc: int | None, said: str, events: list[dict[str, Any]], expected: frozenset[str]
) -> list[DoctorFinding]:
    """Turn what became of the empty run into findings; ``expected`` are the hosts that it should have had."""
    known = [(event.get("event"), table(event.get("event_data"))) for event in events]
    seen = {str(data["host"]) for _kind, data in known if data.get("host")}
    if not seen:
        return [wrong(CHECK, f"a run begins no task: {said or f'exit code {rc}'}", do=_advice_for(said))]
    failed: dict[str, list[str]] = {}
    for kind, data in known:
        if kind in ("runner_on_failed", "runner_on_unreachable"):
            reason = one_line(table(data.get("res")).get("msg") or "no reason was given", 500)
            failed.setdefault(reason, []).append(str(data.get("host")))
    found = [wrong(CHECK, reason, _listed_names(hosts), _advice_for(reason)) for reason, hosts in failed.items()]
    if missing := sorted(expected - seen):
        found.append(wrong(CHECK, "a run does not have these hosts, which the receiver has", _listed_names(missing)))
    ended = {str(data.get("host")) for kind, data in known if kind == "runner_on_ok" and data.get("task") == LAST_TASK}
    if cut := sorted((expected & seen).difference(ended, *failed.values())):
        what = f"an empty run did not come to its end there: {said or f'exit code {rc}'}"
        found.append(DoctorFinding(CHECK, FindingLevel.unknown, what, _listed_names(cut)))
    if not found and rc != 0:
        found.append(wrong(CHECK, f"an empty run fails: {said or f'exit code {rc}'}"))
    return found or [DoctorFinding(CHECK, FindingLevel.ok, "an empty run sees what the receiver sees")]


def _advice_for(reason: str) -> str:
    return _VAULT if "vault" in reason.lower() else ""


def _listed_names(names: list[str]) -> str:
    return ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")
