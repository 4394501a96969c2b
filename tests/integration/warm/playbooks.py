# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Playbooks that tell what they see."""

from __future__ import annotations

PLAYBOOKS: dict[str, str] = {
    # What a run can see of itself and of others.
    "observe": """
- hosts: node-a
  gather_facts: false
  tasks:
    - name: Look around
      ansible.builtin.set_fact:
        seen:
          given: "{{ autoglm_incident }}"
          others: "{{ vars | select('match', 'left_by_') | list }}"
          host_keys_checked: "{{ lookup('config', 'HOST_KEY_CHECKING') }}"
          facts_are_variables: "{{ lookup('config', 'INJECT_FACTS_AS_VARS') }}"
          process: "{{ lookup('pipe', ansible_playbook_python ~ ' ' ~ playbook_dir ~ '/observe.py') | from_json }}"
          random: "{{ 1000000000 | random }}"
          python: "{{ ansible_playbook_python }}"
    - name: Leave something behind
      ansible.builtin.set_fact: {"left_by_{{ autoglm_incident.id }}": true}
    - name: Write it down
      ansible.builtin.copy: {content: "{{ seen | to_json }}", dest: "{{ autoglm_target.out }}", mode: "0600"}
""",
    "fail": """
- hosts: node-a
  gather_facts: false
  tasks: [{name: Fail, ansible.builtin.fail: {msg: as it should}}]
""",
    # retry_with_backoff waits so, and nobody is at a terminal.
    "pause": """
- hosts: node-a
  gather_facts: false
  tasks:
    - name: Begin
      ansible.builtin.set_fact: {began: "{{ now(utc=true).timestamp() }}"}
    - name: Pause
      ansible.builtin.pause: {seconds: 2}
    - name: See that it took its time
      ansible.builtin.assert: {that: now(utc=true).timestamp() - began | float >= 2}
""",
    "broken": "- hosts: node-a\n  tasks: [{name: No such thing, no.such.module: {}}]\n",
    # Ansible calls it a success to have found nobody.
    "nobody": "- hosts: node-z\n  gather_facts: false\n  tasks: [{name: Never, ansible.builtin.ping: {}}]\n",
    "unreachable": """
- hosts: node-a
  gather_facts: false
  tasks: [{name: Ping, ansible.builtin.ping: {}, vars: {ansible_connection: ssh, ansible_host: 127.0.0.1,
           ansible_port: 1}}]
""",
    "hold": """
- hosts: node-a
  gather_facts: false
  tasks:
    - name: Say that it began
      ansible.builtin.file: {path: "{{ autoglm_target.out }}", state: touch, mode: "0600"}
    - name: Hold
      ansible.builtin.command: sleep 1000
""",
    "wait": """
- hosts: node-a
  gather_facts: false
  tasks:
    - name: Say that it began
      ansible.builtin.file: {path: "{{ autoglm_target.out }}", state: touch, mode: "0600"}
    - name: Wait to be let go
      ansible.builtin.wait_for: {path: "{{ autoglm_target.out }}.go", sleep: 1}
    - name: Say that it ended
      ansible.builtin.file: {path: "{{ autoglm_target.out }}.end", state: touch, mode: "0600"}
""",
    "vault": """
- hosts: node-a
  gather_facts: false
  vars_files: [secret.yml]
  tasks:
    - name: Write it down
      ansible.builtin.copy: {content: "{{ secret }}", dest: "{{ autoglm_target.out }}", mode: "0600"}
""",
    # What people configure, as a run sees it.
    "settings": """
- hosts: all
  gather_facts: false
  tasks:
    - name: Look at the settings
      ansible.builtin.set_fact:
        seen:
          file: "{{ ansible_config_file | default('') }}"
          folder: "{{ lookup('pipe', 'pwd') }}"
          base: "{{ lookup('config', 'DEFAULT_FORKS', 'DEFAULT_STRATEGY', 'DEFAULT_GATHERING', 'CACHE_PLUGIN',
                    'CACHE_PLUGIN_CONNECTION', 'CALLBACKS_ENABLED', 'DEFAULT_ROLES_PATH', 'COLLECTIONS_PATHS',
                    'HOST_KEY_CHECKING', 'DEFAULT_REMOTE_USER', 'DEFAULT_BECOME', 'DEFAULT_BECOME_METHOD',
                    'DEFAULT_VAULT_IDENTITY_LIST', 'DEFAULT_VAULT_PASSWORD_FILE', 'BECOME_PASSWORD_FILE',
                    'INVENTORY_ENABLED', on_missing='skip') }}"
          remote_tmp: "{{ lookup('config', 'remote_tmp', plugin_type='shell', plugin_name='sh') }}"
          ssh: "{{ lookup('config', 'control_path', 'control_path_dir', 'ssh_args', 'ssh_common_args', 'pipelining',
                   plugin_type='connection', plugin_name='ssh') }}"
          from: "{{ [of_inventory | default('-'), of_host | default('-'), of_playbooks | default('-'),
                    of_folder | default('-')] }}"
          secrets: "{{ [secret, other_secret] }}"
          services: "{{ autoglm_services | map(attribute='name') | list }}"
          hosts: "{{ groups['all'] | sort }}"
          inventory: "{{ [inventory_dir, inventory_file] }}"
          checked: "{{ ansible_check_mode }}"
          remembered: "{{ ansible_facts.remembered | default('-') }}"
    - name: Remember for the next run
      ansible.builtin.set_fact: {remembered: of an earlier run, cacheable: true}
    - name: Be somebody else, by a password
      ansible.builtin.command: printenv ASKED
      become: "{{ autoglm_target.become | default(false) }}"
      changed_when: false
      register: asked
      when: autoglm_target.become | default(false)
    - name: Write it down
      ansible.builtin.copy:
        content: "{{ seen | combine({'asked': asked.stdout | default('-')}) | to_json }}"
        dest: "{{ autoglm_target.out }}"
        mode: "0600"
      check_mode: false
      run_once: true
""",
    # Check mode of a play, and of tasks against it.
    "checked": """
- hosts: node-a
  gather_facts: false
  check_mode: true
  tasks:
    - name: Write nothing
      ansible.builtin.copy: {content: x, dest: "{{ autoglm_target.out }}.unwritten", mode: "0600"}
      register: would
    - name: Write something all the same
      ansible.builtin.copy: {content: x, dest: "{{ autoglm_target.out }}.written", mode: "0600"}
      check_mode: false
      register: did
    - name: Look
      ansible.builtin.stat: {path: "{{ autoglm_target.out }}.{{ item }}"}
      loop: [unwritten, written]
      register: found
    - name: Write it down
      ansible.builtin.copy:
        content: "{{ {'would': would.changed, 'there': found.results[0].stat.exists, 'did': did.changed,
                 'forced': found.results[1].stat.exists} | to_json }}"
        dest: "{{ autoglm_target.out }}{{ suffix | default('') }}"
        mode: "0600"
      check_mode: false
""",
    "settings_and_checked": """
- import_playbook: settings.yml
- import_playbook: checked.yml
  vars: {suffix: .checked}
""",
    # Who one is over there, and who one becomes.
    "become": """
- hosts: node-a
  gather_facts: false
  tasks:
    - name: Be oneself
      ansible.builtin.command: id -un
      become: false
      register: oneself
    - name: Be root
      ansible.builtin.command: printenv USER SUDO_USER
      become: true
      register: root
    - name: Look for what remote_tmp names
      ansible.builtin.stat: {path: ~/.elsewhere/tmp}
      register: temporary
    - name: Write it down
      ansible.builtin.copy:
        content: "{{ [oneself.stdout, root.stdout_lines, temporary.stat.isdir | default(false)] | to_json }}"
        dest: "{{ autoglm_target.out }}"
        mode: "0600"
      delegate_to: localhost
      vars: {ansible_connection: local, ansible_python_interpreter: "{{ ansible_playbook_python }}"}
""",
    "ssh": """
- hosts: node-a
  gather_facts: false
  tasks:
    - name: Over there
      ansible.builtin.command: sh -c "echo $SSH_CONNECTION"
      register: there
    - name: Write it down
      ansible.builtin.copy: {content: "{{ there.stdout }}", dest: "{{ autoglm_target.out }}", mode: "0600"}
      delegate_to: localhost
      vars: {ansible_connection: local, ansible_python_interpreter: "{{ ansible_playbook_python }}"}
""",
}

