# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The options by which a module finds one service of its host."""

from __future__ import annotations


class ModuleDocFragment:
    """A systemd unit, a container, or a process with a PID file."""

    DOCUMENTATION = r"""
options:
  unit:
    description:
      - The systemd unit that runs the service on this host.
      - Of O(unit), O(container) and O(pid_file) only one can be given.
    type: str
  container:
    description:
      - The name or id of the container that runs the service on this host.
        It must exist, because its image, its mounts and its devices are not this collection's to choose.
      - A container that a systemd unit manages (a quadlet, for example) is declared by that O(unit).
    type: str
  container_runtime:
    description:
      - By whose command line the O(container) is reached. Its engine must run on this host.
      - Containers of a user without privileges are seen by that user only. Set C(become_user) for them.
    type: str
    choices: [docker, podman]
    default: podman
  pid_file:
    description:
      - The file that holds the number of the service's main process.
      - A number that has gone to another program in the meantime is not taken for the service. What counts is whether
        the process began before the file was written, and in doubt what it runs.
      - A file that anybody may write, or that belongs to another user than root and the process's own, is refused.
    type: path
  start_command:
    description:
      - The program, by its absolute path, and the arguments that run the service in the foreground.
        No shell reads them.
      - Only with O(pid_file), where it is needed to start the service and helps to recognise its process.
    type: list
    elements: str
  log_file:
    description:
      - Where the service with a O(pid_file) writes its log.
        A process that this collection starts gets it as standard output and standard error.
    type: path
"""

    START = r"""
options:
  user:
    description:
      - The user whose process it becomes. Without it, the user as whom the task runs.
      - Only with O(pid_file), as are O(working_dir) and O(environment). Units and containers have their own.
    type: str
  working_dir:
    description:
      - The directory in which it is started. Without it, the root directory.
    type: path
  environment:
    description:
      - What its environment has beside C(PATH), C(HOME), C(USER), C(LOGNAME) and C(LANG).
        Nothing of Ansible's own environment is passed on.
    type: dict
"""
