# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Write what hosts need so that runs get along with a login that is not root."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from autoglm_recovery.cli.refusing import refuse

Inventory = Annotated[Path, typer.Option("--inventory", "-i", help="The Ansible inventory of the fleet.")]

PROGRAM = "/usr/local/libexec/autoglm-root"


def root(
    inventory: Inventory,
    out: Annotated[Path, typer.Option(help="The folder to write to; it may hold keys, and is made for you alone.")],
    user: Annotated[str, typer.Option(help="The login of runs on the hosts.")] = "autoglm",
) -> None:
    """Write the sudo rule for hosts, its program, and for each host what may be done as root there."""
    from autoglm_recovery.receiver.fleet.ansible import AnsibleError, playbooks_folder  # noqa: PLC0415 - others start faster
    from autoglm_recovery.receiver.fleet.fleet import InventoryError, read_fleet  # noqa: PLC0415
    from autoglm_recovery.root import declared, program  # noqa: PLC0415

    if not user.replace("-", "").replace("_", "").isalnum():
        raise typer.BadParameter(f"{user!r} is no name of a login", param_hint="--user")
    try:
        playbooks = playbooks_folder()
        fleet = read_fleet(inventory, playbooks)
        # All of them before any is written: hosts would get a part of what belongs together.
        declarations = {host: declared.declaration(host, fleet.declared) for host in fleet.declared}
        out.mkdir(parents=True, exist_ok=True, mode=0o700)
        program.write(out / "autoglm-root", playbooks.parent / "plugins")
        _write(out / "sudoers", sudoers(user), 0o440)
        for host, rows in declarations.items():
            folder = out / "hosts" / host.replace("/", "_")
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            text = json.dumps(rows, indent=1, sort_keys=True)
            _write(folder / "root.json", f"{text}\n", 0o600)
    except declared.DeclarationError as error:
        refuse(f"inventory {inventory}: {error}; autoglm check POLICY -i {inventory} says more")
    except (AnsibleError, InventoryError, OSError) as error:
        refuse(error)
    typer.echo(f"wrote {out}/autoglm-root, {out}/sudoers and root.json for {len(declarations)} hosts", err=True)


def sudoers(user: str) -> str:
    """The one rule: this program, which looks at its arguments itself, and nothing else."""
    return (
        f"Defaults:{user} env_reset, !setenv, secure_path=/usr/sbin:/usr/bin:/sbin:/bin, !requiretty\n"
        f"{user} ALL=(root) NOPASSWD: {PROGRAM}\n"
    )


def _write(path: Path, text: str, mode: int) -> None:
    path.touch(mode=0o600)
    path.chmod(0o600)
    path.write_text(text, "utf-8")
    path.chmod(mode)
