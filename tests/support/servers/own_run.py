# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A directory of a test's own in place of /run/autoglm, where hosts keep locks and fences."""

from __future__ import annotations

from pathlib import Path


def own_run(directory: Path) -> list[str]:
    """Return words before a command that give it ``directory``/run as /run/autoglm, which nothing else works with."""
    ours = directory / "run"
    ours.mkdir(mode=0o755, exist_ok=True)
    Path("/run/autoglm").mkdir(mode=0o755, exist_ok=True)
    script = f'mount --bind {ours} /run/autoglm && exec "$@"'
    return ["unshare", "--mount", "sh", "-c", script, "sh"]
