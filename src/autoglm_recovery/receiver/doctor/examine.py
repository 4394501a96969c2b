# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Ask everything in turn, and gather what was found."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from autoglm_recovery.knowledge.host.token_file import NoTokenError, first_token
from autoglm_recovery.policy import Policy, PolicyError, load_policy
from autoglm_recovery.receiver.access.authenticator import watch_entries
from autoglm_recovery.receiver.access.entries import AuthError
from autoglm_recovery.receiver.access.file_modes import judge, judge_access_file
from autoglm_recovery.receiver.access.named_files import NamedFile, named_files
from autoglm_recovery.receiver.doctor import hosts, looked_at, own_actions, servers, settings, targets
from autoglm_recovery.receiver.doctor.finding import DoctorFinding, FindingLevel, wrong
from autoglm_recovery.receiver.doctor.inventory import check_inventory
from autoglm_recovery.receiver.doctor.trying import PlaybookTrial, try_run
from autoglm_recovery.receiver.fleet.ansible import AnsibleError
from autoglm_recovery.receiver.fleet.fleet import InventoryError
from autoglm_recovery.receiver.fleet.site_config import SiteConfig, read_config
from autoglm_recovery.receiver.runs import configured
from autoglm_recovery.receiver.runs.protocol import LaunchRefused
from autoglm_recovery.rules.targets import targets_of


@dataclass(frozen=True)
class Installation:
    """What to examine.  ``directory`` is for runs that repair nothing, and is left empty."""

    policy: Path | None
    inventory: Path
    directory: Path
    prometheus: str | None = None
    receiver: str = "http://127.0.0.1:9470"
    ca_file: Path | None = None
    access_files: tuple[Path, ...] = ()
    ask_hosts: bool = True
    # Whether somebody has named it: by default nothing needs to be there.
    ask_receiver: bool = False


def examine(given: Installation, tell: Callable[[str], None] = lambda _what: None) -> list[DoctorFinding]:
    """Return all findings; ``tell`` hears what is looked at now."""
    tell("policy and inventory")
    try:
        policy = load_policy(given.policy) if given.policy else Policy()
    except PolicyError as error:
        return [wrong("policy", str(error), do="autoglm check shows each mistake with its line")]
    found = [*_files(policy), *_access(given)]
    try:
        config = read_config(given.policy, given.inventory)
    except (AnsibleError, InventoryError) as error:
        return [*found, wrong("inventory", str(error), do="ansible-inventory --list -i INVENTORY says more")]
    found += check_inventory(config.fleet, config.policy) or [
        DoctorFinding("inventory", FindingLevel.ok, "is understood whole")
    ]
    found += settings.check_settings(_settings())
    found += own_actions.check_present(config)
    if config.policy.actions:
        tell("own actions")
        found += own_actions.check_hosts(config)
    if policy.launchers.default == "local":
        tell("an empty run")
        trial = PlaybookTrial(given.directory, policy.launchers.local.execution_environment)
        tried = try_run(trial, config.fleet, config.inventory)
        found += tried
        if given.ask_hosts and not any("begins no task" in finding.what for finding in tried):
            tell("the hosts")
            found += _look_at_hosts(trial, config)
    else:
        found.append(
            DoctorFinding(
                "runs", FindingLevel.note, "run as jobs of AWX: their hosts are AWX's to reach, and not tried here"
            )
        )
    if given.ask_receiver:
        tell("the receiver")
        found += servers.receiver(given.receiver, given.ca_file)
    tell("Prometheus")
    active, found_there = servers.active_targets(config.policy.monitoring.prometheus, given.prometheus, given.ca_file)
    found += found_there
    return found if active is None else [*found, *_targets(given, config, active)]


def _settings() -> dict[str, Any]:
    """Return the settings of Ansible that the check reads."""
    manager = configured.configuration()
    names = (
        *("DEFAULT_ASK_PASS", "DEFAULT_ASK_VAULT_PASS", "DEFAULT_BECOME_ASK_PASS", "DEFAULT_STRATEGY"),
        *("ENABLE_TASK_DEBUGGER", "TAGS_RUN", "TAGS_SKIP"),
    )
    known = manager.get_configuration_definitions()
    return {name: manager.get_config_value(name) for name in names if name in known}


def _look_at_hosts(trial: PlaybookTrial, config: SiteConfig) -> list[DoctorFinding]:
    planned = hosts.plan(config.fleet.declared)
    try:
        rc, said, events = trial.run("look_at_hosts", config.inventory, {"autoglm_look": planned})
    except (LaunchRefused, OSError) as error:
        return [wrong(hosts.SSH, f"no run can be launched: {error}")]
    return looked_at.read_run(planned, rc, said, events)


def _files(policy: Policy) -> Iterator[DoctorFinding]:
    """The policy names files that are read when they are needed, which is at night."""
    for named in named_files(policy):
        yield from _file(named)


def _file(named: NamedFile) -> Iterator[DoctorFinding]:
    key, path = named.key, named.path
    try:
        text = first_token(path) if key.endswith(".token_file") else path.read_text("utf-8")
    except NoTokenError as error:
        yield wrong("files", f"{key}: {error}")
    except (OSError, UnicodeDecodeError) as error:
        yield wrong("files", f"{key}: {path} cannot be read: {error}", do="as the account that runs the receiver")
    else:
        if all(not line.strip() or line.lstrip().startswith("#") for line in text.splitlines()):
            yield wrong("files", f"{key}: nothing is in {path}")
        try:
            told = judge(key, path, secret=named.secret)
        except AuthError as error:
            yield wrong("files", f"serve refuses to start: {error}")
        else:
            if told:
                yield DoctorFinding("files", FindingLevel.note, told)


def _access(given: Installation) -> Iterator[DoctorFinding]:
    if given.access_files:
        try:
            watch_entries(given.access_files)
            told = [judge_access_file(path) for path in given.access_files]
            yield from (DoctorFinding("tokens", FindingLevel.note, what) for what in told if what)
        except AuthError as error:
            yield wrong("tokens", str(error))


def _targets(given: Installation, config: SiteConfig, active: list[Any]) -> list[DoctorFinding]:
    expected = targets_of(config.fleet.declared, given.receiver)
    return targets.read_targets(config.fleet, expected, active)
