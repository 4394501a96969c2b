# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The variables of a run that a host's facts would replace where Ansible injects facts as variables. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

# Prefixes of our variables, declared or not: those of the playbooks, and of the role for other people's playbooks.
_OURS = ("autoglm_", "check_target_")
# Options of Ansible's own connection, shell and become plugins that Ansible's cleaning of facts does not remove; some
# name programs that the controller runs. Taken from the plugins' documentation, with which a test compares them.
_OPTIONS = frozenset(
    (
        *("ansible_admin_users", "ansible_async_dir", "ansible_common_remote_group", "ansible_host_key_checking"),
        *("ansible_remote_tmp", "ansible_shell_allow_world_readable_temp", "ansible_ssh_host_key_checking"),
        *("ansible_sshpass_prompt", "ansible_system_tmpdirs"),
    )
)
_KINDS_OF_OPTIONS = tuple(
    f"ansible_{kind}"
    for kind in ("control_path", "paramiko_", "private_key", "runas_", "scp_", "sftp_", "su_", "sudo_")
)


def replaced(facts: Mapping[str, Any], declared: Mapping[str, Any]) -> list[str]:
    """Name the facts that stand in for what C(declared) holds, for a variable of ours, or for how a host is reached.

    facts: as Ansible injects them, without those that it removes.
    declared: the variables of the host without facts, as they are written.
    """
    return sorted(
        name
        for name, value in facts.items()
        if name.startswith((*_OURS, *_KINDS_OF_OPTIONS))
        or name in _OPTIONS
        or (name in declared and declared[name] != value)
    )
