# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The files that a policy names: which of them hold secrets, and whether somebody else may read or write them.

A playbook of the site's own by its path is one of them: what it says is done as root, on every host.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from autoglm_recovery.policy import Policy
from autoglm_recovery.receiver.access.entries import AuthError
from autoglm_recovery.receiver.access.file_modes import judge


@dataclass(frozen=True)
class NamedFile:
    """``key`` is where the policy names it.  ``secret``: a token, or addresses that may hold one."""

    key: str
    path: Path
    secret: bool


def named_files(policy: Policy) -> list[NamedFile]:
    """Return all files that a policy names, in its order."""
    asked = {
        "monitoring.prometheus": policy.monitoring.prometheus,
        "monitoring.alertmanager": policy.monitoring.alertmanager,
        "guardrails.silences": policy.guardrails.silences,
        "launchers.awx": policy.launchers.awx,
    }
    found: list[tuple[str, Path | None, bool]] = []
    for key, setting in asked.items():
        if setting is not None:
            found += [(f"{key}.token_file", setting.token_file, True), (f"{key}.ca_path", setting.ca_path, False)]
    found += [("notify.routes.urls_file", route.urls_file, True) for route in policy.notify.routes]
    found += [
        (f"actions.{name}.playbook", Path(own.playbook), False)
        for name, own in policy.actions.items()
        if own.playbook.startswith("/") and own.launcher != "awx"
    ]
    return [NamedFile(key, path, secret) for key, path, secret in found if path is not None]


def judge_named_files(policy: Policy) -> list[str]:
    """Return what a person should know about the files that a policy names.

    A file of root's that the receiver reads by its group (0440, as Kubernetes mounts a secret) is as it should be.

    Raises AuthError if somebody else owns one of them or may write it, or anybody may read a secret; names each such.
    """
    told, wrong = list[str](), list[str]()
    for each in named_files(policy):
        try:
            told += filter(None, [judge(each.key, each.path, secret=each.secret)])
        except AuthError as error:
            wrong.append(str(error))
    if wrong:
        raise AuthError("; ".join(dict.fromkeys(wrong)))
    return told