# Tells, as JSON, what the process is in which the lookup that runs this was evaluated: ansible-playbook's worker.
OBSERVE = """
import json, os, re
pid = os.getppid()
def words(name, pid): return open(f"/proc/{pid}/{name}", errors="surrogateescape").read().split(chr(0))[:-1]
while not any("ansible-playbook" in word for word in words("cmdline", pid)):
    pid = int(open(f"/proc/{pid}/stat").read().rpartition(")")[2].split()[1])
status = dict(line.split(":", 1) for line in open(f"/proc/{pid}/status").read().splitlines())
stat = open(f"/proc/{pid}/stat").read().rpartition(")")[2].split()
links = {}
for name in os.listdir(f"/proc/{pid}/fd"):
    try: links[name] = os.readlink(f"/proc/{pid}/fd/{name}")
    except OSError: pass
main = stat[1]
temporary = [name for name in os.listdir(os.environ["ANSIBLE_LOCAL_TEMP"]) if name.startswith(f"ansible-local-{main}")]
shown = sorted(word.partition("=")[0] for word in words("environ", pid) if word)
print(json.dumps({
    "command": [word for word in words("cmdline", pid) if word], "temporary": temporary, "shown": shown,
    "environment": dict(os.environ), "folder": os.readlink(f"/proc/{pid}/cwd"), "terminal": stat[4] != "0",
    "descriptors": sorted(re.sub("[:#].*", "", target) for target in links.values()),
    **{name: status[name].strip() for name in ("Umask", "SigBlk", "SigIgn", "SigCgt", "Threads", "Groups", "Uid")},
}))
"""
