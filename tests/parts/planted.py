# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Secrets for every place where a policy or an inventory may hold one, each recognised wherever it turns up.

Unit tests hold these tables to the policy's schema, to the modules' options and to Ansible's plugins: a new place for a
secret fails them until something is planted there.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

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
