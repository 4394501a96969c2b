# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which one inventory host an alert is about.

The words in an alert were written by somebody else.  They select by equality among the names that the inventory holds,
or they select nothing: no pattern, no prefix, no default.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from autoglm_recovery.receiver.fleet import Fleet, Host
from autoglm_recovery.receiver.model import Target

# In this order; the first that is there decides, and a later one never rescues a wrong earlier one.
HOST_LABELS = ("host", "node", "hostname", "Hostname", "nodename", "instance")
GPU_LABELS = ("gpu_uuid", "UUID", "gpu")

_PORT = re.compile(r":\d{1,5}\Z", re.ASCII)
_BRACKETED = re.compile(r"\[([0-9A-Fa-f:.]+)\](?::\d{1,5})?\Z", re.ASCII)
_GPU = re.compile(
    r"(?:GPU-[0-9a-f-]{8,64}|[0-9a-f]{4,8}:[0-9a-f]{2}:[0-9a-f]{2}(?:\.[0-7])?)\Z", re.ASCII | re.IGNORECASE
)
_LONGEST_NAME = 253  # RFC 1035: a host name in full


class Refusal(ValueError):
    """An alert that has no target, and why."""


def resolve_target(labels: Mapping[str, str], fleet: Fleet) -> Target:
    """Return the target of an alert.

    :raises Refusal: if the labels do not name exactly one host, or name a service that it does not have.
    """
    host = _host(labels, fleet)
    service = _service(labels, host)
    pool = next((s.pool for s in host.services if s.name == service), None)
    gpu = next((labels[name] for name in GPU_LABELS if _GPU.match(labels.get(name, ""))), None)
    return Target(host=host.name, service=service, pool=pool, gpu=gpu)


def named_host(labels: Mapping[str, str]) -> str | None:
    """Return the host that labels name, whoever has such a host: without the port of C(instance)."""
    label = _host_label(labels)
    return None if label is None else list(_readings(labels[label]))[-1]


def _host_label(labels: Mapping[str, str]) -> str | None:
    return next((name for name in HOST_LABELS if labels.get(name)), None)


def _host(labels: Mapping[str, str], fleet: Fleet) -> Host:
    label = _host_label(labels)
    if label is None:
        raise Refusal(f"no label says which host this is about; one of {', '.join(HOST_LABELS)} must name it")
    word = labels[label]
    if len(word) > _LONGEST_NAME + len("[]:65535"):
        raise Refusal(f"label {label} holds {len(word)} characters: no host has such a name")
    for candidate in _readings(word):
        host = fleet.find(candidate)
        if host is not None:
            if not fleet.limitable(host.name):
                raise Refusal(f"host {host.name!r} has a name that Ansible would read as a pattern or a group")
            return host
    raise Refusal(f"label {label}={word!r} is not the exact name or address of one host in the inventory")


def _readings(word: str) -> Iterator[str]:
    """Yield what a word may name: itself, and itself without the port that C(instance) carries."""
    yield word
    bracketed = _BRACKETED.match(word)
    if bracketed:
        yield bracketed[1]
    elif word.count(":") == 1 and _PORT.search(word):
        yield word.rpartition(":")[0]


def _service(labels: Mapping[str, str], host: Host) -> str | None:
    named = labels.get("service")
    known = [service.name for service in host.services]
    if not known:
        return None
    if named:
        if named not in known:
            raise Refusal(f"service {named[:80]!r} is not among the services of {host.name}: {', '.join(known)}")
        return named
    return known[0] if len(known) == 1 else None
