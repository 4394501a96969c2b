# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One process for one run: ``python -m autoglm_recovery.receiver.runs.local.supervisor DIRECTORY``.

It outlives the receiver.  ansible-playbook writes to a terminal that its child holds, so that a receiver that is
killed cuts no run in half, and the next receiver finds the run by its directory: who holds the lock on ``lock`` runs
it, ``started`` says that it began, ``events.jsonl`` what was told, and ``result.json`` appears whole when it has ended.

It ends the run with all that it started when ``cancel`` appears, when its time is up, or when no receiver has said for
too long that it may go on (``heartbeat``).  The playbook runs in a child, so that neither a stuck Ansible nor a stuck
ansible-runner can keep this process from that.
"""

from __future__ import annotations

import fcntl
import json
import os
import sys
import time
import traceback
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from autoglm_recovery.knowledge.host import whole_file
from autoglm_recovery.receiver.process import cleaned
from autoglm_recovery.receiver.runs import ansible_settings, configured, heartbeat, kept_evidence
from autoglm_recovery.receiver.runs.local import container, processes
from autoglm_recovery.receiver.runs.narrate import NarratedLine, narrate, without_a_task

ALREADY_RUN = 75  # EX_TEMPFAIL: another process has this run, or had it
TIMED_OUT = 254  # as ansible-runner says it
NOTHING_BEGUN = 1
CUT_OFF = 254  # ansible-runner's code for a playbook that a signal ended, so that it has none of its own
_LOOK_EVERY_S = 0.1

Work = Callable[[Path, dict[str, Any]], int]


def main(directory: Path, work: Work | None = None) -> int:
    """Run what ``directory/request.json`` asks for, once in its life."""
    with open(directory / "lock", "w", encoding="utf-8") as lock:
        # Waits for whoever only looks at the lock, and for another supervisor of this run until that has ended.
        fcntl.flock(lock, fcntl.LOCK_EX)
        # One that was frozen before it began finds its time over: another receiver may have the run by now.
        if _lapsed(directory) is not None:
            return ALREADY_RUN
        try:
            os.close(os.open(directory / "started", os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
        except FileExistsError:
            return ALREADY_RUN
        request = json.loads((directory / "request.json").read_text("utf-8"))
        os.environ[processes.MARK] = str(directory)
        processes.become_subreaper()
        # Again: the disk may have kept this process waiting.
        why = _cancelled(directory) or _lapsed(directory)
        if why is None:
            contained = container.contains(request["arguments"])
            if contained:
                _guard(directory, lock.fileno())
            result = _watch(directory, request, _begin(directory, request, work or play, lock.fileno()))
            # Its own monitor removes it only where nothing had to be killed.
            if contained and result["rc"] in (None, TIMED_OUT):
                container.remove(directory, container.PATIENT_REMOVAL_S)
        else:
            result = _canceled(why)
        cleaned.clean_artifacts(directory)
        whole_file.write(directory / "result.json", json.dumps({**result, "ended_at": time.time()}))
        return 0 if result["rc"] == 0 else 1


def _begin(directory: Path, request: dict[str, Any], work: Work, lock: int) -> int:
    """Do the work in a child, which dies with this process; return its number."""
    parent = os.getpid()
    child = os.fork()
    if child:
        return child
    code = 1
    try:
        processes.die_with_parent(parent)
        processes.children_die_with_us()
        # The lock must not be held by what outlives this process.
        os.close(lock)
        # The last moment before something is done; from here on the watch has it.
        code = CUT_OFF if _lapsed(directory) else work(directory, request)
    except BaseException:  # noqa: BLE001 - a forked child must never go on in its parent's code
        sys.stderr.write(cleaned.output(traceback.format_exc()))
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def _guard(directory: Path, lock: int) -> None:
    """Have another process end the run should this one be killed: the kernel cannot, a container is no child of ours.

    It waits for the lock, and finds a result if this process came to its end.
    """
    if os.fork():
        return
    try:
        os.close(lock)
        with open(directory / "lock", "rb") as ours:
            fcntl.flock(ours, fcntl.LOCK_SH)
            if not (directory / "result.json").exists():
                from autoglm_recovery.receiver.runs.local import run_directory  # noqa: PLC0415 - only this one needs it

                run_directory.end_left(directory)
    finally:
        os._exit(0)


def _watch(directory: Path, request: dict[str, Any], child: int) -> dict[str, Any]:
    """Wait for the end of the work, or for a reason to end it."""
    deadline = time.monotonic() + request["timeout_s"]
    while True:
        pid, status = os.waitpid(child, os.WNOHANG)
        if pid:
            return _ended(os.waitstatus_to_exitcode(status), _lapsed(directory))
        lapsed = _lapsed(directory)
        if lapsed is not None:
            # At once: another receiver may begin when the rest of the lease is over.
            processes.end_descendants(polite_s=0.0)
            return _canceled(lapsed)
        why = _cancelled(directory)
        if why is not None:
            processes.end_descendants()
            return _canceled(why)
        if time.monotonic() > deadline:
            processes.end_descendants()
            return {"rc": TIMED_OUT, "status": "timeout", "why": f"it took longer than {request['timeout_s']:g} s"}
        time.sleep(_LOOK_EVERY_S)


def _canceled(why: str) -> dict[str, Any]:
    return {"rc": None, "status": "canceled", "why": why}


def _ended(code: int, lapsed: str | None) -> dict[str, Any]:
    if 0 <= code < CUT_OFF:
        return {"rc": code, "status": "successful" if code == 0 else "failed", "why": None}
    left = processes.end_descendants(polite_s=0.0)
    if lapsed is not None:
        return _canceled(lapsed)
    return {"rc": None, "status": "failed", "why": f"something killed it; {left} processes it left were ended"}


def _cancelled(directory: Path) -> str | None:
    try:
        return (directory / "cancel").read_text("utf-8")
    except FileNotFoundError:
        return None


def _lapsed(directory: Path) -> str | None:
    late = heartbeat.now() - heartbeat.until(directory)
    return f"its receiver has not renewed its lease in time, {late:.1f} s ago" if late > 0 else None


def play(directory: Path, request: dict[str, Any]) -> int:
    """Run the playbook with ansible-runner and return its exit code."""
    import ansible_runner  # noqa: PLC0415 - after the lock: who loses it has no need to load this

    with open(directory / "events.jsonl", "a", encoding="utf-8") as events:
        begun = False

        def tell(lines: Iterable[NarratedLine]) -> None:
            for line in lines:
                told = line.as_dict()
                events.write(json.dumps({**told, "text": cleaned.output(told["text"])}) + "\n")
            events.flush()

        def note(event: dict[str, Any]) -> bool:
            nonlocal begun
            begun = begun or event.get("event") == "playbook_on_task_start"
            tell(narrate(event))
            kept_evidence.keep(directory, event)
            cleaned.clean(event)
            return True

        try:
            # Where ansible-playbook would have been started: ansible.cfg is looked for and relative paths begin here.
            os.chdir(request.get("folder", directory))
            arguments = request["arguments"]
            if container.contains(arguments):
                arguments = container.with_configuration(arguments, configured.file())
                arguments = container.with_agent(arguments, os.environ)
            run = ansible_runner.run(
                private_data_dir=str(directory),
                playbook=request["playbook"],
                limit=request["limit"],
                **arguments,
                **configured.NO_CACHE,
                envvars=_environment(directory, arguments),
                event_handler=note,
                status_handler=_on_status,
                suppress_env_files=True,
                quiet=True,
            )
        except Exception as error:
            tell([without_a_task(f"{type(error).__name__}: {error}", time.time())])
            raise
        if not begun:
            tell([without_a_task(cleaned.output(run.stdout.read()), time.time())])
    code = int(run.rc) if run.rc is not None and 0 <= run.rc < CUT_OFF else CUT_OFF
    # A playbook that found no host, say, ends well and has repaired nothing.
    return code if begun else code or NOTHING_BEGUN


def _environment(directory: Path, arguments: dict[str, Any]) -> dict[str, str]:
    """Return what the playbook's processes have beside the environment of this one, or of their container."""
    marked = {processes.MARK: str(directory), **ansible_settings.ENVIRONMENT}
    if container.contains(arguments):
        file = configured.file()
        settings = {**os.environ, **({"ANSIBLE_CONFIG": file} if file else {})}
        kept = container.carried(settings, configured.path_variables(), container.seen(arguments))
        # What ansible.cfg names the image may have too.
        return {**kept, **configured.variables(), **marked}
    # The programs beside the interpreter are the right ones, whatever PATH says.
    path = f"{Path(sys.executable).parent}:{os.environ.get('PATH', os.defpath)}"
    return {"PATH": path, **configured.variables(), **marked}


def _on_status(status: dict[str, Any], runner_config: Any) -> None:
    """ansible-runner has prepared the environment ("starting"), or goes on ("running"), or has ended."""
    artifacts = Path(runner_config.artifact_dir)
    if status["status"] == "starting":
        configured.leave_to_ansible(runner_config.env)
        container.forget_runner_s_inventory(runner_config.command)
        if runner_config.containerized:
            # It comes into being with the mode that the umask leaves, unless it is there.
            (artifacts / cleaned.FOR_PODMAN).touch(mode=0o600)
    # It says that the run goes on right after it has written this.
    (artifacts / cleaned.COMMAND).unlink(missing_ok=True)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
