# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a host says that a reboot depends on, and the order for one, both by systemd's own programs.

An inhibitor of C(block) on C(shutdown) is heeded here. Before systemd 257 C(systemctl reboot) by root passes it, and
from then on logind refuses (verify_shutdown_creds in src/login/logind-dbus.c; systemd-inhibit(1)), of which nobody
would hear in time. Those of C(delay) systemd heeds itself.
"""

from __future__ import annotations

import re
from pathlib import Path

from ..host import clocks
from ..host.command import CommandResult, Runner
from ..host.numbers import whole_number
from ..host.plain import one_line
from ..services.systemctl import parse_show
from .plan import HostSeen

UNIT = "autoglm-reboot"
# Later than the answer of the task that has ordered it. Timers of systemd may be a minute late unless they are told.
ORDER = (
    *("systemd-run", "--quiet", "--collect", f"--unit={UNIT}", "--on-active=2s", "--timer-property=AccuracySec=100ms"),
    *("systemctl", "reboot"),
)
_BOOT = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\Z")
# org.freedesktop.login1(5): what, who, why, mode, UID and PID of each.
_INHIBITORS = ("org.freedesktop.login1", "/org/freedesktop/login1", "org.freedesktop.login1.Manager", "ListInhibitors")
_WORD = re.compile(r'"((?:[^"\\]|\\.)*)"|(\S+)')
_STATES = ("initializing", "starting", "running", "degraded", "maintenance", "stopping")
_LONGEST = 65536


def look(run: Runner, timeout: float, root: Path = Path("/")) -> HostSeen:
    """Read all of it. What cannot be read is told, and nothing is raised."""
    if not has_systemd(root):
        return HostSeen(boot(root), systemd=False)
    unread: list[str] = []
    return HostSeen(
        boot(root),
        systemd=True,
        stopping=_stopping(run, timeout, unread),
        scheduled=_scheduled(root, unread),
        blocked_by=_blocked_by(run, timeout, unread),
        unread=tuple(unread),
    )


def boot(root: Path = Path("/")) -> str | None:
    """The id of this boot, None where it cannot be read, or is none."""
    told = clocks.boot_id(root / "proc")
    return told if told is not None and _BOOT.match(told) else None


def has_systemd(root: Path) -> bool:
    """Whether systemd is the init, as sd_booted(3) tells, and is this process's own init too."""
    try:
        return (root / "proc/1/comm").read_text("utf-8").strip() == "systemd" and (root / "run/systemd/system").is_dir()
    except (OSError, ValueError):
        return False


def order(run: Runner, timeout: float) -> CommandResult:
    """Order the reboot. Where the program did not end, nobody knows whether systemd has the order."""
    return run(ORDER, timeout)


def _stopping(run: Runner, timeout: float, unread: list[str]) -> bool:
    asked = run(["systemctl", "is-system-running"], timeout)
    state = asked.stdout.decode("utf-8", "replace").strip()
    timer = run(["systemctl", "show", "--no-pager", "--property=ActiveState", "--", f"{UNIT}.timer"], timeout)
    pending = parse_show(timer.stdout.decode("utf-8", "replace")).get("ActiveState", "")
    if asked.problem or state not in _STATES:
        unread.append(f"systemctl is-system-running: {asked.problem or one_line(state, 60) or asked.complaint()}")
    if timer.complaint() or not pending:
        unread.append(f"systemctl show {UNIT}.timer: {timer.complaint() or 'no ActiveState'}")
    return state == "stopping" or pending in ("active", "activating")


def _scheduled(root: Path, unread: list[str]) -> str:
    """The shutdown that C(shutdown(8)) has planned, from the file of systemd-logind that says so."""
    path = root / "run/systemd/shutdown/scheduled"
    try:
        with path.open("rb") as file:
            told = parse_show(file.read(_LONGEST).decode("utf-8", "replace"))
    except FileNotFoundError:
        return ""
    except OSError as error:
        unread.append(f"{path}: {error.strerror}")
        return ""
    moment, user = whole_number(told.get("USEC")), whole_number(told.get("UID"))
    when = "" if not moment else f" at {clocks.in_words(moment / 1e6)}"
    whose = "" if user is None else f" by user {user}"
    why = one_line(told.get("WALL_MESSAGE", ""), 120)
    return f"{one_line(told.get('MODE', 'a shutdown'), 40)}{when}{whose}{f', {why}' if why else ''}"


def _blocked_by(run: Runner, timeout: float, unread: list[str]) -> tuple[str, ...]:
    asked = run(["busctl", "--system", "call", *_INHIBITORS], timeout)
    if asked.complaint():
        if not _has_no_logind(run, timeout):
            unread.append(f"inhibitors: {asked.complaint()}")
        return ()
    try:
        return blocking(asked.stdout.decode("utf-8", "replace"))
    except ValueError as error:
        unread.append(f"inhibitors: {error}")
        return ()


def _has_no_logind(run: Runner, timeout: float) -> bool:
    """Whether there is nobody who could hold inhibitors."""
    shown = run(["systemctl", "show", "--no-pager", "--property=LoadState", "--", "systemd-logind.service"], timeout)
    loaded = parse_show(shown.stdout.decode("utf-8", "replace")).get("LoadState")
    return not shown.complaint() and loaded in ("not-found", "masked")


def blocking(answer: str) -> tuple[str, ...]:
    """Who forbids a shutdown, of what busctl says of all inhibitors. Raises ValueError for another answer."""
    words = [match.group(2) if match.group(1) is None else match.group(1) for match in _WORD.finditer(answer)]
    count = whole_number(words[1]) if len(words) > 1 else None
    if count is None or words[0] != "a(ssssuu)" or len(words) != 2 + 6 * count:
        raise ValueError(f"busctl answered {one_line(answer, 80)!r}")
    found = []
    for number in range(count):
        what, who, why, mode, user, process = words[2 + 6 * number : 8 + 6 * number]
        if "shutdown" in what.split(":") and mode != "delay":
            found.append(one_line(f"{who} (process {process} of user {user}): {why}", 200))
    return tuple(found)
