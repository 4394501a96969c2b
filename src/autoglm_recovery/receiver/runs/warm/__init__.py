# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Start runs from a process that has Ansible imported already.

``zygote`` imports ansible-core and ansible-runner once and forks a supervisor for each run; ``playbook`` runs
ansible-playbook in that fork where a cold start would execute the program; ``conditions`` says when a cold start is due
instead; ``warmer`` is the receiver's side of it.
"""
