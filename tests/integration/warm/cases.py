# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Projects as people have them, laid out for whoever compares a way of running with the hand's."""

from __future__ import annotations

from pathlib import Path

import yaml

from tests.integration.warm.project import Project
from tests.support.servers import person

CALLBACK = """
from ansible.plugins.callback import CallbackBase
class CallbackModule(CallbackBase):
    CALLBACK_VERSION = 2.0
    CALLBACK_NAME = "noted"
    CALLBACK_NEEDS_ENABLED = True
    def v2_playbook_on_stats(self, stats):
        open(__file__ + ".noted", "a").write("x")
"""
# Stands for sudo, which not every machine has: asks with the words of -p, reads a line (-S), and runs what follows
# (sudo(8)).  Unlike sudo it changes no user.
SUDO = """#!/bin/sh
while [ $# -gt 0 ]; do
    case $1 in
        -p) prompt=$2; shift 2 ;;
        -u) shift 2 ;;
        -*) shift ;;
        *) break ;;
    esac
done
printf %s "$prompt" >&2
read -r given
[ "$given" = "of sudo" ] || { echo "Sorry, try again." >&2; exit 1; }
export ASKED=yes
exec "$@"
"""
# An inventory plugin's cache, at the level of a script: the second call would tell something else.
SCRIPT = """#!/bin/sh
echo '{"scripted": {"hosts": ["node-s"]}, "_meta": {"hostvars": {"node-s": {"ansible_connection": "local"}}}}'
"""
VAULTS = ("file", "script", "ids", "variable")


def much_configured(project: Project) -> None:
    """An ansible.cfg with all kinds of settings."""
    project.write("noted/noted.py", CALLBACK)
    project.write("sudo", SUDO, 0o755)
    project.write("become-password", "of sudo\n", 0o600)
    project.configure(
        defaults={
            "callback_plugins": "noted",
            "callbacks_enabled": "noted",
            "strategy": "free",
            "gathering": "explicit",
            "remote_user": "deploy",
            "remote_tmp": "~/.elsewhere/tmp",
            "collections_path": f"own:{project.place.root}/collections",
            "fact_caching": "jsonfile",
            "fact_caching_connection": "cache/facts",
            "become_password_file": "become-password",
            "host_key_checking": "False",
        },
        privilege_escalation={"become_method": "sudo", "become_allow_same_user": "True"},
        sudo_become_plugin={"executable": project.folder / "sudo"},
        ssh_connection={
            "control_path_dir": "~/.control",
            "control_path": "%(directory)s/%%C",
            "ssh_args": "-o ControlMaster=auto -o ControlPersist=60s",
            "ssh_common_args": "-o ProxyJump=bastion.example.org",
            "pipelining": "True",
        },
    )


def vaulted(project: Project, vault: str) -> None:
    """Values of a host, which passwords open that are given in one of the VAULTS."""
    project.write("one", "first\n", 0o600)
    project.write("two.sh", "#!/bin/sh\necho second\n", 0o755)
    labels = {"secret": ("first", "one"), "other_secret": ("second", "two")}
    if vault == "ids":
        project.configure(defaults={"vault_identity_list": "one@one, two@two.sh"})
    else:
        labels = dict.fromkeys(labels, ("second" if vault == "script" else "first", "default"))
    if vault in ("file", "script"):
        project.configure(defaults={"vault_password_file": "one" if vault == "file" else "two.sh"})
    if vault == "variable":
        project.patch.setenv("ANSIBLE_VAULT_PASSWORD_FILE", "one")
    host_vars = project.place.root / "fleet/host_vars/node-a.yml"
    names = {name: project.vault(password, f"{name} of the vault", label) for name, (password, label) in labels.items()}
    name = project.vault(*labels["secret"][:1], "llama", labels["secret"][1]).replace("\n", "\n      ")
    services = f"of_pool: chat\nautoglm_services:\n  - pool: '{{{{ of_pool }}}}'\n    name: {name}\n"
    host_vars.write_text(services + "".join(f"{key}: {value}\n" for key, value in names.items()))


def of_many_kinds(project: Project) -> None:
    """A directory with files, a script, and a plugin with a cache."""
    fleet = project.place.root / "fleet"
    (fleet / "10-script").write_text(SCRIPT)
    (fleet / "10-script").chmod(0o755)
    (fleet / "20-made.yml").write_text(
        "plugin: ansible.builtin.constructed\nstrict: true\ngroups: {made: inventory_hostname is match('node')}\n"
    )
    project.configure(
        inventory={
            "enable_plugins": "script, ansible.builtin.constructed, yaml",
            "any_unparsed_is_failed": "True",
            "cache": "True",
            "cache_plugin": "jsonfile",
            "cache_connection": "cache/inventory",
        }
    )
    project.place.inventory_name = "fleet"


def becoming_root(project: Project, reach: person.Reach, password: str, control: Path) -> Path:
    """A host of a person who becomes root by a password; return its file. ``control`` is for shared connections."""
    project.place.host = {
        "ansible_host": "127.0.0.1",
        "ansible_port": reach.port,
        "ansible_user": person.NAME,
        "ansible_ssh_private_key_file": str(reach.key),
        "ansible_python_interpreter": "/usr/bin/python3",
    }
    project.place.inventory.write_text(yaml.safe_dump({"all": {"hosts": {"node-a": project.place.host}}}))
    file = (project.folder / project.configuration).with_name("become-password")
    project.write(str(file), f"{password}\n", 0o600)
    project.configure(
        defaults={
            "become_password_file": "become-password",
            "remote_tmp": "~/.elsewhere/tmp",
            "host_key_checking": "False",
        },
        # dropbear brings no server of files.
        ssh_connection={
            "control_path_dir": control,
            "ssh_args": "-o ControlMaster=auto -o ControlPersist=10m -o UserKnownHostsFile=/dev/null",
            "transfer_method": "piped",
        },
    )
    return file
