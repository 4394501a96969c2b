# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: fleet
author:
  - autoglm.recovery maintainers (@autoglm)
version_added: 0.2.0
short_description: Hosts, replicas, GPUs and how they stand, from Prometheus
description:
  - Makes an inventory of what Prometheus scrapes. Each host that its targets name is one, with the services that it
    serves, its GPUs, their verdicts, and whether it answers.
  - It is meant to lie beside an inventory that says how hosts are reached and what may be done on them. Playbooks of
    this collection take units and addresses from C(autoglm_services) and C(autoglm_pools), which this plugin never
    sets.
  - Its source is a YAML file whose name ends in C(autoglm_fleet.yml) or C(autoglm_fleet.yaml).
  - Names and values that come from Prometheus are never templates. A name that Ansible could read as anything but one
    host is left out with a warning, and so is C(localhost), which is this machine to Ansible, unless a source before
    this one has it.
  - What cannot be read is unknown and never healthy. A server that does not answer is an error and no empty inventory.
    Ansible itself makes a warning of it, unless E(ANSIBLE_INVENTORY_ANY_UNPARSED_IS_FAILED) is set.
extends_documentation_fragment:
  - ansible.builtin.constructed
  - ansible.builtin.inventory_cache
notes:
  - U(https://github.com/autoglm/recovery/blob/main/docs/inventory.md) describes each variable and group.
  - With O(cache=true) an answer that is younger than O(cache_timeout) is used in place of asking. The answers are kept
    for longer than that if O(stale_for) says so, and hold no credentials.
options:
  plugin:
    description:
      - The name of this plugin.
    type: str
    required: true
    choices: [autoglm.recovery.fleet]
  servers:
    description:
      - The Prometheus servers. Each of them has to answer, and what they tell is taken together.
    type: list
    elements: dict
    required: true
    suboptions:
      urls:
        description:
          - The base URLs of replicas of one server, which know the same. The first that answers counts.
          - Redirects are not followed, and no proxy of the environment is used.
        type: list
        elements: str
        required: true
      username:
        description:
          - For basic authentication, with O(servers[].password) or O(servers[].password_file).
        type: str
      password:
        description:
          - The password. It may be encrypted in place with Ansible Vault.
        type: str
      password_file:
        description:
          - A file whose first line is the password.
        type: path
      token:
        description:
          - A bearer token. It may be encrypted in place with Ansible Vault.
        type: str
      token_file:
        description:
          - A file whose first line that is neither empty nor a comment is a bearer token.
        type: path
      validate_certs:
        description:
          - Whether the certificate of an C(https) server is verified.
        type: bool
        default: true
      ca_path:
        description:
          - File of certificates that are trusted in place of those of the system.
        type: path
      client_cert:
        description:
          - File of the certificate that is shown to the server, and of its key unless O(servers[].client_key) is given.
        type: path
      client_key:
        description:
          - File of the key of O(servers[].client_cert).
        type: path
      timeout:
        description:
          - Seconds for each of three questions, from the look-up of the name to the last byte of the answer.
        type: float
        default: 10.0
  host_labels:
    description:
      - The labels of a target that name its host. The first that is there counts.
      - The value has to be the name in the inventory, exactly. C(autoglm rules) writes it into C(host).
      - Of V(instance) the part before the port is the name.
    type: list
    elements: str
    default: [host]
  jobs:
    description:
      - The names of the jobs of Prometheus whose targets count. The defaults are those that C(autoglm rules) renders.
    type: dict
    default: {}
    suboptions:
      node:
        description:
          - Their targets tell that a host is there, and at which address.
        type: list
        elements: str
        default: [node]
      inference:
        description:
          - Their targets are replicas, by the labels C(service), C(pool), C(unit) and C(role).
        type: list
        elements: str
        default: [inference, inference_slow]
      exporter:
        description:
          - Their targets are C(autoglm exporter). Verdicts and GPUs count from them and from nobody else.
        type: list
        elements: str
        default: [autoglm]
  group_by:
    description:
      - The kinds of groups that are made, with names such as C(autoglm_pool_chat) and C(autoglm_verdict_unknown).
      - The group C(autoglm_fleet) has all hosts of this plugin, whatever is said here.
    type: list
    elements: str
    choices: [gpu, pool, presence, quarantined, role, service, verdict]
    default: [gpu, pool, presence, quarantined, role, service, verdict]
  add_hosts:
    description:
      - Whether hosts are added that no source before this one has.
      - With V(false) Prometheus describes hosts and cannot invent any. Sources are read in the order in which they are
        given, and those of a folder in the order of their names.
    type: bool
    default: true
  stale_for:
    description:
      - Up to how many seconds the last answer of a server is used while it does not answer, with a warning.
      - Hosts, services and GPUs are then as they were. Whether they answer, and verdicts, are unknown.
      - Needs O(cache=true), and a O(cache_plugin) that outlives the command, such as V(ansible.builtin.jsonfile).
    type: int
    default: 0
"""

EXAMPLES = r"""
# fmt: code (three files)
# autoglm_fleet.yml: the whole fleet, by `ansible-inventory -i autoglm_fleet.yml --graph`
plugin: autoglm.recovery.fleet
servers:
  - urls: [http://127.0.0.1:9090]

---
# 20-autoglm_fleet.yml, beside 10-hosts.yml, which has the hosts, autoglm_services and autoglm_pools
plugin: autoglm.recovery.fleet
servers:
  - urls: [https://prometheus-a.example.com, https://prometheus-b.example.com] # two replicas of one
    token_file: /etc/autoglm/prometheus.token
    ca_path: /etc/ssl/prometheus-ca.pem
  - urls: [https://prometheus.other-site.example.com]
    client_cert: /etc/autoglm/client.pem
    client_key: /etc/autoglm/client.key
add_hosts: false
cache: true
cache_plugin: ansible.builtin.jsonfile
cache_connection: /var/cache/autoglm-inventory
cache_timeout: 30
stale_for: 3600

---
# Constructed: addresses from Prometheus, and groups of one's own
plugin: autoglm.recovery.fleet
servers:
  - urls: [http://127.0.0.1:9090]
compose:
  ansible_host: autoglm_address
groups:
  needs_a_look: autoglm_verdict != 'healthy' or autoglm_presence != 'heard'
keyed_groups:
  - key: autoglm_pool_names
    prefix: serving
"""

import hashlib
import json
import time
from collections.abc import Iterable
from functools import partial
from typing import Any

from ansible import constants
from ansible.errors import AnsibleParserError
from ansible.inventory.group import to_safe_group_name
from ansible.plugins.inventory import BaseInventoryPlugin, Cacheable, Constructable
from ansible_collections.autoglm.recovery.plugins.module_utils.host.plain import one_line, quoted
from ansible_collections.autoglm.recovery.plugins.module_utils.prometheus.asking import (
    CannotAsk,
    Jobs,
    PrometheusServer,
    ask,
)
from ansible_collections.autoglm.recovery.plugins.module_utils.prometheus.groups import Grouped, grouped
from ansible_collections.autoglm.recovery.plugins.module_utils.prometheus.hosts import (
    HostsTold,
    Told,
    hosts_told,
)
from ansible_collections.autoglm.recovery.plugins.plugin_utils.data import as_data
from ansible_collections.autoglm.recovery.plugins.plugin_utils.kept_answers import (
    Ages,
    Counted,
    counted,
    entries_of,
    kept_answer,
    span,
)
from ansible_collections.autoglm.recovery.plugins.plugin_utils.prometheus_servers import (
    read_jobs,
    read_servers,
    unknown_option,
)

_SUFFIXES = ("autoglm_fleet.yml", "autoglm_fleet.yaml")
_MOST_WARNINGS = 10


class InventoryModule(BaseInventoryPlugin, Constructable, Cacheable):
    """See DOCUMENTATION."""

    NAME = "autoglm.recovery.fleet"

    def verify_file(self, path: str) -> bool:
        """Tell whether a source is one of this plugin's."""
        return bool(super().verify_file(path)) and path.endswith(_SUFFIXES)

    def parse(self, inventory: Any, loader: Any, path: str, cache: bool = True) -> None:
        """Add what Prometheus tells to the inventory."""
        super().parse(inventory, loader, path)
        self._read_config_data(path)
        try:
            servers, jobs = read_servers(self.get_option("servers")), read_jobs(self.get_option("jobs"))
            answers = self._answers(servers, jobs, path, cache)
        except (CannotAsk, ValueError) as error:
            raise AnsibleParserError(f"{path}: {error}") from None
        found = hosts_told(answers, jobs, self.get_option("host_labels"))
        left_out = {name: why for name in found.hosts if (why := self._unwanted(name, inventory.hosts))}
        hosts = {name: each for name, each in found.hosts.items() if name not in left_out}
        result = grouped(hosts, self.get_option("group_by"), inventory.hosts, inventory.groups)
        self._warn([*found.warnings, *left_out.values(), *result.warnings])
        if not result.hosts:
            raise AnsibleParserError(f"{path}: Prometheus tells of no host that can be used: {self._none(found, jobs)}")
        self._fill(inventory, result)

    def _unwanted(self, name: str, known: Iterable[str]) -> str:
        """Why a host is left out that no source before this one has; empty where it is not."""
        if name in known:
            return ""
        if name in constants.LOCALHOST:
            return f"{quoted(name)} is this machine to Ansible, whatever it is to Prometheus: it is left out"
        if self.get_option("add_hosts"):
            return ""
        return f"{quoted(name)} is in no source before this one, and add_hosts is false"

    def _none(self, found: HostsTold, jobs: Jobs) -> str:
        if found.hosts:
            return f"each of the {len(found.hosts)} that it tells of is left out, as the warnings say"
        labels = ", ".join(self.get_option("host_labels"))
        return f"there is none that has a target of the jobs {', '.join(jobs.all)} with one of the labels {labels}"

    def set_options(self, task_keys: Any = None, var_options: Any = None, direct: Any = None) -> None:
        """Refuse a key that is none of ours, which Ansible itself reads over."""
        for key in direct or ():
            if key not in self.option_definitions:
                raise AnsibleParserError(unknown_option(key, self.option_definitions))
        super().set_options(task_keys=task_keys, var_options=var_options, direct=direct)

    # --- what is asked, and what is kept of it ---

    def _answers(self, servers: Iterable[PrometheusServer], jobs: Jobs, path: str, cache: bool) -> list[Told]:
        keeps = self._keep_answers()
        key = self.get_cache_key(path)
        entries = entries_of(self._cache.get(key)) if keeps else {}
        fresh = self._fresh_for if keeps and cache else None
        ages, now = Ages(fresh, self.get_option("stale_for")), time.time()
        told = []
        for server in servers:
            name = _digest(server, jobs)
            answer = counted(partial(ask, server, jobs), kept_answer(entries.get(name)), ages, now)
            entries[name] = answer.as_plain()
            told.append(Told(answer.telling, self._old(server, answer, now)))
        if keeps:
            self._cache[key] = entries
        return told

    def _keep_answers(self) -> bool:
        """Make the cache keep answers for as long as somebody may want one; how old one is is judged here."""
        stale_for = self.get_option("stale_for")
        if stale_for < 0:
            raise ValueError("stale_for: must be a number of seconds, 0 or more")
        if not self.get_option("cache"):
            if stale_for:
                raise ValueError("stale_for: needs cache: true, because nothing is kept without it")
            return False
        self._fresh_for = self.get_option("cache_timeout")
        self.set_option("cache_timeout", 0)
        self.load_cache_plugin()
        self.set_option("cache_timeout", self._fresh_for)
        if stale_for and not getattr(self._cache._plugin, "_persistent", True):
            raise ValueError(
                "stale_for: needs a cache_plugin that outlives this command, such as ansible.builtin.jsonfile"
            )
        return True

    def _old(self, server: PrometheusServer, answer: Counted, now: float) -> str:
        """Warn of an answer that stands for a new one, and return why what it says of states does not count."""
        if not answer.instead:
            return ""
        age = span(now - answer.at)
        self._warn(
            [f"Prometheus cannot be asked ({answer.instead}): its answer of {age} ago is used, for what is there"]
        )
        return f"{server.urls[0]} cannot be asked, and its last answer is {age} old"

    # --- what becomes of it ---

    def _fill(self, inventory: Any, found: Grouped) -> None:
        for name, variables in found.hosts.items():
            inventory.add_host(name)
            for variable, value in variables.items():
                inventory.set_variable(name, variable, as_data(value))
        for group, members in found.groups.items():
            inventory.add_group(group)
            for name in members:
                inventory.add_child(group, name)
        strict = self.get_option("strict")
        for name in found.hosts:
            variables = inventory.get_host(name).get_vars()
            self._set_composite_vars(self.get_option("compose"), variables, name, strict=strict)
            variables = inventory.get_host(name).get_vars()
            self._add_host_to_composed_groups(self.get_option("groups"), variables, name, strict=strict)
            self._add_host_to_keyed_groups(self.get_option("keyed_groups"), variables, name, strict=strict)

    @staticmethod
    def _sanitize_group_name(name: str) -> str:
        """Return a name that Ansible reads as one group, whatever its settings say: values of others are in it."""
        return str(to_safe_group_name(name, force=True, silent=True))

    def _warn(self, what: list[str]) -> None:
        for each in what[:_MOST_WARNINGS]:
            self.display.warning(f"{self.NAME}: {one_line(each, 1000)}")
        if len(what) > _MOST_WARNINGS:
            self.display.warning(f"{self.NAME}: {len(what) - _MOST_WARNINGS} more of this kind")


def _digest(server: PrometheusServer, jobs: Jobs) -> str:
    """What an answer is kept under: whoever is asked something else, or somebody else, has no answer yet."""
    asked = json.dumps([server.urls, jobs.node, jobs.inference, jobs.exporter])
    return hashlib.sha256(asked.encode()).hexdigest()
