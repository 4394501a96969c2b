# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether the playbooks of a site's own actions are there, and take the hosts of the fleet."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

from autoglm_recovery.policy import Policy
from autoglm_recovery.policy.own import OwnAction
from autoglm_recovery.receiver.doctor.finding import DoctorFinding, FindingLevel, wrong
from autoglm_recovery.receiver.fleet.ansible import AnsibleError, hosts_listed
from autoglm_recovery.receiver.fleet.fleet import Fleet
from autoglm_recovery.receiver.fleet.site_config import SiteConfig
from autoglm_recovery.receiver.runs.extra_vars import RunContext, extra_vars, to_yaml

CHECK = "own actions"
MOST_HOSTS = 3
# What ``ansible-playbook --list-hosts`` prints below each play: how many, then one a line.
_HOSTS = re.compile(r"^ {4}hosts \(\d+\):\n((?: {6}\S[^\n]*\n?)*)", re.MULTILINE)


def check_present(config: SiteConfig) -> list[DoctorFinding]:
    """Say of each own action whose playbook is not there what to do."""
    return [
        wrong(
            CHECK,
            f"its playbook {own.playbook} is not there, or cannot be read",
            f"actions.{name}",
            "install the collection where ansible-playbook finds it, or correct the path",
        )
        for name, own in config.policy.actions.items()
        if name not in config.playbooks
    ]


def check_hosts(config: SiteConfig) -> Iterator[DoctorFinding]:
    """Have Ansible read each playbook that runs here, and say which of the fleet's hosts it takes."""
    for name, own in config.policy.actions.items():
        if name not in config.playbooks or own.launcher == "awx":
            continue
        try:
            taken = {host: host in _listed(config, name, own, host) for host in _sample_of_hosts(config.fleet)}
        except AnsibleError as error:
            what = f"ansible-playbook cannot read {own.playbook}: {error}"
            yield wrong(CHECK, what, f"actions.{name}", "ansible-playbook --list-hosts says more")
            continue
        yield judged(name, own, taken)


def judged(name: str, own: OwnAction, taken: Mapping[str, bool]) -> DoctorFinding:
    """Say what it means that a playbook takes some hosts and others not.  Pure."""
    where, refused = f"actions.{name}", [host for host, takes in taken.items() if not takes]
    if not refused:
        return DoctorFinding(CHECK, FindingLevel.ok, f"{own.playbook} is there and takes one host", where)
    what = f"limited to one host, {own.playbook} has no play for {', '.join(refused)}: a run there would do nothing"
    if len(refused) < len(taken):
        return DoctorFinding(CHECK, FindingLevel.note, what, where)
    return wrong(CHECK, what, where, 'write hosts: "{{ autoglm_target.host }}", or hosts: all')


def _sample_of_hosts(fleet: Fleet) -> list[str]:
    """Return hosts of different kinds, by the pools that they are in: not one process for each of a thousand."""
    hosts = [host for host in sorted(fleet.hosts) if fleet.limitable(host)]
    kinds = {tuple(sorted(str(service.pool) for service in fleet.hosts[host].services)): host for host in hosts}
    return sorted(kinds.values())[:MOST_HOSTS]


def _listed(config: SiteConfig, name: str, own: OwnAction, host: str) -> set[str]:
    """Return the hosts of a playbook's plays where it is limited to one, with the variables of a run.

    Raises AnsibleError if Ansible cannot read it.
    """
    with tempfile.TemporaryDirectory(prefix="autoglm-own-actions-") as directory:
        variables = Path(directory, "vars.yml")
        variables.write_text(to_yaml(_variables(config.policy, name, host)), "utf-8")
        said = hosts_listed(own.playbook, config.inventory, host, variables)
    return {line.strip() for lines in _HOSTS.findall(said) for line in lines.splitlines()}


def _variables(policy: Policy, name: str, host: str) -> dict[str, object]:
    about = {"id": 0, "failure_class": "unknown", "fault_mode": "transient", "reason": "", "root_cause": ""}
    target = {"host": host, "service": None, "gpu": None, "pool": None}
    errand = RunContext(
        name,
        1,
        fence=0,
        opened_at="1970-01-01T00:00:00+00:00",
        host_wide=policy.repertoire.host_wide(name),
        timeout_s=policy.timeout("unknown", "local").total_seconds(),
    )
    return extra_vars({**about, **target}, errand, policy.repertoire.variables(name))
