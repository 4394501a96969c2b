# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Secrets for places in a policy, an inventory and the receiver's environment, each recognised wherever it turns up.

Unit tests hold ``POLICY`` to the policy's schema, and ``CONNECTION`` to what Ansible's plugins for ssh, sudo and su
take: a new place for a secret fails them until something is planted there.  ``environment`` follows the list of what
runs do not inherit.  Secrets for access files are in ``tests/integration/receiver/indiscreet.py``, and those that a
service has in an inventory in ``tests/integration/playbooks/test_secrets.py``.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from autoglm_recovery.receiver.process import inherited

# No word by which, and no shape in which, anything would know it for a secret.
PLANTED = "planted-hunter2"


def secret(place: str) -> str:
    """Return what is planted in a place."""
    return f"{PLANTED}-{place}"


# Each key of the policy that holds a secret, or names a file that does, and what leads to it. FILE is that file, URL an
# address without a path.
POLICY: dict[str, dict[str, Any]] = {
    "notify.routes.urls": {"notify": {"routes": [{"urls": ["json://alice:SECRET@ADDRESS/SECRET"]}]}},
    "notify.routes.urls_file": {"notify": {"routes": [{"urls_file": "FILE"}]}},
    "monitoring.prometheus.token_file": {"monitoring": {"prometheus": {"url": "URL", "token_file": "FILE"}}},
    "monitoring.alertmanager.token_file": {"monitoring": {"alertmanager": {"url": "URL", "token_file": "FILE"}}},
    "guardrails.silences.token_file": {"guardrails": {"silences": {"alertmanager": "URL", "token_file": "FILE"}}},
    "launchers.awx.token_file": {"launchers": {"awx": {"url": "URL", "token_file": "FILE"}}},
}

# What Ansible itself takes from an inventory.
CONNECTION = (
    "ansible_password",
    "ansible_ssh_pass",
    "ansible_ssh_password",
    "ansible_private_key",
    "ansible_ssh_private_key",
    "ansible_private_key_passphrase",
    "ansible_ssh_private_key_passphrase",
    "ansible_become_password",
    "ansible_become_pass",
    "ansible_sudo_pass",
    "ansible_su_pass",
)


def policy(directory: Path, address: str) -> dict[str, Any]:
    """Return a policy with a secret in every place, all of which lead to HOST:PORT; its files lie in a directory."""
    made: dict[str, Any] = {}
    for key, lines in POLICY.items():
        file = directory / f"{key}.planted"
        content = f"json://bob:{secret(key)}@{address}/{secret(key)}" if key.endswith("urls_file") else secret(key)
        file.write_text(f"{content}\n")
        file.chmod(0o600)
        words = {"FILE": str(file), "URL": f"http://{address}", "ADDRESS": address, "SECRET": secret(key)}
        _merge(made, _filled(lines, words))
    return made


def environment(address: str) -> dict[str, str]:
    """Return the receiver's own variables with a secret in each; traces lead to HOST:PORT.

    All but ``AUTOGLM_DATABASE``, which names a database and is for who has one.
    """
    headers = {
        name: f"x-key={secret(name)},{secret(name)}" for name in inherited.RECEIVER_S_OWN if name.endswith("HEADERS")
    }
    others = {name: secret(name) for name in inherited.RECEIVER_S_OWN.keys() - headers.keys() - {"AUTOGLM_DATABASE"}}
    return {**others, **headers, "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://{address}"}


def connection() -> dict[str, str]:
    """Return a host's variables with a secret in each that Ansible takes."""
    return {name: secret(name) for name in CONNECTION}


def _filled(value: Any, words: dict[str, str]) -> Any:
    if isinstance(value, dict):
        return {key: _filled(held, words) for key, held in value.items()}
    if isinstance(value, list):
        return [_filled(held, words) for held in value]
    for word, meant in words.items():
        value = value.replace(word, meant)
    return value


def _merge(into: dict[str, Any], more: dict[str, Any]) -> None:
    for key, value in more.items():
        if isinstance(value, dict):
            _merge(into.setdefault(key, {}), value)
        elif isinstance(value, list):
            into.setdefault(key, []).extend(value)
        else:
            into[key] = value
