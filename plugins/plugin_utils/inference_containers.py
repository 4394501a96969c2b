# Copyright: (c) 2026, autoglm.recovery maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The words with which a unit of systemd has podman run an engine, so that the unit is what remedies know. Pure.

A unit that calls podman, and no quadlet: podman 4.3 of Debian 12 has none yet, and of all later ones the words are the
same. C(--cgroups=disabled) leaves the engine in the unit's own control group, so that limits, OOM kills and drop-ins
of the unit are the engine's. C(--sdnotify=conmon) makes podman's monitor the unit's main process: it passes a stop on,
and ends as the engine did (podman-run(1), conmon(8); tried with podman 4.3 and 5.8).
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from typing import Any

PODMAN = "/usr/bin/podman"
# Set in the unit: the numbers of a user of the host, whom an image need not know by name.
USER = "AUTOGLM_ENGINE_USER"
# What alone says how a container is run.
ONLY_HERE = ("devices", "read_only_paths", "shm_size")

_IMAGE = re.compile(r"[a-z0-9][A-Za-z0-9._:/-]*@sha256:[0-9a-f]{64}\Z")
# A name of the Container Device Interface, or a device file.
_DEVICE = re.compile(r"([a-z0-9.-]+/[a-z0-9.-]+=[A-Za-z0-9._:-]+|/dev/[A-Za-z0-9._/-]+)\Z")
_SIZE = re.compile(r"[1-9][0-9]*[kmg]?\Z")
_NUMBER = re.compile(r"[0-9]{1,10}\Z")


def mistake(service: Mapping[str, Any]) -> str:
    """Say what is wrong with how a service's container is described; empty where nothing is."""
    image = service.get("image")
    if not image:
        given = [key for key in ONLY_HERE if service.get(key)]
        return f"{given[0]} is for one with an image" if given else ""
    if not _IMAGE.match(str(image)):
        wanted = "registry.example/llama@sha256:... with its 64 digits, because what a tag means may change"
        return f"its image {str(image)[:120]!r} must have its digest, such as {wanted}"
    if service.get("prefix"):
        return "prefix is for a service without an image; give the words that a container begins with as command"
    if wrong := [each for each in devices(service) if not _DEVICE.match(each)]:
        return f"{wrong[0][:120]!r} is no device, such as nvidia.com/gpu=all or /dev/kfd"
    if wrong := [str(each) for each in service.get("groups") or [] if not _NUMBER.match(str(each))]:
        return f"an image does not know the group {wrong[0][:80]!r} of the host; give its number"
    size = str(service.get("shm_size") or "8g")
    return "" if _SIZE.match(size) else f"its shm_size {size[:80]!r} is no size, such as 8g"


def devices(service: Mapping[str, Any]) -> list[str]:
    """Name the devices that a container gets: as said, or all GPUs of NVIDIA for one that uses GPUs."""
    given = service.get("devices")
    if given is None:
        return ["nvidia.com/gpu=all"] if service.get("gpu", True) else []
    return [str(each) for each in given]


def container(name: str) -> str:
    """Name the container of a service: never one that somebody has made beside it."""
    return f"autoglm-inference-{name}"


def mounts(name: str, service: Mapping[str, Any], writes: Iterable[str]) -> dict[str, str]:
    """Return the paths of the host that a container sees, each at its own place, and how."""
    reads = [*(str(service.get(key) or "") for key in ("model_path", "tls_cert", "tls_key"))]
    reads += [str(path) for path in service.get("read_only_paths") or []]
    found = {path: "ro" for path in reads if path.startswith("/")}
    return found | dict.fromkeys((f"/var/lib/inference/{name}", f"/var/cache/inference/{name}", *writes), "rw")


def words(name: str, service: Mapping[str, Any], seen: Mapping[str, str], variables: Iterable[str]) -> list[str]:
    """Return the words up to the engine's own arguments, without who it runs as.

    variables: those that it is given out of the unit's environment, by name alone: no command line has what they hold.
    """
    state, cache = f"/var/lib/inference/{name}", f"/var/cache/inference/{name}"
    command = [str(word) for word in service.get("command") or []]
    return [
        *(PODMAN, "run", f"--name={container(name)}", "--replace", "--rm", "--detach", "--pull=never"),
        *("--cgroups=disabled", "--sdnotify=conmon", "--log-driver=passthrough"),
        # Its address is the one that the inventory says, and its limits are the unit's.
        *("--network=host", "--ulimit=host", f"--shm-size={service.get('shm_size') or '8g'}"),
        *("--cap-drop=all", "--security-opt=no-new-privileges"),
        # Labels of SELinux on models and states are the host's.
        "--security-opt=label=disable",
        *("--read-only", "--tmpfs=/tmp:rw,mode=1777", f"--workdir={state}"),
        *(f"--group-add={group}" for group in service.get("groups") or []),
        *(f"--device={device}" for device in devices(service)),
        *(f"--volume={path}:{path}:{how}" for path, how in seen.items()),
        *(f"--env=HOME={state}", f"--env=XDG_CACHE_HOME={cache}"),
        *(f"--env={variable}" for variable in sorted(variables)),
        *([f"--entrypoint={json.dumps(command)}"] if command else []),
        str(service["image"]),
    ]
