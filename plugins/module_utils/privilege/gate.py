# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The program that sudo runs for a login without root: it admits modules of this collection, and runs its own copy.

It is installed on a host as one file that root owns, an archive that Python runs (see C(autoglm root)). The
controller's request is only read as data; code comes from this archive alone, and the permitted targets from a file
that root owns.
"""

from __future__ import annotations

import importlib
import json
import os
import runpy
import stat
import sys
import syslog
import zipfile
from collections.abc import Mapping
from typing import Any, NoReturn

from ..host import paths
from . import request, rules

DECLARATION = "/etc/autoglm/root.json"
_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_TMP = "/run/autoglm/tmp"
# Ansible's internal options that only affect the answer. The others name paths to write and programs to start.
_TAKEN = frozenset(
    f"_ansible_{name}"
    for name in (
        *("check_mode", "diff", "no_log", "verbosity", "version", "module_name", "syslog_facility"),
        *("ignore_unknown_opts", "target_log_info", "tracebacks_for", "string_conversion_action"),
    )
)


def main(archive: str) -> None:
    """Run the requested module, or answer why not. C(archive) is the path of this program."""
    user = os.environ.get("SUDO_USER", "?")
    owner = int(os.environ.get("SUDO_UID", "-1"))  # -1: not started by sudo
    settle()
    listening = False
    try:
        asked = request.asked(sys.argv[1:])
        # Ansible sends nothing before it has read this word.
        sys.stdout.write(f"{asked.word}\n")
        sys.stdout.flush()
        listening = True
        text = request.text_of(sys.stdin.buffer.read) if asked.file is None else request.sent(asked.file, owner)
        wanted = request.parse(text)
        with zipfile.ZipFile(archive) as own:
            names = frozenset(own.namelist())
            other = request.differs(wanted.archive, lambda name: own.read(name) if name in names else None)
        options = {name: value for name, value in wanted.options.items() if not name.startswith("_ansible_")}
        why = rules.refusal(wanted.module, options, declaration(DECLARATION))
        if why is None and other is not None:
            why = (
                f"{other} is not what this host has: it was prepared with another release of autoglm.recovery or "
                "ansible-core. Run autoglm root again and install what it writes"
            )
        if why is None:
            options = rules.handed_on(wanted.module, options)
    except request.GateRefused as error:
        why = str(error)
    if why is not None:
        refuse(user, why, listening)
    syslog.syslog(syslog.LOG_NOTICE, f"{user}: {wanted.module}")
    run(archive, wanted, options)


def settle() -> None:
    """Drop everything inherited from the calling user: environment, working directory, umask, open files."""
    os.environ.clear()
    os.environ.update(PATH=_PATH, HOME="/root", LANG="C.UTF-8", LC_ALL="C.UTF-8", USER="root", LOGNAME="root")
    os.chdir("/")
    os.umask(0o022)
    os.closerange(3, 1024)
    syslog.openlog("autoglm-root", syslog.LOG_PID, syslog.LOG_AUTH)


def declaration(path: str) -> Mapping[str, Any]:
    """Read root's declaration.

    Raises request.GateRefused if it cannot be read, or another user than root could have written it.
    """
    try:
        with os.fdopen(paths.open_file(path), "rb") as opened:
            found = os.fstat(opened.fileno())
            if found.st_uid != 0 or found.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
                raise request.GateRefused(f"{path} must be a file that root alone may write")
            declared = json.loads(request.text_of(opened.read))
    except OSError as error:
        raise request.GateRefused(f"{path} cannot be read: {error.strerror}") from None
    except (ValueError, RecursionError):
        raise request.GateRefused(f"{path} is no JSON") from None
    lists = isinstance(declared, dict) and all(isinstance(rows, list) for rows in declared.values())
    if not lists or not all(isinstance(row, dict) for rows in declared.values() for row in rows):
        raise request.GateRefused(f"{path} must hold, for each kind, a list of tables")
    return declared  # type: ignore[no-any-return]


def folder() -> None:
    """Create root's directory for temporary files of modules."""
    os.makedirs(_TMP, mode=0o700, exist_ok=True)


def refuse(user: str, why: str, listening: bool) -> NoReturn:
    """Answer as a failed module if Ansible is listening, and write the refusal to the system's log."""
    # The caller chose the names in it: they must not break the log's line or stop the logger.
    why = why.encode("unicode_escape").decode("ascii")[:1000]
    syslog.syslog(syslog.LOG_WARNING, f"{user}: refused: {why}")
    message = f"Refused by autoglm-root, nothing was changed by this step: {why}."
    if listening:
        sys.stdout.write(f"{json.dumps({'failed': True, 'msg': message})}\n")
    else:
        sys.stderr.write(f"{message}\n")
    sys.stdout.flush()
    raise SystemExit(1)


def run(archive: str, wanted: request.GateRequest, options: Mapping[str, Any]) -> None:
    """Run the module of this archive as Ansible's own wrapper does."""
    # Imported from the archive, and only after the request has been admitted.
    basic: Any = importlib.import_module("ansible.module_utils.basic")
    folder()
    taken = {name: value for name, value in wanted.options.items() if name in _TAKEN}
    arguments = {**options, **taken, "_ansible_remote_tmp": _TMP, "_ansible_shell_executable": "/bin/sh"}
    basic._ANSIBLE_ARGS = json.dumps({"ANSIBLE_MODULE_ARGS": arguments}).encode()
    basic._ANSIBLE_PROFILE = wanted.profile
    sys.argv = [archive]
    own = {"_module_fqn": wanted.module, "_modlib_path": archive}
    runpy.run_module(wanted.module, init_globals=own, run_name="__main__", alter_sys=True)
