# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""When a fork of the zygote does the same as a program started anew, and when it might not.

What Ansible reads while it is imported, and keeps: its configuration file, the environment, its own code.  If one of
these is not what it was when the zygote was warmed, the run gets a cold start.
"""

from __future__ import annotations

import os
import sysconfig
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

# The releases of ansible-core with which the tests of this package are run; others are not trusted with it, because it
# stands on things inside ansible-core that no release promises to keep.
TESTED_CORES = frozenset({"2.19", "2.21"})

_PREFIXES = ("ANSIBLE_", "PYTHON", "LC_", "XDG_", "SSL_")
_NAMES = frozenset({"HOME", "LANG", "LANGUAGE", "TMPDIR", "TZ", "USER", "LOGNAME", "VIRTUAL_ENV", "NO_COLOR"})

Stamp = tuple[str, int, int, int] | None


@dataclass(frozen=True)
class Conditions:
    """All that a warm process was made from."""

    core: str
    folder: str
    files: tuple[Stamp, ...]
    configuration: str | None
    environment: Mapping[str, str]


def is_tested(version: str) -> bool:
    """Tell whether this release of ansible-core is one that the tests cover."""
    return ".".join(version.split(".")[:2]) in TESTED_CORES


def relevant(environment: Mapping[str, str]) -> dict[str, str]:
    """Return the variables that decide what Ansible is once it is imported."""
    return {name: value for name, value in environment.items() if name.startswith(_PREFIXES) or name in _NAMES}


def stamp(path: Path | str | None) -> Stamp:
    """Return what changes when a file or folder does."""
    if path is None:
        return None
    try:
        status = os.stat(path)
    except OSError:
        return None
    return str(path), status.st_mtime_ns, status.st_size, status.st_ino


def code_stamps() -> tuple[Stamp, ...]:
    """Return stamps that an installed, upgraded or removed package changes: pip renames folders in these."""
    return tuple(stamp(path) for path in sorted({sysconfig.get_path("purelib"), sysconfig.get_path("platlib")}))


def differences(warmed: Conditions, now: Conditions) -> Iterable[str]:
    """Say in what two conditions differ."""
    if warmed.core != now.core:
        yield f"ansible-core is {now.core} and was {warmed.core}"
    if warmed.folder != now.folder:
        yield f"the folder is {now.folder} and was {warmed.folder}"
    if warmed.configuration != now.configuration:
        yield f"ansible.cfg is {now.configuration or 'absent'} and was {warmed.configuration or 'absent'}"
    if warmed.files != now.files:
        yield "installed packages or ansible.cfg have changed"
    names = warmed.environment.keys() | now.environment.keys()
    changed = sorted(name for name in names if warmed.environment.get(name) != now.environment.get(name))
    if changed:
        yield f"the environment has another {', '.join(changed)}"


def current(environment: Mapping[str, str], configuration: str | None, core: str) -> Conditions:
    """Return the conditions as they are now, in the current folder: relative paths of settings begin there."""
    return Conditions(core, os.getcwd(), (*code_stamps(), stamp(configuration)), configuration, relevant(environment))
